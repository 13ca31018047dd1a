"""Signing keys that stand in pydantic settings: which variable of the environment fills `settings.hook_secret`."""

from __future__ import annotations

import ast

from swarm.analysis.index import Index
from swarm.analysis.settings_classes import is_settings_class, variable_alias, variable_prefix
from swarm.analysis.source import Module


def unmasked(node: ast.expr) -> ast.expr:
    """`settings.key` of `settings.key.get_secret_value()`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get_secret_value":
        return node.func.value
    return node


def variable_of_field(index: Index, module: Module, key: ast.Attribute) -> str:
    """The variable behind a field, `PAY_KEY` for `config().pay_key`; "" where the object is none of settings."""
    info = index.classes.get(index.kinds.of(module, key.value) or "")
    if info is None or not is_settings_class(index, info):
        return ""
    field = next(
        (one for one in info.node.body
         if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.target.id == key.attr), None,
    )  # fmt: skip
    if field is None:
        return ""
    return variable_alias(field.value) or f"{variable_prefix(info)}{key.attr}".upper()

"""Classes of settings that pydantic fills from the environment: which they are, and a field's variable."""

from __future__ import annotations

import ast

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.parts import ClassInfo

_SETTINGS_BASES = frozenset(
    {"pydantic_settings.BaseSettings", "pydantic.BaseSettings", "pydantic.env_settings.BaseSettings"}
)


def is_settings_class(index: Index, info: ClassInfo, depth: int = 0) -> bool:
    """Whether a class is one of pydantic's settings, over bases of the target's own."""
    for base in info.node.bases:
        dotted = index.resolve(info.module, base) or ""
        if dotted in _SETTINGS_BASES:
            return True
        if depth < 4 and dotted in index.classes and is_settings_class(index, index.classes[dotted], depth + 1):
            return True
    return False


def is_required_field(value: ast.expr) -> bool:
    """Whether a field with this value has no default: `...`, `Field(alias="KEY")`."""
    if isinstance(value, ast.Constant):
        return value.value is Ellipsis
    if isinstance(value, ast.Call) and unparsed(value.func) in ("os.getenv", "getenv", "os.environ.get"):
        # None is no valid default of most types
        return len(value.args) == 1 and not any(keyword.arg == "default" for keyword in value.keywords)
    if isinstance(value, ast.Call) and unparsed(value.func).rsplit(".", 1)[-1] == "Field":
        named = {keyword.arg for keyword in value.keywords}
        if value.args:
            return isinstance(value.args[0], ast.Constant) and value.args[0].value is Ellipsis
        return not named & {"default", "default_factory"}
    return False


def variable_alias(value: ast.expr | None) -> str:
    """The variable that a field names itself, `Field(validation_alias="KEY")`; "" for none."""
    if isinstance(value, ast.Call):
        for keyword in value.keywords:
            if keyword.arg in ("alias", "validation_alias", "env"):
                inner = (
                    keyword.value.args[0]
                    if isinstance(keyword.value, ast.Call) and keyword.value.args
                    else keyword.value
                )
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    return inner.value
    return ""


def variable_prefix(info: ClassInfo) -> str:
    """What the variables of a class begin with."""
    for node in walk(info.node):
        if isinstance(node, ast.keyword) and node.arg == "env_prefix" and isinstance(node.value, ast.Constant):
            return str(node.value.value)
        if isinstance(node, ast.Assign) and unparsed(node.targets[0]) == "env_prefix" \
                and isinstance(node.value, ast.Constant):  # fmt: skip
            return str(node.value.value)
    return ""

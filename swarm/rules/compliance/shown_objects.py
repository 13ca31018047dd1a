"""Objects whose text shows all that they hold: models of pydantic and dataclasses, written out as they are."""

from __future__ import annotations

import ast

from swarm.analysis.index import ClassInfo, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.rules.facts.personal_columns import PERSONAL_NAME

_SHOWING = ("pydantic.BaseModel", "pydantic.main.BaseModel", "sqlmodel.SQLModel")
_DEPTH = 4


def shows_person(index: Index, module: Module, value: ast.expr) -> bool:
    """Whether an expression is an object that tells a person's data where it is written into a text."""
    if not isinstance(value, ast.Name | ast.Attribute):
        return False
    info = index.classes.get(index.kinds.of(module, value) or "")
    if info is None or {"__repr__", "__str__", "__repr_args__"} & info.methods.keys():
        return False
    return _shows_fields(index, info, 0) and any(
        PERSONAL_NAME.match(line.target.id) and "Secret" not in unparsed(line.annotation)
        for line in info.node.body if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    )  # fmt: skip


def is_settings(index: Index, module: Module, value: ast.expr) -> bool:
    """Whether a call writes out the service's settings, which nobody sent."""
    func = value.func if isinstance(value, ast.Call) else None
    info = index.classes.get(index.kinds.of(module, func.value) or "") if isinstance(func, ast.Attribute) else None
    return info is not None and any(unparsed(base).endswith("BaseSettings") for base in info.node.bases)


def _shows_fields(index: Index, info: ClassInfo, depth: int) -> bool:
    if any("dataclass" in unparsed(decorator) for decorator in info.node.decorator_list):
        return True
    bases = [index.resolve(info.module, base) or "" for base in info.node.bases]
    if any(base in _SHOWING for base in bases):
        return True
    above = [index.classes[base] for base in bases if base in index.classes]
    return depth < _DEPTH and any(_shows_fields(index, one, depth + 1) for one in above)

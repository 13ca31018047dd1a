"""The JSON that a class of fields wants: pydantic models, dataclasses, typed dictionaries."""

from __future__ import annotations

import ast
from typing import Any

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import ClassInfo
from swarm.analysis.source import Module
from swarm.intake.values.examples import plausible

_BASES = frozenset({"pydantic.BaseModel", "pydantic.main.BaseModel", "sqlmodel.SQLModel", "typing.TypedDict",
                    "typing_extensions.TypedDict", "pydantic.v1.BaseModel", "pydantic.RootModel",
                    "msgspec.Struct"})  # fmt: skip
_PLAIN = {"str": "str", "int": "int", "float": "float", "bool": "bool", "Decimal": "float", "dict": "dict",
          "Dict": "dict", "list": "list", "List": "list"}  # fmt: skip
_DEPTH = 6


def model_class(index: Index, module: Module, annotation: ast.expr | None) -> ClassInfo | None:
    """The class of fields that an annotation names, `Optional[...]`, `Annotated[...]` and `| None` looked through."""
    if annotation is None:
        return None
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name | ast.Attribute):
            info = index.classes.get(index.resolve(module, node) or "")
            if info is not None and is_model(index, info):
                return info
    return None


def is_model(index: Index, info: ClassInfo, depth: int = 0) -> bool:
    """Whether a class is a model, over bases of the target's own."""
    for base in info.node.bases:
        named = base.value if isinstance(base, ast.Subscript) else base
        dotted = index.resolve(info.module, named) or ""
        if dotted in _BASES:
            return True
        if depth < _DEPTH and dotted in index.classes and is_model(index, index.classes[dotted], depth + 1):
            return True
    return False


def example_of_model(index: Index, info: ClassInfo, depth: int = 0) -> dict[str, Any]:
    """What the model takes: each field that it needs, and plain optional ones."""
    found: dict[str, Any] = {}
    for base in info.node.bases:
        parent = index.classes.get(index.resolve(info.module, base) or "")
        if parent is not None and depth < _DEPTH:
            found |= example_of_model(index, parent, depth + 1)
    for statement in info.node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name = statement.target.id
        if name.startswith("_") or name == "model_config" or "ClassVar" in unparsed(statement.annotation):
            continue
        if statement.value is not None and not _is_needed(statement.value):
            continue
        found[_alias(statement.value) or name] = _value(index, info.module, statement.annotation, name, depth)
    return found


def _is_needed(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return value.value is Ellipsis
    if isinstance(value, ast.Call) and unparsed(value.func).rsplit(".", 1)[-1] == "Field":
        if value.args:
            return isinstance(value.args[0], ast.Constant) and value.args[0].value is Ellipsis
        return not {keyword.arg for keyword in value.keywords} & {"default", "default_factory"}
    return False


def _alias(value: ast.expr | None) -> str:
    if isinstance(value, ast.Call):
        for keyword in value.keywords:
            if keyword.arg in ("alias", "validation_alias") and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return ""


def _value(index: Index, module: Module, node: ast.expr, name: str, depth: int) -> Any:
    """A value of an annotation."""
    if depth > _DEPTH:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return plausible(name)
    if isinstance(node, ast.BinOp):  # X | None
        return _value(index, module, node.left, name, depth + 1)
    if isinstance(node, ast.Subscript):
        return _of_subscript(index, module, node, name, depth)
    info = index.classes.get(index.resolve(module, node) or "")
    if info is not None:
        return _of_class(index, info, name, depth)
    word = unparsed(node).rsplit(".", 1)[-1]
    if word in _PLAIN:
        return plausible(name, _PLAIN[word])
    fixed = {
        "EmailStr": "{{uuid}}@example.com", "HttpUrl": "https://example.com/path",
        "AnyUrl": "https://example.com/path",
        "AnyHttpUrl": "https://example.com/path", "UUID": "{{uuid}}", "UUID4": "{{uuid}}", "datetime": "{{now}}",
        "date": "2026-01-02", "PositiveInt": 2, "NonNegativeInt": 2, "PositiveFloat": 1.5,
        "IPvAnyAddress": "192.0.2.1",
    }  # fmt: skip
    return fixed.get(word, plausible(name))


def _of_class(index: Index, info: ClassInfo, name: str, depth: int) -> Any:
    if is_model(index, info):
        return example_of_model(index, info, depth + 1)
    for value in info.attributes.values():  # an enum's first member
        if isinstance(value, ast.Constant):
            return value.value
    return plausible(name)


def _of_subscript(index: Index, module: Module, node: ast.Subscript, name: str, depth: int) -> Any:
    outer = unparsed(node.value).rsplit(".", 1)[-1]
    inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
    if outer == "Literal":
        return inner.value if isinstance(inner, ast.Constant) else "value"
    if outer in ("List", "list", "Sequence", "Set", "set", "Tuple", "tuple", "conlist", "Iterable"):
        return [_value(index, module, inner, name.rstrip("s"), depth + 1)]
    if outer in ("Dict", "dict", "Mapping"):
        return {}
    return _value(index, module, inner, name, depth + 1)

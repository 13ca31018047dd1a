"""Objects of the target's classes: made by `__init__` or by their fields, read by what the class says of them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from swarm.analysis.dataflow.binding import bind
from swarm.analysis.dataflow.frames import Frame
from swarm.analysis.dataflow.incoming import has_pattern, is_plain
from swarm.analysis.dataflow.values import OUTSIDE, UNKNOWN, Value, container, derived, literal
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters

if TYPE_CHECKING:
    from swarm.analysis.dataflow.interpreter import Interpreter
    from swarm.analysis.parts import ClassInfo

MOST_DEPTH = 7


class Objects:
    """Makes objects and gives their attributes."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._run = interpreter

    def constructed(
        self, dotted: str, node: ast.Call, arguments: list[Value], keywords: dict[str, Value], frame: Frame
    ) -> Value:
        """An object of a class of the target's, with what its `__init__` puts into it."""
        made = Value(kind=dotted, fields={})
        init = self._run.index.method(dotted, "__init__")
        if init is not None and self._run.calls.may_enter(init, frame):
            bound = bind(init, [made, *arguments], keywords)
            outcome = self._run.calls.invoke(init, bound, frame, {})
            names = [argument.arg for argument in parameters(init.node)]
            return outcome.after.get(names[0], made) if names else made
        info = self._run.index.classes[dotted]
        fields: dict[str, Value] = {}
        for name, value in [*zip(info.annotations, arguments, strict=False), *keywords.items()]:
            is_fixed = is_plain(self._run.index, info.module, info.annotations.get(name)) and _is_model(
                self._run, dotted
            )
            fields[name] = UNKNOWN if is_fixed else value
        rest = keywords.get("**", UNKNOWN)
        return Value(taints=derived(rest, *fields.values()).taints, kind=dotted, fields=fields)

    def attribute_of(self, owner: Value, name: str, node: ast.expr, frame: Frame) -> Value:
        """An attribute of an object of the target's class, by what the class says of it."""
        index = self._run.index
        method = index.method(owner.kind, name)
        if method is not None:
            is_property = any(unparsed(d).rsplit(".", 1)[-1] in ("property", "cached_property")
                              for d in method.node.decorator_list)  # fmt: skip
            if not is_property:
                return Value(function=method)
            if not self._run.calls.may_enter(method, frame):
                return derived(owner)
            return self._run.calls.invoke(method, bind(method, [owner], {}), frame, {}).value
        for dotted in _lineage(self._run, owner.kind):
            info = index.classes[dotted]
            if name in info.annotations:
                if not owner.taints or is_plain(index, info.module, info.annotations[name]):
                    return UNKNOWN
                if _has_pattern(info, name) or _has_validator(info, name):
                    return UNKNOWN
                inner = _inner_class(self._run, info.module, info.annotations[name])
                return Value(taints=owner.taints, text=OUTSIDE, kind=inner)
            if name in info.attributes and owner.fields is None:
                value = info.attributes[name]
                return literal(value.value) if isinstance(value, ast.Constant) else UNKNOWN
        return Value(taints=owner.taints) if owner.fields is None else UNKNOWN

    def all_fields(self, owner: Value, node: ast.expr, frame: Frame) -> Value:
        """`model.model_dump()`: each field by its name."""
        items: dict[object, Value] = {}
        for dotted in _lineage(self._run, owner.kind):
            for name in self._run.index.classes[dotted].annotations:
                items.setdefault(name, self._run.names.part(owner, name, node, frame))
        return container("dict", items) if items else derived(owner)


def _lineage(run: Interpreter, dotted: str) -> list[str]:
    found: list[str] = []
    todo = [dotted]
    while todo and len(found) < 8:
        current = todo.pop(0)
        info = run.index.classes.get(current)
        if info is None or current in found:
            continue
        found.append(current)
        todo += [run.index.resolve(info.module, base) or "" for base in info.node.bases]
    return found


def _is_model(run: Interpreter, dotted: str) -> bool:
    """Whether the class checks its fields: pydantic's and SQLModel's do, plain dataclasses don't."""
    for name in _lineage(run, dotted):
        info = run.index.classes[name]
        if any(
            (run.index.resolve(info.module, base) or "").startswith(("pydantic.", "sqlmodel."))
            for base in info.node.bases
        ):
            return True
    return False


def _has_pattern(info: ClassInfo, name: str) -> bool:
    for statement in info.node.body:
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.target.id == name
        ):
            return isinstance(statement.value, ast.Call) and has_pattern(statement.value)
    return False


def _has_validator(info: ClassInfo, name: str) -> bool:
    """Whether a validator of pydantic looks at the field: what it lets pass is for it to know."""
    for method in info.methods.values():
        for decorator in method.node.decorator_list:
            is_one = isinstance(decorator, ast.Call) and unparsed(decorator.func).endswith("validator")
            given = decorator.args if is_one and isinstance(decorator, ast.Call) else []
            if any(isinstance(named, ast.Constant) and named.value in (name, "*") for named in given):
                return True
    return False


def _inner_class(run: Interpreter, module: Module, annotation: ast.expr) -> str:
    for node in walk(annotation):
        if isinstance(node, ast.Name | ast.Attribute):
            dotted = run.index.resolve(module, node)
            if dotted in run.index.classes:
                return dotted
    return ""

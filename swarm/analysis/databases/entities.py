"""Which mapped class an object is of that a session gave: `session.get(Lead, key)`, `….scalars().first()`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from swarm.analysis.databases.models import Model, models_of
from swarm.analysis.databases.statements import entity
from swarm.analysis.source import Module

if TYPE_CHECKING:
    from swarm.analysis.index import Index

ONE = ("first", "one", "one_or_none", "scalar_one", "scalar_one_or_none", "get", "get_or_404", "first_or_404")
MAX_DEPTH = 12


def object_of(index: Index, module: Module, call: ast.Call) -> str | None:
    """The dotted mapped class of the one object that a call gives, or None."""
    if not isinstance(call.func, ast.Attribute):
        return None
    name, models = call.func.attr, models_of(index)
    if not models.by_dotted or name not in (*ONE, "get_one", "scalar", "merge"):
        return None
    model: Model | None = None
    if name in ("get", "get_one") and call.args:
        model = models.find(module, call.args[0])
    elif name == "scalar" and call.args:
        model = entity(index, module, call.args[0])
    if name == "merge" and call.args:
        return index.kinds.of(module, call.args[0])
    if model is None and name in ONE:
        model = _source(index, module, call.func.value, wrapped=not name.startswith("scalar"))
    return model.dotted if model is not None and model.is_class else None


def objects_of(index: Index, module: Module, value: ast.AST, depth: int = 0) -> Model | None:
    """The mapped class of the objects that a list or result holds: `….scalars().all()`, a name of it."""
    if isinstance(value, ast.Await):
        return objects_of(index, module, value.value, depth)
    if isinstance(value, ast.Name) and depth < MAX_DEPTH:
        function = module.enclosing_function(value)
        values = index.kinds.bindings(function).get(value.id, []) if function is not None else []
        return objects_of(index, module, values[0], depth + 1) if len(values) == 1 else None
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("list", "tuple") \
            and value.args:  # fmt: skip
        return objects_of(index, module, value.args[0], depth + 1)
    return _source(index, module, value, wrapped=True, depth=depth)


def _source(index: Index, module: Module, value: ast.AST, *, wrapped: bool, depth: int = 0) -> Model | None:
    """The entity of a result; `wrapped` where it must be one of scalars, not of rows."""
    if depth > MAX_DEPTH:
        return None
    match value:
        case ast.Await(value=inner):
            return _source(index, module, inner, wrapped=wrapped, depth=depth + 1)
        case ast.Name():
            function = module.enclosing_function(value)
            values = index.kinds.bindings(function).get(value.id, []) if function is not None else []
            if len(values) == 1:
                return _source(index, module, values[0], wrapped=wrapped, depth=depth + 1)
        case ast.Call(func=ast.Attribute(attr="scalars", value=inner), args=[]):
            return _source(index, module, inner, wrapped=False, depth=depth + 1)
        case ast.Call(func=ast.Attribute(attr="scalars" | "exec"), args=[statement, *_]):
            return entity(index, module, statement)
        case ast.Call(func=ast.Attribute(attr="execute"), args=[statement, *_]) if not wrapped:
            return entity(index, module, statement)
        case ast.Call(func=ast.Attribute(attr="query"), args=[model]):
            return models_of(index).find(module, model)
        case ast.Attribute(attr="query", value=owner):
            return models_of(index).find(module, owner)
        case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name not in ("with_entities", "subquery"):
            return _source(index, module, inner, wrapped=wrapped, depth=depth + 1)
    return None

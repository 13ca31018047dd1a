"""Where a value goes without an assignment to its name: a function's parameters, the state of an application."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from swarm.analysis.kinds.common_methods import COMMON_METHODS
from swarm.analysis.kinds.implementations import derived
from swarm.analysis.source import Module, parameters

if TYPE_CHECKING:
    from swarm.analysis.index import Index
    from swarm.analysis.parts import Function

NOTE, ASYNC_MAKERS = "put into states", "makers of async sessions"
APPLICATIONS = ("flask.Flask", "fastapi.FastAPI", "starlette.applications.Starlette")
FLASK_STATES = ("flask.g", "flask.current_app")
MOST_CALLERS = 12  # a function that many call takes many kinds of things


def is_state(index: Index, module: Module, owner: ast.expr) -> bool:
    """Whether an expression is a bag that services keep things in: `request.app.state`, `flask.g`."""
    if isinstance(owner, ast.Attribute):
        return owner.attr in ("state", "app")  # `request.app.store`
    if not isinstance(owner, ast.Name) or owner.id in ("self", "cls"):
        return False
    return index.resolve(module, owner) in FLASK_STATES or index.kinds.of(module, owner) in APPLICATIONS


def in_extensions(node: ast.expr) -> str | None:
    """The name of `app.extensions["store"]` among what is kept."""
    match node:
        case ast.Subscript(value=ast.Attribute(attr="extensions"), slice=ast.Constant(value=str(name))):
            return f"extensions[{name}]"
    return None


def is_property(function: Function) -> bool:
    """Whether a method is read as an attribute."""
    names = (getattr(mark, "attr", getattr(mark, "id", "")) for mark in function.node.decorator_list)
    return any(name in ("property", "cached_property") for name in names)


def put_into_state(index: Index, name: str) -> Sequence[tuple[Module, ast.expr]]:
    """The expressions that the tree puts under a name into such a bag, a lifespan's `yield {…}` included."""
    if NOTE not in index.notes:
        index.notes[NOTE] = _states(index)
    return cast("dict[str, list[tuple[Module, ast.expr]]]", index.notes[NOTE]).get(name, ())


def _states(index: Index) -> dict[str, list[tuple[Module, ast.expr]]]:
    found: dict[str, list[tuple[Module, ast.expr]]] = {}
    for module in index.tree.modules.values():
        for assigned in module.nodes(ast.Assign):
            for target in assigned.targets:
                kept = in_extensions(target)
                if isinstance(target, ast.Attribute) and is_state(index, module, target.value):
                    kept = target.attr
                if kept:
                    found.setdefault(kept, []).append((module, assigned.value))
        for yielded in module.nodes(ast.Yield):
            pairs = zip(yielded.value.keys, yielded.value.values, strict=True) \
                if isinstance(yielded.value, ast.Dict) else ()  # fmt: skip
            for key, value in pairs:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    found.setdefault(key.value, []).append((module, value))
    return found


def given_to(index: Index, function: Function, name: str) -> Iterator[tuple[Module, ast.expr | None]]:
    """What each caller hands to one of a function's parameters; None where it leaves it out, or a star hides it."""
    names = [argument.arg for argument in parameters(function.node)]
    place = names.index(name) - (names[0] in ("self", "cls"))
    for module, call in _callers(index, function):
        by_name = next((word.value for word in call.keywords if word.arg == name), None)
        given = call.args[1:] if _is_view(call) else call.args
        starred = any(isinstance(value, ast.Starred) for value in given)
        by_place = given[place] if 0 <= place < len(given) and not starred else None
        yield module, by_name if by_name is not None else by_place


def _callers(index: Index, function: Function) -> Iterator[tuple[Module, ast.Call]]:
    """The calls of a function that its name tells, for a constructor its class's; none where many call it."""
    owner = function.dotted.rpartition(".")[0]
    is_init = function.name == "__init__"
    name = owner.rpartition(".")[2] if is_init else function.name
    if is_init:
        yield from _made(index, owner)
        return
    calls = index.calls_named(name)
    if len(calls) > MOST_CALLERS:
        return
    alone = function.class_name is not None and name not in COMMON_METHODS and len(index.methods_named(name)) == 1
    for module, call in calls:
        if index.resolve(module, call.func) == function.dotted or (alone and _is_late(index, module, call)):
            yield module, call


def _made(index: Index, dotted: str) -> Iterator[tuple[Module, ast.Call]]:
    """The calls that run a class's `__init__`: its own, and those of classes that derive from it."""
    for module, call in index.calls_named(dotted.rpartition(".")[2]):
        if index.resolve(module, call.func) == dotted:
            yield module, call
    for module, call in index.calls_named("as_view"):
        if isinstance(call.func, ast.Attribute) and index.resolve(module, call.func.value) == dotted:
            yield module, call
    for info in derived(index, dotted):
        init = info.methods.get("__init__")
        if init is None:
            yield from _made(index, info.dotted)
            continue
        for call in index.calls(init):
            match call.func:
                case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"):
                    yield info.module, call


def _is_view(call: ast.Call) -> bool:
    """`Hook.as_view("hook", store)`: what stands behind the name goes to each view's `__init__`."""
    return isinstance(call.func, ast.Attribute) and call.func.attr == "as_view"


def _is_late(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether what is called is a method of something that only a run tells: `service.store(session)`."""
    return isinstance(call.func, ast.Attribute) and index.resolve(module, call.func) is None


def assigned(index: Index, module: Module, expression: ast.expr) -> tuple[Module, ast.AST | None]:
    """What a name or an attribute of an object was given, with the module in which that stands."""
    if isinstance(expression, ast.Call):
        return module, expression
    function = module.enclosing_function(expression)
    if isinstance(expression, ast.Name) and function is not None:
        values = index.kinds.bindings(function).get(expression.id, [])
        if values:
            return module, values[0]
    home, name = index.tree.split(index.resolve(module, expression) or "", module)
    if home is not None and name in home.globals:
        return home, getattr(home.globals[name], "value", None)
    if isinstance(expression, ast.Attribute):
        info = index.classes.get(index.kinds.of(module, expression.value) or "")
        if info is not None and expression.attr in info.attributes:
            return info.module, info.attributes[expression.attr]
    return module, None


def makes_async_sessions(index: Index) -> bool:
    """Whether a plain `sessionmaker` of the tree is told to make async sessions: `class_=AsyncSession`."""
    if ASYNC_MAKERS not in index.notes:
        index.notes[ASYNC_MAKERS] = any(
            keyword.arg == "class_"
            and getattr(keyword.value, "id", getattr(keyword.value, "attr", "")) == "AsyncSession"
            for _, call in index.calls_named("sessionmaker")
            for keyword in call.keywords
        )
    return bool(index.notes[ASYNC_MAKERS])

"""Objects that a framework hands to a handler and that work can make for itself: `service: Service = Depends()`."""

from __future__ import annotations

import ast

from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.routes.finding import DEPENDS
from swarm.analysis.source import parameters


def made_anew(index: Index, handler: Function) -> dict[str, str]:
    """The handler's parameters that a provider without parameters of its own makes, with the call that does so."""
    arguments = handler.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip([a.arg for a in positional][::-1], arguments.defaults[::-1], strict=False))
    keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    defaults |= {argument.arg: value for argument, value in keyword_only if value is not None}
    found: dict[str, str] = {}
    for argument in parameters(handler.node):
        depends = defaults.get(argument.arg) or _annotated(argument.annotation)
        if not isinstance(depends, ast.Call) or index.resolve(handler.module, depends.func) not in DEPENDS:
            continue
        provider = depends.args[0] if depends.args else _kind(argument.annotation)
        if isinstance(provider, ast.Name | ast.Attribute) and _makes_alone(index, handler, provider):
            found[argument.arg] = f"{handler.module.segment(provider)}()"
    return found


def _annotated(annotation: ast.expr | None) -> ast.expr | None:
    """The `Depends(…)` of `Annotated[Service, Depends(…)]`, written in place."""
    match annotation:
        case ast.Subscript(slice=ast.Tuple(elts=[_, *several])):
            return next((one for one in several if isinstance(one, ast.Call)), None)
    return None


def _kind(annotation: ast.expr | None) -> ast.expr | None:
    match annotation:
        case ast.Subscript(slice=ast.Tuple(elts=[first, *_])):
            return first
    return annotation


def _makes_alone(index: Index, handler: Function, provider: ast.expr) -> bool:
    """Whether a class or function makes the same from nothing, at any time: no request, no wait, no end to mind."""
    dotted = index.resolve(handler.module, provider)
    if dotted in index.classes:
        init = index.method(dotted, "__init__")
        return init is None or (_needs_nothing(init) and not _waits(index, init))
    function = index.named_function(handler.module, provider)
    if function is None or function.is_async or index.own_of(function, ast.Yield, ast.YieldFrom):
        return False
    return _needs_nothing(function) and not _waits(index, function)


def _needs_nothing(function: Function) -> bool:
    return not [argument for argument in parameters(function.node) if argument.arg not in ("self", "cls")]


def _waits(index: Index, function: Function) -> bool:
    reached = [effects for _, effects in effects_cache(index).reached(function)]
    return any(one.http or one.sql or one.blocking or one.unknown_database for one in reached)

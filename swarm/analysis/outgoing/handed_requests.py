"""Requests whose verb is handed in: `self._request("GET", path)` asks, by a function that may send anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace

from swarm.analysis.databases.handed_statements import given_for
from swarm.analysis.effects import HttpCall, effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.source import Module, parameters

UNKNOWN = "?"
MOST_STEPS = 5


def requests_of(index: Index, module: Module, call: ast.Call) -> tuple[tuple[Function, HttpCall], ...]:
    """All requests that a call of a function of the target's makes, each with its function; verbs filled in."""
    callee = index.run_by(module, call)
    if callee is None:
        return ()
    found = [(one, request) for one, effects in effects_cache(index).reached(callee) for request in effects.http]
    if all(request.verb != UNKNOWN for _, request in found):
        return tuple(found)
    bound = _bound(callee, call, {}) if index.resolve_call(module, call) is callee else {}
    return tuple(dict.fromkeys(_requests(index, callee, bound, 0, set())))


def _requests(
    index: Index, function: Function, bound: Mapping[str, str], depth: int, seen: set[object]
) -> Iterator[tuple[Function, HttpCall]]:
    if (function, *bound.items()) in seen:
        return
    seen.add((function, *bound.items()))
    for request in effects_cache(index).of(function).http:
        name = _verb_name(request.call) if request.verb == UNKNOWN else ""
        yield function, replace(request, verb=bound.get(name, UNKNOWN).upper()) if name else request
    for call in index.calls(function):
        callee = index.run_by(function.module, call)
        if callee is not None and depth < MOST_STEPS:
            inner = _bound(callee, call, bound) if index.resolve_call(function.module, call) is callee else {}
            yield from _requests(index, callee, inner, depth + 1, seen)
    for other in index.handed_over(function):
        yield from _requests(index, other, {}, depth + 1, seen)


def _verb_name(call: ast.Call) -> str:
    """The variable that holds the verb, `method.upper()` included."""
    verb = next((word.value for word in call.keywords if word.arg == "method"), call.args[0] if call.args else None)
    if isinstance(verb, ast.Call) and isinstance(verb.func, ast.Attribute) and not verb.args:
        verb = verb.func.value
    return verb.id if isinstance(verb, ast.Name) else ""


def _bound(callee: Function, call: ast.Call, around: Mapping[str, str]) -> dict[str, str]:
    """The parameters of which the call tells a text: a constant, or what its own function was given."""
    found: dict[str, str] = {}
    signature = callee.node.args
    defaults = dict(zip([a.arg for a in signature.args][::-1], signature.defaults[::-1], strict=False))
    for argument in parameters(callee.node):
        value = given_for(callee, call, argument.arg) or defaults.get(argument.arg)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            found[argument.arg] = value.value
        elif isinstance(value, ast.Name) and value.id in around:
            found[argument.arg] = around[value.id]
    return found

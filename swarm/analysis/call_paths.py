"""From routes downwards: which requests run a function, and by which way."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from swarm.analysis.parts import Function, Route

if TYPE_CHECKING:
    from swarm.analysis.index import Index


def routes_by_function(index: Index) -> dict[Function, tuple[Route, ...]]:
    """For each function the routes whose requests may run it, in the order of the routes."""
    found: dict[Function, list[Route]] = {}
    for route in index.routes:
        for function in _ways_down(index, route.function):
            found.setdefault(function, []).append(route)
    return {function: tuple(routes) for function, routes in found.items()}


def call_path(index: Index, route: Route, function: Function) -> tuple[Function, ...]:
    """A shortest way from a route's handler down to a function, both included; empty where there is none."""
    before = _ways_down(index, route.function)
    way: list[Function] = []
    step: Function | None = function if function in before else None
    while step is not None:
        way.append(step)
        step = before[step]
    return tuple(reversed(way))


def _ways_down(index: Index, handler: Function) -> dict[Function, Function | None]:
    """What a handler reaches, each with the one that it is reached from by the shortest way."""
    before: dict[Function, Function | None] = {handler: None}
    todo = deque([handler])
    while todo:
        current = todo.popleft()
        for callee in index.mentions(current):
            if callee not in before:
                before[callee] = current
                todo.append(callee)
    return before

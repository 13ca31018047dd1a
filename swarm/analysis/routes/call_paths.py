"""From routes downwards: which requests run a function."""

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
        for function in _reached(index, route.function):
            found.setdefault(function, []).append(route)
    return {function: tuple(routes) for function, routes in found.items()}


def _reached(index: Index, handler: Function) -> list[Function]:
    """A handler and all that it may run, the nearest first."""
    reached = {handler: None}
    todo = deque([handler])
    while todo:
        for callee in index.mentions(todo.popleft()):
            if callee not in reached:
                reached[callee] = None
                todo.append(callee)
    return list(reached)

"""Findings with ids of their own: the second of two alike in one function is not lost as the same one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import wraps
from typing import TypeVar, TypeVarTuple

from swarm.analysis.index import Function, Index, Route
from swarm.core.findings import Finding

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


def once_a_handler(told: Iterable[tuple[Route, *Ts]]) -> Iterator[tuple[Route, *Ts]]:
    """What is told of routes, each handler's first alone: one function may serve several addresses."""
    seen: set[Function] = set()
    for one in told:
        if one[0].function not in seen:
            seen.add(one[0].function)
            yield one


def distinct(find: Callable[[R, Index], Iterable[Finding]]) -> Callable[[R, Index], Iterator[Finding]]:
    """Decorates `Rule.find`: repeated anchors in one file get a number, in the order of the source."""

    @wraps(find)
    def numbered(self: R, index: Index) -> Iterator[Finding]:
        seen: Counter[tuple[str, str]] = Counter()
        for finding in find(self, index):
            key = finding.file, finding.anchor
            seen[key] += 1
            yield finding if seen[key] == 1 else replace(finding, anchor=f"{finding.anchor} #{seen[key]}")

    return numbered

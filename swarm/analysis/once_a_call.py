"""Questions about one call that many rules ask: what was worked out is kept with the index."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from swarm.analysis.index import Index

T = TypeVar("T")
Home = TypeVar("Home")  # the module or the function that the call stands in


def once_a_call(work: Callable[[Index, Home, ast.Call], T]) -> Callable[[Index, Home, ast.Call], T]:
    """Decorates a question. What a search that was cut short came to is right for it alone, and not kept."""
    note = f"once a call: {work.__module__}.{work.__qualname__}"

    @wraps(work)
    def answer(index: Index, home: Home, call: ast.Call) -> T:
        known = cast("dict[ast.Call, T] | None", index.notes.get(note))
        if known is None:
            known = index.notes[note] = {}
        elif call in known:
            return known[call]
        answers = index.kinds.answers
        cuts = answers.cuts
        found = work(index, home, call)
        if answers.cuts == cuts or not answers.searching:
            known[call] = found
        return found

    return answer

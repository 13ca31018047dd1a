"""Answers to questions that lead to others, and may lead back to themselves.

A search ends where it meets a question that it is about, or goes too deep. What was answered on the way to there is
right for this search alone: it is forgotten with it, so that no answer depends on what was asked before. Threads
share what was worked out to the end, and nothing that a search of another is about.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable, Hashable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from swarm.analysis.index import Index

_UNKNOWN = object()

T = TypeVar("T")
Question = TypeVar("Question", bound=Hashable)
Home = TypeVar("Home")  # the module or the function that a call stands in


class _Search(threading.local):
    """What one thread is working out."""

    def __init__(self) -> None:
        self.open: set[Hashable] = set()  # the questions that it is about right now
        self.halves: dict[Hashable, Any] = {}  # answered in it, after it was cut short somewhere
        self.cuts = 0  # how often it was cut short


class Answers:
    """Keeps what was worked out to the end; None stands for what is not known. Safe to use from several threads."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._search = _Search()

    @property
    def searching(self) -> bool:
        """Whether this thread is working out some question."""
        return bool(self._search.open)

    def cut(self) -> None:
        """The search is cut short: what is answered on the way back is right for it alone."""
        self._search.cuts += 1

    def keep(self, kept: dict[Question, T], question: Question, work: Callable[..., T], *arguments: object) -> T:
        """The answer that a call of `work` gives, put into `kept` unless the search was cut short on the way."""
        before = self._search.cuts
        answer = work(*arguments)
        if self._search.cuts == before or not self.searching:
            kept[question] = answer
        return answer

    def of(self, question: Hashable, work: Callable[..., Any], *arguments: object) -> Any:
        """The answer, kept or worked out by a call of `work`; None where the search is about the question itself."""
        kept = self._kept.get(question, _UNKNOWN)
        if kept is not _UNKNOWN:
            return kept
        search = self._search
        if question in search.open or question in search.halves:
            search.cuts += 1
            return search.halves.get(question)
        search.open.add(question)
        before, answer = search.cuts, None
        try:
            answer = work(*arguments)
        finally:
            search.open.discard(question)
            if not search.open:
                self._kept[question] = answer
                search.halves.clear()
            elif search.cuts > before:
                search.halves[question] = answer
            else:
                self._kept[question] = answer
        return answer


def once_a_call(work: Callable[[Index, Home, ast.Call], T]) -> Callable[[Index, Home, ast.Call], T]:
    """Decorates a question about one call that many rules ask: its answer is kept with the index."""
    note = f"once a call: {work.__module__}.{work.__qualname__}"

    @wraps(work)
    def answer(index: Index, home: Home, call: ast.Call) -> T:
        known = cast("dict[ast.Call, T] | None", index.notes.get(note))
        if known is None:
            known = index.notes[note] = {}
        elif call in known:
            return known[call]
        return index.kinds.answers.keep(known, call, work, index, home, call)

    return answer

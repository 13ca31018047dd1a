"""Answers to questions that lead to others, and may lead back to themselves.

A search ends where it meets a question that it is about, or goes too deep. What was answered on the way to there is
right for this search alone: it is forgotten with it, so that no answer depends on what was asked before. Threads
share what was worked out to the end, and nothing that a search of another is about.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

_UNKNOWN = object()


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

    @property
    def cuts(self) -> int:
        """How often this thread's searches were cut short."""
        return self._search.cuts

    def cut(self) -> None:
        """The search is cut short: what is answered on the way back is right for it alone."""
        self._search.cuts += 1

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

"""Answers to questions that lead to others, and may lead back to themselves.

A search ends where it meets a question that it is about, or goes too deep. What was answered on the way to there is
right for this search alone: it is forgotten with it, so that no answer depends on what was asked before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

_OPEN = object()  # the search is about it right now
_UNKNOWN = object()


class Answers:
    """Keeps what was worked out to the end; None stands for what is not known."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._halves: set[Hashable] = set()  # answered in this search, after it was cut short somewhere
        self._asking = 0
        self.cuts = 0  # how often a search was cut short

    @property
    def searching(self) -> bool:
        """Whether some question is being worked out."""
        return self._asking > 0

    def of(self, question: Hashable, work: Callable[..., Any], *arguments: object) -> Any:
        """The answer, kept or worked out by a call of `work`; None where the search is about the question itself."""
        kept = self._kept.get(question, _UNKNOWN)
        if kept is _OPEN or question in self._halves:
            self.cuts += 1
        if kept is not _UNKNOWN:
            return None if kept is _OPEN else kept
        self._kept[question] = _OPEN
        self._asking += 1
        before, answer = self.cuts, None
        try:
            answer = work(*arguments)
        finally:
            self._asking -= 1
            self._kept[question] = answer
            if not self._asking:
                for half in self._halves:
                    del self._kept[half]
                self._halves.clear()
            elif self.cuts > before:
                self._halves.add(question)
        return answer

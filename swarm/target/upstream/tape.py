"""Answers of started programs, recorded once and played back, so that every replay meets the same."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from swarm.target.upstream.calls import FaultPoint
from swarm.target.upstream.known_work import KnownWork
from swarm.target.upstream.played import Question, Reply
from swarm.target.volatile import hard

TapeKey = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A call that is made to fail under the request of a traffic number; `met` says whether the original made it.

    One that was not met says nothing, and is sent all the same: its request leaves rows.
    """

    point: FaultPoint
    number: int
    met: bool


@dataclass(slots=True)
class Tape:
    """What one good run of the original heard, by mark and content; and what its replays must repeat.

    `faults` are the calls that are made to fail, in order; None before they are known.
    `ports` are those of the recording: replays take the same ones where they are free.
    `work` is how the original worked on each request, by mark.
    """

    answers: dict[str, dict[TapeKey, list[Reply]]] = field(default_factory=dict)
    faults: tuple[PlannedFault, ...] | None = None
    ports: dict[str, int] = field(default_factory=dict)
    payload_root: Path | None = None
    work: dict[str, KnownWork] = field(default_factory=dict)

    def record(self, upstream: str, question: Question, reply: Reply) -> None:
        """Keep one answer."""
        marked = self.answers.setdefault(question.mark, {})
        for key in _keys(upstream, question):
            marked.setdefault(key, []).append(reply)

    def player(self) -> Playback:
        """A fresh reader from the start."""
        return Playback(self)


@dataclass(slots=True)
class Playback:
    """One replay's place on a tape."""

    tape: Tape
    _heard: Counter[tuple[str, TapeKey]] = field(default_factory=Counter)

    def answer(self, upstream: str, question: Question) -> Reply | None:
        """The n-th answer for this content under this mark; its last one again where there are no more.

        A call that came under another mark (a cache that was filled earlier, a job that ran later) is
        answered from there; None where the tape holds nothing like it.
        """
        exact, loose = _keys(upstream, question)
        for key in (exact, loose):
            here = self.tape.answers.get(question.mark, {}).get(key)
            if here:
                heard = self._heard[(question.mark, key)]
                self._heard[(question.mark, key)] += 1
                return here[min(heard, len(here) - 1)]
        for marked in self.tape.answers.values():
            if exact in marked:
                return marked[exact][-1]
        return None


def _keys(upstream: str, question: Question) -> tuple[TapeKey, TapeKey]:
    """By the body as it is, and by its shape: a body may hold a clock or an id made up anew."""
    shape = hard(question.body.decode("utf-8", "replace")).encode()
    address = f"{question.path}?{question.query}"
    return (
        (upstream, question.method, address, "=" + hashlib.sha256(question.body).hexdigest()),
        (upstream, question.method, address, "~" + hashlib.sha256(shape).hexdigest()),
    )

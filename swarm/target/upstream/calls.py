"""What the target asked of its upstreams: each call with its times, and whether all is quiet."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from swarm.core.log_records import hands_over_log
from swarm.core.model_calls import is_question

Effect = Literal["read", "write"]
FAILING = frozenset({408, 425, 429})  # and every 5xx
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
KEPT_CALLS = 100_000
# a version (v2, 2021-07) names a route; other digits, and long words, are somebody's id
_IDENTIFIER = re.compile(r"(?!v\d+(?:\.\d+)?$)^(?=.*\d)|^.{20,}$")


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """One call. Times are `time.monotonic` seconds: the request read to its end, the answer about to be sent.

    `request` is the mark that was set when it began ("" where none was). `tape` says where the answer of a
    started program came from: "" the program itself, "played" the tape, "missed" the tape held none.
    """

    upstream: str
    method: str
    path: str
    query: str
    body: bytes
    status: int
    start_s: float
    end_s: float
    effect: Effect
    headers: Mapping[str, str]
    request: str = ""
    tape: Literal["", "played", "missed"] = ""

    @property
    def failed_in_passing(self) -> bool:
        """Whether the same call might go through a moment later."""
        return self.status >= 500 or self.status in FAILING


def effect_of(method: str, declared: Effect | None = None, path: str = "", body: bytes = b"") -> Effect:
    """What a call does there, as declared; else by its method.

    A question to a model only reads. So does a log on its way to who keeps it: what a service logs is no promise.
    """
    if declared is not None:
        return declared
    reads = method in READING_METHODS or is_question(method, path, body) or hands_over_log(method, path, body)
    return "read" if reads else "write"


def path_shape(path: str) -> str:
    """A path with what looks like an id in it as `*`: calls of one shape go to one route."""
    return "/".join("*" if _IDENTIFIER.search(part) else part for part in path.split("/"))


@dataclass(frozen=True, slots=True, order=True)
class FaultPoint:
    """The calls of one upstream that are to fail: those with this method and path shape."""

    upstream: str
    method: str
    shape: str

    def hits(self, upstream: str, method: str, path: str) -> bool:
        """Whether a call is one of them."""
        return (self.upstream, self.method, self.shape) == (upstream, method, path_shape(path))


@dataclass(slots=True)
class CallLog:
    """Calls as they end, and how many have not ended yet. Lives on one event loop."""

    mark: str = ""
    calls: list[UpstreamCall] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    in_flight: int = 0
    last_moved_s: float = 0.0  # when the last call began or ended

    @contextmanager
    def flight(self) -> Iterator[float]:
        """Counts one call as in flight; gives the moment of its start."""
        started_s = time.monotonic()
        self.last_moved_s = started_s
        self.in_flight += 1
        try:
            yield started_s
        finally:
            self.in_flight -= 1
            self.last_moved_s = time.monotonic()

    def add(self, call: UpstreamCall) -> None:
        """Keep one call; the oldest half goes when there are too many."""
        if len(self.calls) >= KEPT_CALLS:
            del self.calls[: KEPT_CALLS // 2]
        self.calls.append(call)

    def refuse(self, what: str) -> None:
        """Note a call that nobody plays, each once."""
        if what not in self.refused:
            self.refused.append(what)

    async def quiet(self, calm_s: float = 0.06, limit_s: float = 3.0) -> bool:
        """Wait until no call was in flight for `calm_s`; False where `limit_s` passed first.

        Between two calls of one request there may be a pause: it must not be taken for the end.
        """
        asked_s = time.monotonic()
        while True:
            now_s = time.monotonic()
            idle_s = now_s - max(self.last_moved_s, asked_s)
            if self.in_flight == 0 and idle_s >= calm_s:
                return True
            if now_s - asked_s >= limit_s:
                return False
            await asyncio.sleep(max(0.005, calm_s - idle_s) if self.in_flight == 0 else 0.01)

"""Holds upstream answers to the usual latency of their route, so that trees are compared without upstream chance.

An upstream's jitter is larger than what many a patch gains, and meets every tree at other moments. While `on`,
an answer that comes before the 90th percentile of what its route took so far waits until then, and a call that
the upstream fails is made again. The first call of a connection is a route of its own: what opening one costs
must show. All servers share one `Steady`.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from swarm.target.upstream.calls import path_shape
from swarm.target.upstream.played import Question, Reply

KEPT = 60
SHARE = 0.9
ATTEMPTS = 4
Route = tuple[str, str, str, bool]


@dataclass(slots=True)
class Steady:
    """What routes took, and whether their answers are held to it."""

    on: bool = False
    _took_s: dict[Route, list[float]] = field(default_factory=dict)

    async def reply(self, name: str, question: Question, fresh: bool, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """The answer that `ask` gives, not before its route's usual time; `fresh` on a connection's first call."""
        if not self.on:
            return await ask()
        route = (name, question.method, path_shape(question.path), fresh)
        for left in reversed(range(ATTEMPTS)):
            began_s = time.monotonic()
            reply = await ask()
            if reply.status < 500 or reply.refused or not left:
                break
        took_s = time.monotonic() - began_s
        known = self._took_s.setdefault(route, [])
        if len(known) < KEPT:
            bisect.insort(known, took_s)
        held_s = known[min(len(known) - 1, int(SHARE * len(known)))]
        await asyncio.sleep(max(0.0, held_s - took_s))
        return reply

"""The measuring lease: while something is measured, nothing else heavy runs on the machine."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

_Kind = Literal["measuring", "working"]


class Lease:
    """Exclusive for a measurer, shared among workers, first come first served.

    Whoever waits blocks those who come later, so neither side starves. It is not reentrant: whoever holds it
    must not ask for it again.
    """

    def __init__(self) -> None:
        self._measuring = False
        self._workers = 0
        self._waiting: deque[tuple[_Kind, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Hold the machine alone."""
        await self._acquire("measuring")
        try:
            yield
        finally:
            self._measuring = False
            self._admit()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work beside other workers, never beside a measurer."""
        await self._acquire("working")
        try:
            yield
        finally:
            self._workers -= 1
            self._admit()

    async def _acquire(self, kind: _Kind) -> None:
        if not self._waiting and self._free_for(kind):
            self._take(kind)
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (kind, admitted)
        self._waiting.append(place)
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                # Admitted and cancelled in the same moment: give it back.
                self._give_back(kind)
            elif place in self._waiting:
                self._waiting.remove(place)
            self._admit()
            raise

    def _free_for(self, kind: _Kind) -> bool:
        return not self._measuring and (kind == "working" or self._workers == 0)

    def _take(self, kind: _Kind) -> None:
        if kind == "measuring":
            self._measuring = True
        else:
            self._workers += 1

    def _give_back(self, kind: _Kind) -> None:
        if kind == "measuring":
            self._measuring = False
        else:
            self._workers -= 1

    def _admit(self) -> None:
        while self._waiting:
            kind, admitted = self._waiting[0]
            if admitted.done():
                self._waiting.popleft()
                continue
            if not self._free_for(kind):
                return
            self._waiting.popleft()
            self._take(kind)
            admitted.set_result(None)

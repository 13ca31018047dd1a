"""W26: a kill right after the answer loses nothing of the event."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from swarm.config.schema import Webhook
from swarm.core.errors import TargetError
from swarm.probes.effects import growth, rows_seen
from swarm.probes.probe import Effects, Probe, ProbeContext, ProbeResult, route_of
from swarm.probes.traces import until
from swarm.target.upstream.calls import path_shape

if TYPE_CHECKING:
    from swarm.target.running.server import RunningServer
    from swarm.target.upstream.upstreams import Upstreams

_CALM_S = 0.4
_WORK_WITHIN_S = 3.0
_TRIES = 2

Kind = tuple[str, str, str]  # upstream, method, shape of the path


class KilledAfterAnswer(Probe):
    """Sends one event to a fresh start of the service and sees what comes of it; sends it to another fresh start,
    which is killed (as by `kill -9`) right after its 2xx and started again: the same must come of it then.

    A work that was made twice because the kill came in its middle is told, and is no loss.
    """

    id = "W26"
    title = "A kill right after the answer loses an event"
    severity = "high"
    cwe = ("CWE-703", "CWE-460")
    sources = ("OWASP ASVS 5.0 16.5.3", "Standard Webhooks: an event that was answered is not sent again")
    recommendation = "Do the work before the answer, or keep the event on disk before it."
    order = 66
    lane = "people"
    deadline_s = 40.0  # five programs start
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two requests and three starts for the webhook that does most; once more where an upstream failed."""
        if context.start_again is None or context.fresh_upstreams is None:
            return self.skipped("the service cannot be started a second time here")
        webhook = max(context.webhooks(), key=lambda hook: _size(context.good_effects[route_of(hook)]))
        for _ in range(_TRIES):
            try:
                seen = await _killed(context, webhook)
            except TargetError as error:
                return self.skipped(f"a second start failed: {str(error).splitlines()[0]}")
            if seen is None:
                return self.skipped("no event was seen to write anywhere: nothing to lose could be seen")
            if not seen.lost:
                again = f", {seen.again} of them twice" if seen.again else ""
                told = f"{seen.writes} upstream writes{again} and rows in {seen.tables} tables came all the same"
                return self.passed(told, route_of(webhook))
            if not seen.upstream_failed:
                words = "; ".join(seen.lost[:3])
                return self.failed(f"killed right after its answer and started again: {words}", route_of(webhook))
        return self.skipped("an upstream failed each time: whose fault a loss is cannot be told")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What came of an event though the service was killed after its answer."""

    writes: int
    tables: int
    lost: tuple[str, ...]
    again: int
    upstream_failed: bool


async def _killed(context: ProbeContext, webhook: Webhook) -> _Seen | None:
    """None where the event was not taken, or did nothing that could be lost.

    Each time the service and its upstreams are fresh: what they know of earlier events decides what is done.
    """
    number = next(context.number)
    async with AsyncExitStack() as stack:
        starting = [asyncio.create_task(_Alone.start(context, stack)) for _ in range(2)]
        try:
            whole, killed = await asyncio.gather(*starting)
        finally:
            await asyncio.wait(starting)  # what still starts must be ended with the rest
        if not await whole.took(webhook, number):
            return None
        await whole.upstreams.quiet(_CALM_S, _WORK_WITHIN_S)
        await asyncio.sleep(_CALM_S)
        writes, rows = whole.writes(), whole.grown()
        if not writes and not rows:
            return None
        taken = await killed.took(webhook, number)
        killed.server.kill()
        if not taken:
            return None
        await killed.restart(stack)

        def missing() -> tuple[str, ...]:
            lacking, now = writes - killed.writes(), killed.grown()
            fewer = sorted(table for table, count in rows.items() if now.get(table, 0) < count)
            return (
                *(f"{method} {upstream}{shape} never came" for upstream, method, shape in sorted(lacking)),
                *(f"{table} has fewer rows" for table in fewer),
            )

        async def over() -> bool:
            return not missing()

        await until(over, _WORK_WITHIN_S)
        again = (killed.writes() - writes).total()
        failed = any(call.status >= 500 for call in killed.upstreams.snapshot())
        return _Seen(writes.total(), len(rows), missing(), again, failed)


@dataclass(slots=True)
class _Alone:
    """A fresh start of the service beside fresh upstreams, which no other probe sees."""

    context: ProbeContext
    upstreams: Upstreams
    server: RunningServer
    rows: Mapping[str, int]

    @classmethod
    async def start(cls, context: ProbeContext, stack: AsyncExitStack) -> _Alone:
        assert context.start_again is not None and context.fresh_upstreams is not None
        upstreams = await stack.enter_async_context(context.fresh_upstreams())
        server = await stack.enter_async_context(context.start_again({}, None, upstreams))
        alone = cls(context, upstreams, server, {})
        alone.rows = rows_seen(alone.beside())
        return alone

    async def restart(self, stack: AsyncExitStack) -> None:
        assert self.context.start_again is not None
        self.server = await stack.enter_async_context(self.context.start_again({}, self.server.tmp, self.upstreams))

    def beside(self) -> ProbeContext:
        return replace(self.context, base_url=self.server.base_url, server=self.server, upstreams=self.upstreams)

    async def took(self, webhook: Webhook, number: int) -> bool:
        traffic = self.context.traffic
        request = traffic.request_for(webhook, number, time.time(), traffic.by_size(webhook)[0])
        return (await self.beside().send(request)).ok

    def writes(self) -> Counter[Kind]:
        """The writes that were taken, by where they went."""
        return Counter(
            (call.upstream, call.method, path_shape(call.path))
            for call in self.upstreams.snapshot()
            if call.effect == "write" and call.status < 400
        )

    def grown(self) -> dict[str, int]:
        return growth(dict(self.rows), rows_seen(self.beside()))


def _size(effects: Effects) -> int:
    return effects.writes + sum(effects.grew.values())

"""W07: the same delivery, sent twice or twenty times at once, has one effect."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from swarm.config.schema import Webhook
from swarm.probes.effects import growth, rows_seen, send_known
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.target.upstream.calls import UpstreamCall

_COPIES = 20
_SETTLE_S = 0.5
_MORE_ROUNDS = 2
_ROUNDS_S = 6.0


class RepeatedDelivery(Probe):
    """Sends a delivery that was taken once more, byte for byte, and then a new one twenty times at the same moment:
    every sender repeats those it is not sure of.

    An effect is a write to an upstream; where a webhook makes none, new rows in the service's SQLite files.
    """

    id = "W07"
    title = "A repeated delivery acts twice"
    severity = "high"
    cwe = ("CWE-294", "CWE-837")
    sources = ("Standard Webhooks: idempotency", "OWASP ASVS 5.0 2.3.3, 15.4.2")
    proves = ("no-replay-protection", "repeated-work")
    recommendation = (
        "Remember delivery ids (or a digest of the signed body) and answer a repeated one without acting again."
    )
    order = 15

    async def run(self, context: ProbeContext) -> ProbeResult:
        """The positive control's request once more, and twenty copies of another, for each webhook."""
        skipped = ""
        for webhook in context.webhooks():
            result = await self._one(context, webhook)
            if result.outcome == "failed":
                return result
            if result.outcome == "skipped":
                skipped = result.evidence
        return self.skipped(skipped) if skipped else self.passed("the second delivery had no effect")

    async def _one(self, context: ProbeContext, webhook: Webhook) -> ProbeResult:
        route = route_of(webhook)
        first = context.good_effects[route]
        if not first.writes and not first.grew:
            return self.skipped("no effect of a delivery could be seen", route)
        answer, second = await send_known(context, context.good_requests[route])
        if second.writes:
            return self.failed(
                f"the first delivery made {first.writes} upstream writes, the second {second.writes} more", route
            )
        if not first.writes and second.grew == first.grew:
            return self.failed(f"both deliveries added rows: {dict(second.grew)}", route)
        if not answer.ok and answer.status != 409:
            return self.failed(f"the repeated delivery was answered {answer.status}", route)
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        result = await self._at_once(context, webhook)
        for _ in range(_MORE_ROUNDS):  # who looks first and notes then is caught by chance alone
            if result.outcome == "passed" and loop.time() - begun_s < _ROUNDS_S:
                result = await self._at_once(context, webhook)
        return result

    async def _at_once(self, context: ProbeContext, webhook: Webhook) -> ProbeResult:
        """Twenty copies of a new delivery; what one alone does may differ from kind to kind, but not tenfold."""
        route, usual = route_of(webhook), context.good_effects[route_of(webhook)]
        request = context.fresh(webhook)
        rows = rows_seen(context)
        calls_before = context.upstreams.snapshot()
        answers = await asyncio.gather(*(context.send(request) for _ in range(_COPIES)))
        await asyncio.sleep(_SETTLE_S)
        broken = [answer for answer in answers if answer.broken]
        if broken:
            return self.failed(
                f"of {_COPIES} copies at once {len(broken)} got {broken[0].status or 'no answer'}", route
            )
        calls = context.upstreams.snapshot()[len(calls_before) :]
        twice = doubled_post(calls, calls_before)
        if twice:
            return self.failed(f"{_COPIES} copies at once: {twice}", route)
        made = distinct_writes(calls)
        if made > _COPIES // 2 * max(1, usual.writes) or (not usual.writes and made >= _COPIES):
            return self.failed(f"{_COPIES} copies at once made {made} upstream writes", route)
        grew = max(growth(rows, rows_seen(context)).values(), default=0)
        most = max(usual.grew.values(), default=1)
        if grew >= _COPIES // 2 * most:
            return self.failed(f"{_COPIES} copies at once added {grew} rows to one table", route)
        return self.passed("one effect", route)


def doubled_post(calls: Sequence[UpstreamCall], before: Sequence[UpstreamCall] = ()) -> str:
    """What an upstream was told twice, to the byte: two of the copies got past the check at the same moment.

    "" where nothing was. PUT and DELETE may be said twice, a POST that failed may be tried again, and where alike
    POSTs were seen `before` (of single deliveries) they tell nothing.
    """
    earlier = _told(before)
    for (upstream, path, body), count in _told(calls).items():
        alike_before = max((n for key, n in earlier.items() if key[:2] == (upstream, path)), default=1)
        if count > alike_before:
            return f"{upstream} got the same POST {path} {count} times ({len(body)} bytes)"
    return ""


def distinct_writes(calls: Sequence[UpstreamCall]) -> int:
    """Writes that change something: a PUT or DELETE said again, to the byte, leaves what the first one left."""
    writes = [call for call in calls if call.effect == "write"]
    settable = [call for call in writes if call.method in ("PUT", "DELETE")]
    said = {(call.upstream, call.method, call.path, call.query, call.body) for call in settable}
    return len(writes) - len(settable) + len(said)


def _told(calls: Sequence[UpstreamCall]) -> Counter[tuple[str, str, bytes]]:
    return Counter(
        (call.upstream, call.path, call.body)
        for call in calls
        if call.method == "POST" and call.effect == "write" and 200 <= call.status < 300
    )

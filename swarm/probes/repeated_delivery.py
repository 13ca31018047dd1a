"""W07: the same delivery, sent twice, has one effect."""

from __future__ import annotations

import asyncio

from swarm.config.schema import Webhook
from swarm.probes.effects import growth, rows_seen, writes_seen
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_ATTEMPTS = 3
_SETTLE_S = 0.15


class RepeatedDelivery(Probe):
    """Sends one delivery twice, byte for byte. Every webhook sender repeats deliveries it is not sure of.

    An effect is a write to an upstream; where a webhook makes none, new rows in the service's SQLite files.
    """

    id = "W07"
    title = "A repeated delivery acts twice"
    severity = "high"
    cwe = ("CWE-294", "CWE-837")
    sources = ("Standard Webhooks: idempotency", "OWASP ASVS 5.0 2.3.3, 15.4.2")
    proves = ("repeatable-work",)
    recommendation = "Remember delivery ids (or a digest of the signed body) and answer a repeated one without acting again."
    order = 30

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two requests a webhook, one after the other."""
        skipped = ""
        for webhook in context.webhooks():
            result = await self._one(context, webhook)
            if result.outcome == "failed":
                return result
            if result.outcome == "skipped":
                skipped = result.evidence
        return self.skipped(skipped) if skipped else self.passed("the second delivery had no effect")

    async def _one(self, context: ProbeContext, webhook: Webhook) -> ProbeResult:
        for _ in range(_ATTEMPTS):
            request = context.fresh(webhook)
            before, rows_before = writes_seen(context), rows_seen(context)
            if not (await context.send(request)).ok:
                continue  # an upstream had a bad moment
            await asyncio.sleep(_SETTLE_S)
            first, rows_first = writes_seen(context) - before, rows_seen(context)
            again = await context.send(request)
            await asyncio.sleep(_SETTLE_S)
            second = writes_seen(context) - before - first
            if second:
                evidence = f"the first delivery made {first} upstream writes, the second {second} more"
                return self.failed(evidence, route_of(webhook))
            grew, grew_again = growth(rows_before, rows_first), growth(rows_first, rows_seen(context))
            if not first and grew and grew_again == grew:
                return self.failed(f"both deliveries added rows: {grew_again}", route_of(webhook))
            if not again.ok and again.status != 409:
                return self.failed(f"the repeated delivery was answered {again.status}", route_of(webhook))
            if first or grew:
                return self.passed("one effect", route_of(webhook))
        return self.skipped("no effect of a delivery could be seen", route_of(webhook))

"""W07: the same delivery, sent twice, has one effect."""

from __future__ import annotations

from swarm.config.schema import Webhook
from swarm.probes.effects import send_watched
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of


class RepeatedDelivery(Probe):
    """Sends a delivery that was taken once more, byte for byte: every sender repeats those it is not sure of.

    An effect is a write to an upstream; where a webhook makes none, new rows in the service's SQLite files.
    """

    id = "W07"
    title = "A repeated delivery acts twice"
    severity = "high"
    cwe = ("CWE-294", "CWE-837")
    sources = ("Standard Webhooks: idempotency", "OWASP ASVS 5.0 2.3.3, 15.4.2")
    proves = ("repeated-work",)
    recommendation = (
        "Remember delivery ids (or a digest of the signed body) and answer a repeated one without acting again."
    )
    order = 15

    async def run(self, context: ProbeContext) -> ProbeResult:
        """The positive control's request once more, for each webhook."""
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
        answer, second = await send_watched(context, context.good_requests[route])
        if second.writes:
            return self.failed(
                f"the first delivery made {first.writes} upstream writes, the second {second.writes} more", route
            )
        if not first.writes and second.grew == first.grew:
            return self.failed(f"both deliveries added rows: {dict(second.grew)}", route)
        if not answer.ok and answer.status != 409:
            return self.failed(f"the repeated delivery was answered {answer.status}", route)
        return self.passed("one effect", route)

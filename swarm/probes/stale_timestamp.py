"""W06: a signed timestamp that is old, or lies in the future, is refused."""

from __future__ import annotations

import asyncio

from swarm.config.schema import Webhook
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_AGE_S = 3600.0


class StaleTimestamp(Probe):
    """Sends a correctly signed request whose signed timestamp is an hour old, and one an hour ahead.

    Where senders sign the time, a captured request must not work for ever.
    """

    id = "W06"
    title = "Old signed requests are taken"
    severity = "high"
    cwe = ("CWE-294",)
    sources = ("Standard Webhooks: timestamps", "Stripe's tolerance of 300 s", "Svix: why verify webhooks")
    proves = ("missing-freshness",)
    recommendation = "Refuse a signed timestamp more than about five minutes away from now."
    order = 13

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two requests a webhook whose scheme signs a timestamp."""
        timed = [webhook for webhook in context.signed_webhooks() if signs_time(webhook)]
        if not timed:
            return self.skipped("no webhook's signature holds a timestamp")
        for webhook in timed:
            request = context.fresh(webhook)
            ages = {"an hour old": _AGE_S, "an hour ahead": -_AGE_S}
            answers = await asyncio.gather(
                *(
                    context.send(context.with_headers(request, context.signature(webhook, request.body, age_s=age_s)))
                    for age_s in ages.values()
                )
            )
            for name, answer in zip(ages, answers, strict=True):
                if answer.ok or answer.broken:
                    return self.failed(
                        f"answered {answer.status or answer.text} to a signed request {name}",
                        route_of(webhook),
                    )
        return self.passed("signed requests an hour old and an hour ahead refused")


def signs_time(webhook: Webhook) -> bool:
    """Whether the scheme signs a timestamp."""
    return webhook.sign.scheme in ("stripe", "standard-webhooks") or "{timestamp}" in webhook.sign.signed

"""W14: a burst of refused requests is slowed down, while good ones still pass."""

from __future__ import annotations

import asyncio

from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_BURST = 80
_AT_ONCE = 10


class RateLimit(Probe):
    """Sends 80 wrongly signed requests in a burst and looks for 429; a good request afterwards must pass."""

    id = "W14"
    title = "A burst of wrong signatures is not slowed down"
    severity = "medium"
    cwe = ("CWE-307", "CWE-770")
    sources = ("OWASP API4:2023", "OWASP ASVS 5.0 2.4.1")
    proves = ("refused-rate-limit",)
    recommendation = (
        "Count refused requests by source and answer 429 with Retry-After over a limit; never count good ones."
    )
    order = 90

    async def run(self, context: ProbeContext) -> ProbeResult:
        """80 requests for the first signed webhook, ten at a time."""
        if not context.signed_webhooks():
            return self.skipped("no webhook is declared as signed")
        webhook = context.signed_webhooks()[0]
        request = context.fresh(webhook)
        bad = context.with_headers(request, context.signature(webhook, request.body + b"\n"))
        statuses: list[int] = []
        for _ in range(_BURST // _AT_ONCE):
            answers = await asyncio.gather(*(context.send(bad) for _ in range(_AT_ONCE)))
            statuses += [answer.status for answer in answers]
            if 429 in statuses:
                break
        if 429 not in statuses:
            return self.failed(
                f"{len(statuses)} wrongly signed requests, no 429 among the answers", route_of(webhook)
            )
        good = await context.send(context.fresh(webhook))
        if good.status == 429:
            return self.failed("good requests are refused with 429 as well", route_of(webhook))
        return self.passed(f"429 after {statuses.index(429)} refused requests", route_of(webhook))

"""W01: a webhook without a signature is refused and has no effect."""

from __future__ import annotations

from swarm.probes.effects import writes_seen
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of


class UnsignedRefused(Probe):
    """Sends a good request without its signature. Anyone who finds the URL can send that."""

    id = "W01"
    title = "Unsigned webhooks are taken"
    severity = "critical"
    cwe = ("CWE-306", "CWE-345")
    sources = ("Standard Webhooks: verifying", "OWASP API2:2023", "OWASP ASVS 5.0 4.1.5")
    proves = ("unauthenticated-webhook",)
    recommendation = "Refuse a request without a valid signature with 401 before doing anything with it."
    order = 10

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One unsigned request a webhook."""
        if not context.signed_webhooks():
            return self.skipped("no webhook is declared as signed")
        seen = []
        for webhook in context.signed_webhooks():
            before = writes_seen(context)
            answer = await context.send(context.unsigned(webhook, context.fresh(webhook)))
            context.judged(answer, good=False)
            writes = writes_seen(context) - before
            if answer.broken and not writes:  # the check itself breaks: ugly, and nobody gets in
                seen.append(f"{answer.status or 'no answer'}, a check that breaks")
                continue
            if answer.ok or writes:
                return self.failed(
                    f"answered {answer.status} to a request without a signature; {writes} upstream writes followed",
                    route_of(webhook),
                )
            seen.append(str(answer.status))
        return self.passed(f"refused with {', '.join(seen)}")

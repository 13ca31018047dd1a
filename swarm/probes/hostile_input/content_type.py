"""W10: a body that does not say it is what the service takes is refused."""

from __future__ import annotations

from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_OTHERS = ("text/plain", "application/xml", "application/x-www-form-urlencoded")


class ContentType(Probe):
    """Sends a good, signed JSON body named text/plain, application/xml and a form.

    A service that guesses what a body is can be fed from a browser form of any site, and parses what it never
    meant to.
    """

    id = "W10"
    title = "The content type is not checked"
    severity = "low"
    cwe = ("CWE-436",)
    sources = ("OWASP API8:2023", "OWASP ASVS 5.0 4.1.1")
    proves = ("unchecked-content-type",)
    recommendation = "Answer 415 where the content type is not the one that the senders use."
    order = 31

    async def run(self, context: ProbeContext) -> ProbeResult:
        """At most three requests a webhook."""
        for webhook in context.webhooks():
            if "json" not in webhook.content_type:
                continue
            for other in _OTHERS:
                answer = await context.send(context.with_headers(context.fresh(webhook), {"Content-Type": other}))
                if answer.ok:
                    return self.failed(f"answered {answer.status} to JSON named {other}", route_of(webhook))
        return self.passed("other content types refused")

"""W23: no secret and no signature stands in the service's log."""

from __future__ import annotations

from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of


class SecretsInLogs(Probe):
    """After the other probes, reads what the service wrote: its secrets and the good signatures must not be in it."""

    id = "W23"
    title = "Secrets stand in the log"
    severity = "high"
    cwe = ("CWE-532",)
    sources = ("OWASP ASVS 5.0 16.2.5",)
    recommendation = "Log neither secrets nor signature or Authorization headers."
    order = 95

    async def run(self, context: ProbeContext) -> ProbeResult:
        """No request."""
        log = context.server.log_text()
        for variable, value in context.secrets().items():
            if value in log:
                return self.failed(f"the value of {variable} stands in the log")
        for webhook in context.signed_webhooks():
            request = context.good_requests.get(route_of(webhook))
            header = webhook.sign.header.lower()
            for name, value in request.headers.items() if request else ():
                if name.lower() == header and len(value) >= 16 and value in log:
                    return self.failed(f"the {name} header of a good request stands in the log", route_of(webhook))
        return self.passed(f"{len(log):,} characters of log, no secret among them")

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
    looks_back = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """No request."""
        log = "".join(lane.server.log_text() for lane in context.everywhere())
        for variable, value in context.secrets().items():
            if value in log:
                return self.failed(f"the value of {variable} stands in the log")
        for webhook in context.signed_webhooks():
            header, route = webhook.sign.header.lower(), route_of(webhook)
            good = [lane.good_requests[route] for lane in context.everywhere() if route in lane.good_requests]
            for name, value in (item for request in good for item in request.headers.items()):
                if name.lower() == header and len(value) >= 16 and value in log:
                    return self.failed(f"the {name} header of a good request stands in the log", route)
        return self.passed(f"{len(log):,} characters of log, no secret among them")

"""W25: pages of foreign origins may not speak to the service in their visitors' names."""

from __future__ import annotations

import asyncio

from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_ORIGIN = "https://evil.invalid"
_MOST_ROUTES = 6


class ForeignOrigin(Probe):
    """Asks the webhooks and known GET routes as a page of another origin would, also with the question that browsers
    ask before: an answer that names that origin and allows credentials lets it in.
    """

    id = "W25"
    title = "Foreign origins are let in with credentials"
    severity = "medium"
    cwe = ("CWE-942",)
    sources = ("OWASP ASVS 5.0 3.4.2",)
    recommendation = "Name the origins that may ask; never say the asking one back, least of all with credentials."
    order = 22

    async def run(self, context: ProbeContext) -> ProbeResult:
        """At most twelve requests."""
        gets = [path.split("?")[0] for method, path in context.routes if method == "GET" and "{" not in path]
        paths = list(dict.fromkeys([*(hook.path for hook in context.webhooks()), *gets]))[:_MOST_ROUTES]
        asks = {"Origin": _ORIGIN, "Access-Control-Request-Method": "POST"}
        answers = await asyncio.gather(
            *(context.call("OPTIONS", path, headers=asks) for path in paths),
            *(context.call("GET", path, headers={"Origin": _ORIGIN}) for path in paths),
        )
        known = {hook.path: route_of(hook) for hook in context.webhooks()}
        for answer in answers:
            allowed = answer.headers.get("access-control-allow-origin", "")
            credentials = answer.headers.get("access-control-allow-credentials", "").lower() == "true"
            if allowed == _ORIGIN and credentials:
                return self.failed(f"{answer.method} lets {_ORIGIN} in with credentials", known.get(answer.path, ""))
        return self.passed(f"{len(answers)} requests of a foreign origin, none let in with credentials")

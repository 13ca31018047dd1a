"""W17: forged proxy headers open nothing and reset no limit."""

from __future__ import annotations

import asyncio

import httpx

from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_BURST, _AT_ONCE = 80, 10
_PROXY_SETTINGS = ("ProxyFix(", "ProxyHeadersMiddleware(")
# A proxy of the service's own may name another sender, and servers take loopback for one: so this comes from another.
_SOURCE = "127.0.0.2"


class ProxyHeaders(Probe):
    """Sends unsigned requests that claim to come from inside, and a burst of wrongly signed ones that each claim
    another sender."""

    id = "W17"
    title = "Forged proxy headers are believed"
    severity = "medium"
    cwe = ("CWE-348", "CWE-290")
    sources = ("OWASP ASVS 5.0 4.1.3",)
    recommendation = "Believe X-Forwarded-For and its like only from the addresses of your own proxies."
    order = 92

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Three requests and a burst of at most eighty for the first signed webhook."""
        if not context.signed_webhooks():
            return self.skipped("no webhook is declared as signed")
        webhook = context.signed_webhooks()[0]
        request = context.fresh(webhook)
        bare = context.unsigned(webhook, request)
        forged = context.with_headers(request, context.signature(webhook, request.body + b"\n"))
        limited = any(answer.status == 429 for answer in context.answers)
        url = context.base_url.rstrip("/") + request.path
        transport = httpx.AsyncHTTPTransport(local_address=_SOURCE)
        try:
            async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=8) as client:
                for name, value in (
                    ("X-Forwarded-For", "127.0.0.1"),
                    ("X-Real-IP", "127.0.0.1"),
                    ("Host", "localhost"),
                ):
                    headers = {**bare.headers, name: value}
                    answer = await client.request(request.method, url, headers=headers, content=request.body)
                    if answer.is_success:
                        return self.failed(f"{name}: {value} stands in for a signature", route_of(webhook))
                for start in range(0, _BURST, _AT_ONCE):
                    headers_of = [
                        {**forged.headers, "X-Forwarded-For": f"198.51.100.{n}", "X-Real-IP": f"198.51.100.{n}"}
                        for n in range(start + 1, start + 1 + _AT_ONCE)
                    ]
                    answers = await asyncio.gather(
                        *(client.request(request.method, url, headers=h, content=request.body) for h in headers_of)
                    )
                    if any(answer.status_code == 429 for answer in answers):
                        return self.passed("no header opens it, and a burst of claimed senders is slowed down as one")
        except httpx.HTTPError as error:
            return self.skipped(f"no answer to a request from {_SOURCE}: {type(error).__name__}")
        if limited and _believes_its_proxy(context):
            return self.passed("no header opens it; whose address counts, the proxy says that the code is told of")
        if limited:
            return self.failed("a sender who claims another address each time meets no limit", route_of(webhook))
        return self.passed("no header opens it; there is no limit that one could reset")


def _believes_its_proxy(context: ProbeContext) -> bool:
    """Whether the code says that a proxy stands before it: who connects without one is taken for that proxy."""
    modules = context.index.tree.modules.values() if context.index is not None else ()
    return any(name in module.text for module in modules for name in _PROXY_SETTINGS)

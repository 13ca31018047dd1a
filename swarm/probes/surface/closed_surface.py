"""W16: methods that a webhook does not take are refused, and nothing for developers or of the disk is open."""

from __future__ import annotations

import asyncio
import re

from swarm.probes.probe import Answer, Probe, ProbeContext, ProbeResult, route_of

_METHODS = ("GET", "PUT", "DELETE", "PATCH", "TRACE")
_NEVER_OPEN = (
    "/.env",
    "/.git/config",
    "/console",
    "/debug",
    "/_debug_toolbar/",
    "/?__debugger__=yes&cmd=resource&f=debugger.js",
)
_VARYING = re.compile(r"[\w:.+-]*\d[\w:.+-]*")
_DOCUMENTS = ("/docs", "/redoc", "/openapi.json")


class ClosedSurface(Probe):
    """Tries other methods on the webhooks, and places where debuggers, repositories and settings lie open."""

    id = "W16"
    title = "More is open than the webhooks"
    severity = "medium"
    cwe = ("CWE-489", "CWE-538")
    sources = ("OWASP ASVS 5.0 13.4.1, 13.4.4, 13.4.5",)
    proves = ("debug-enabled",)
    recommendation = "Answer 405 to other methods; switch debuggers off; serve no files of the source tree."
    order = 20

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Five requests a webhook and six others, together."""
        declared = {(hook.method.upper(), hook.path) for hook in context.traffic.webhooks}
        declared |= {(method.upper(), path.split("?")[0]) for method, path in context.routes}
        for webhook in context.webhooks():
            tried = [method for method in _METHODS if (method, webhook.path) not in declared]
            answers = await asyncio.gather(*(context.call(method, webhook.path) for method in tried))
            for method, answer in zip(tried, answers, strict=True):
                if answer.ok or (answer.broken and answer.status != 501):
                    return self.failed(f"answered {answer.status or answer.text} to {method}", route_of(webhook))
        answers = await asyncio.gather(*(context.call("GET", path) for path in _NEVER_OPEN))
        usual = await context.call("GET", "/")
        for path, answer in zip(_NEVER_OPEN, answers, strict=True):
            # A service that answers every path with its front page has opened nothing.
            if answer.ok and _page(answer) != _page(usual):
                return self.failed(f"GET {path} answered {answer.status}", "")
        return self.passed("other methods refused; no debugger, repository or settings open")


def _page(answer: Answer) -> str:
    """An answer's text without times, counts and ids, which differ from one look to the next."""
    return _VARYING.sub("", answer.text)


class OpenDocuments(Probe):
    """Looks for the interactive API description that FastAPI serves unless it is told not to."""

    id = "W16-docs"
    title = "The API description is open to everybody"
    severity = "info"
    cwe = ("CWE-200",)
    sources = ("OWASP API9:2023",)
    proves = ("open-api-docs",)
    recommendation = (
        "In production, serve no /docs, /redoc and /openapi.json "
        "(FastAPI: docs_url=None, redoc_url=None, openapi_url=None)."
    )
    order = 21

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Three requests."""
        answers = await asyncio.gather(*(context.call("GET", path) for path in _DOCUMENTS))
        shown = [
            path
            for path, answer in zip(_DOCUMENTS, answers, strict=True)
            if answer.ok and ("openapi" in answer.text.lower() or "swagger" in answer.text.lower())
        ]
        if shown:
            return self.failed(f"open: {', '.join(shown)}")
        return self.passed("no API description is served")

"""W22: a sender cannot write lines of its own into the service's log."""

from __future__ import annotations

import asyncio
from functools import partial

from swarm.probes.payloads import changed, is_free_text, read, write
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_MARK = "zq7forged"
_FORGED = f"\r\n{_MARK} INFO admin logged in\x1b[2K"
_WRITTEN_S = 0.3


class LogForging(Probe):
    """Sends signed texts with line ends and terminal codes in them; none may begin a line of the log.

    Who reads the log, or a program that does, takes such a line for one of the service's own.
    """

    id = "W22"
    title = "A sender writes lines into the log"
    severity = "medium"
    cwe = ("CWE-117",)
    sources = ("OWASP ASVS 5.0 16.4.1",)
    proves = ("log-forging",)
    recommendation = "Escape line ends and control characters in what is logged, or log it as JSON."
    order = 43

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two requests a webhook: with terminal codes, and with line ends alone."""
        for webhook in context.webhooks():
            for text in (_FORGED, _FORGED.partition("\x1b")[0]):
                request = context.fresh(webhook)
                payload = read(request.body)
                if not isinstance(payload, dict):
                    break
                forged = write(changed(payload, is_free_text, partial(_with, text)))
                await context.send(context.with_body(webhook, request, forged))
                await asyncio.sleep(_WRITTEN_S)
                log = context.server.log_text()
                if any(line.startswith(_MARK) for line in log.splitlines()):
                    return self.failed("a line of the log begins with a sender's words", route_of(webhook))
                if f"{_MARK} INFO admin logged in\x1b" in log:
                    return self.failed("terminal codes of a sender stand in the log", route_of(webhook))
        return self.passed("no line of the log begins with a sender's words")


def _with(text: str, value: str) -> str:
    return value + text

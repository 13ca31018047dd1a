"""W11: hostile JSON gives a clean refusal, never a server error, and the service lives on."""

from __future__ import annotations

import asyncio
import json

from swarm.probes.payloads import Form, read
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_HOSTILE: dict[str, bytes] = {
    "no body": b"",
    "half an object": b'{"id": ',
    "a list": b"[]",
    "a number": b"17",
    "null": b"null",
    "20,000 open brackets": b"[" * 20_000,
    "a number of 5,000 digits": b'{"id": ' + b"9" * 5000 + b"}",
    "NaN": b'{"id": NaN}',
    "1e999": b'{"id": 1e999}',
    "bytes that are no UTF-8": b'{"id": "\xff\xfe"}',
    "a lone surrogate": b'{"id": "\\ud800"}',
    "a NUL character": b'{"id": "a\\u0000b"}',
}


class HostileJson(Probe):
    """Sends hostile bodies, correctly signed, that break careless parsing; then asks whether the service lives."""

    id = "W11"
    title = "Hostile JSON breaks the service"
    severity = "high"
    cwe = ("CWE-20", "CWE-755")
    sources = ("OWASP API4:2023", "OWASP ASVS 5.0 1.5.3")
    proves = ("unchecked-json",)
    recommendation = (
        "Check the shape of a payload before using it, and answer 400 or 422 where it is not what was expected."
    )
    order = 40

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Some small requests a webhook, together, and one to see whether the service still answers."""
        for webhook in context.webhooks():
            request = context.fresh(webhook)
            bodies = {**_HOSTILE, **_ambiguous(request.body)}
            sent = [context.with_body(webhook, request, body) for body in bodies.values()]
            answers = await asyncio.gather(*(context.send(variant) for variant in sent))
            parts = [name for name, answer in zip(bodies, answers, strict=True) if answer.broken]
            broken = [
                f"{name} ({answer.status or answer.text})"
                for name, answer in zip(bodies, answers, strict=True)
                if answer.broken
            ]
            if not await _alive(context):
                return self.failed("the service did not answer any more afterwards", route_of(webhook))
            if broken:
                shown = ", ".join(broken[:6]) + (f" and {len(broken) - 6} more" if len(broken) > 6 else "")
                return self.failed(f"server errors for {shown}", route_of(webhook), parts=parts)
        return self.passed(f"{len(_HOSTILE) + 1} hostile bodies a webhook, no server error")


def _ambiguous(good: bytes) -> dict[str, bytes]:
    """A good payload in which a key stands twice, the first time with nothing: what lacks fields is another's."""
    payload = read(good)
    if not isinstance(payload, dict) or isinstance(payload, Form) or not payload:
        return {}
    return {"a key given twice": b"{" + json.dumps(next(iter(payload))).encode() + b":null," + good.lstrip()[1:]}


async def _alive(context: ProbeContext) -> bool:
    answer = await context.call("GET", context.target.health or "/")
    return not answer.broken

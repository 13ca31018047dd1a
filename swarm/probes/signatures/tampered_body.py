"""W03: a body that was changed after signing is refused."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

from swarm.probes.payloads import Form, read
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of


class TamperedBody(Probe):
    """Signs a body and sends another: one with a byte more, and the same JSON written differently.

    The second catches services that check the signature of the parsed and re-written payload.
    """

    id = "W03"
    title = "A body changed after signing is taken, or breaks the service"
    severity = "critical"
    cwe = ("CWE-345", "CWE-354")
    sources = ("Standard Webhooks: signing the raw body",)
    recommendation = "Check the signature over the raw body bytes, before they are parsed."
    order = 12

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two variants a webhook."""
        if not context.signed_webhooks():
            return self.skipped("no webhook is declared as signed")
        for webhook in context.signed_webhooks():
            request = context.fresh(webhook)
            variants = {"a body with a byte added": replace(request, body=request.body + b" ")}
            payload = read(request.body)
            if payload is not None and not isinstance(payload, Form):
                variants["the same JSON, indented anew"] = replace(
                    request, body=json.dumps(payload, indent=3).encode()
                )
            answers = await asyncio.gather(*(context.send(variant) for variant in variants.values()))
            for answer in answers:
                context.judged(answer, good=False)
            for name, answer in zip(variants, answers, strict=True):
                if answer.ok:
                    return self.failed(f"answered {answer.status} to {name}", route_of(webhook))
                if answer.broken:
                    seen = f"answered {answer.status or answer.text} to {name}: it breaks where it should refuse"
                    return self.failed(seen, route_of(webhook), "medium")
        return self.passed("changed bodies refused")

"""W11-shape: well formed JSON that is not what was expected is refused, and breaks nothing."""

from __future__ import annotations

import asyncio

from swarm.probes.effects import growth, rows_seen
from swarm.probes.payloads import extended, read, write
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_MOST_FIELDS = 8


class PayloadShape(Probe):
    """Sends an empty object, and good payloads in which one field is of another type.

    Senders change their payloads now and then; a field that is missing or odd must not look like an outage, and what
    is refused must leave nothing half done.
    """

    id = "W11-shape"
    title = "A payload of another shape breaks the service"
    severity = "medium"
    cwe = ("CWE-20", "CWE-755")
    sources = ("OWASP ASVS 5.0 2.2.1",)
    recommendation = "Validate a payload before using it, and answer 422 where it is not what was expected."
    order = 42

    async def run(self, context: ProbeContext) -> ProbeResult:
        """At most nine requests a webhook."""
        sent = 0
        for webhook in context.webhooks():
            request = context.fresh(webhook)
            payload = read(request.body)
            if not isinstance(payload, dict):
                continue
            bodies = {"an empty object": b"{}"}
            for name, value in list(payload.items())[:_MOST_FIELDS]:
                other = 5 if isinstance(value, list) else [value]
                bodies[f"another type of {name}"] = write(extended(payload, {name: other}))
            before = await asyncio.to_thread(rows_seen, context)
            answers = await asyncio.gather(
                *(context.send(context.with_body(webhook, request, body)) for body in bodies.values())
            )
            sent += len(bodies)
            if not any(answer.ok for answer in answers):
                grew = growth(before, await asyncio.to_thread(rows_seen, context))
                half = sorted(set(grew) & set(context.good_effects[route_of(webhook)].grew))
                if half:
                    return self.failed(
                        f"nothing was taken, yet rows were added to {', '.join(half)}", route_of(webhook)
                    )
            broken = [name for name, answer in zip(bodies, answers, strict=True) if answer.broken]
            if broken:
                return self.failed(f"server errors for {', '.join(broken[:4])}", route_of(webhook))
        return self.passed(f"{sent} odd payloads, no server error")

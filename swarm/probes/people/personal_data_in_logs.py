"""C01: a person's e-mail, phone or name in a payload does not reach the log."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from typing import Any

from swarm.config.schema import Webhook
from swarm.probes.payloads import STEERING, Path, changed, extended, is_personal, name_of, read, strings, write
from swarm.probes.people.person import canary_of
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.probes.traces import settled
from swarm.target.traffic import WebhookRequest

_WITHIN = 24
_SHAPES = 6
_CALM_S = 0.4


class PersonalDataInLogs(Probe):
    """Puts canaries into the e-mail, phone and name fields of a payload and looks for them in the service's log.

    A payload without such fields gets an e-mail field besides: a log of the whole payload would show it.
    """

    id = "C01"
    title = "Personal data stands in the log"
    category = "compliance"
    severity = "high"
    cwe = ("CWE-532", "CWE-359")
    sources = ("GDPR 5(1)(c)(f), 32", "OWASP ASVS 5.0 16.2.5")
    proves = ("personal-data-in-logs",)
    recommendation = "Log ids, not people: leave out e-mail, phone, name and whole payloads, or mask them."
    order = 32
    lane = "traces"

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One request for each shape of payload, at most six a webhook."""
        sent = 0
        for webhook in context.webhooks():
            canaries = await self._send(context, webhook)
            if not canaries:
                continue
            sent += len(canaries)
            await settled(context, _CALM_S)  # work behind the answer logs too
            log = context.server.log_text()
            shown = sorted({field for canary, field in canaries.items() if canary in log})
            if shown:
                return self.failed(f"the log holds what was sent as {', '.join(shown)}", route_of(webhook))
        return self.passed(f"{sent} canaries sent, none in the log") if sent else self.skipped("no JSON payload")

    async def _send(self, context: ProbeContext, webhook: Webhook) -> dict[str, str]:
        """Sends each shape of payload once, together; the canaries with the field of each."""
        requests: list[WebhookRequest] = []
        canaries: dict[str, str] = {}
        shapes: set[tuple[str, ...]] = set()
        for _ in range(_WITHIN):
            request = context.fresh(webhook)
            payload = read(request.body)
            if not isinstance(payload, dict):
                continue
            shape = (
                *(str(payload.get(name)) for name in STEERING),
                *("/".join(map(str, at)) for at, _ in strings(payload)),
            )
            if shape in shapes or len(shapes) >= _SHAPES:
                continue
            shapes.add(shape)
            marked = self._marked(payload, canaries)
            requests.append(context.with_body(webhook, request, write(marked)))
        await asyncio.gather(*(context.send(request) for request in requests))
        return canaries

    @staticmethod
    def _marked(payload: dict[str, Any], canaries: dict[str, str]) -> dict[str, Any]:
        token = uuid.uuid4().hex[:12]
        for at, value in strings(payload):
            if is_personal(at, value):
                name = name_of(at)
                canary = canary_of(name, value, token)
                canaries[canary] = name
                payload = changed(payload, partial(_is_at, at), partial(_instead, canary))
        if not any(is_personal(at, value) for at, value in strings(payload)):
            canary = f"canary.{token}@example.com"
            canaries[canary] = "email"
            payload = extended(payload, {"email": canary})
        return payload


def _is_at(wanted: Path, place: Path, value: str) -> bool:
    return place == wanted


def _instead(canary: str, value: str) -> str:
    return canary

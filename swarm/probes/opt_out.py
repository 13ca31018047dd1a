"""C06: who opts out gets no further message."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from swarm.config.schema import Webhook
from swarm.probes.payloads import changed, name_of, read, strings, write
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.probes.traces import settled, until
from swarm.target.traffic import WebhookRequest
from swarm.target.upstreams import UpstreamCall

_SENDS = re.compile(r"message|sms|mail|whatsapp|conversation|send", re.IGNORECASE)
_MODEL = re.compile(r"/(messages|chat/completions|completions|responses|generateContent)$")
_TEXTS = ("body", "message", "text", "content")
_WHO = ("id", "contactid", "leadid", "userid", "customerid", "from", "phone")
_KINDS_WITHIN = 16
_HEARD_S = 0.5
_CALM_ASKS = 6
_ALL_SENT_S = 4.0
_WORD = "STOP"


class OptOut(Probe):
    """Finds the events after which the service writes to a contact, lets that contact answer STOP, and sends the
    events again: no message may follow but one that confirms."""

    id = "C06"
    title = "Who opted out is written to"
    category = "compliance"
    severity = "high"
    sources = ("47 CFR 64.1200(a)(10)",)
    recommendation = "Keep who opted out, and ask before every message, on every channel."
    order = 68
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Each kind of payload twice, and one STOP."""
        for webhook in context.webhooks():
            kinds = _kinds(context, webhook)
            inbound = next((p for p in kinds if _text_field(p) and "message" in _kind(p)), None)
            who = _who(inbound) if inbound is not None else ""
            if inbound is None or not who:
                continue
            about = [_about(payload, who) for payload in kinds]
            told = await self._messages(context, webhook, about, who)
            if not told:
                continue
            stop = changed(inbound, lambda at, value: name_of(at) in _TEXTS, lambda value: _WORD)
            answer = await context.send(_signed(context, webhook, _about(stop, who)))
            if not answer.ok:
                return self.failed(f"answered {answer.status or answer.text} to {_WORD}")
            await settled(context, calm_s=0.4)
            await asyncio.sleep(_HEARD_S)  # a service that answers first takes a moment to have heard it
            after = await self._messages(context, webhook, about, who, heard=True)
            if after:
                return self.failed(f"{len(after)} messages after {_WORD}, e.g. {after[0].method} {after[0].path}")
            return self.passed(f"{len(told)} messages before {_WORD}, none after it")
        if any(_is_message(call) for call in context.upstreams.snapshot()):
            return self.skipped("messages are sent, and no payload is known by which a contact could opt out")
        calls = len(context.upstreams.snapshot())
        return self.inapplicable(f"no message to anybody among the {calls} upstream calls of the session")

    @staticmethod
    async def _messages(
        context: ProbeContext, webhook: Webhook, about: list[dict[str, Any]], who: str, *, heard: bool = False
    ) -> list[UpstreamCall]:
        """The messages to one contact that follow on events about them."""
        seen = len(context.upstreams.snapshot())
        await asyncio.gather(*(context.send(_signed(context, webhook, payload)) for payload in about))
        await settled(context, calm_s=0.4)

        def messages() -> list[UpstreamCall]:
            calls = context.upstreams.snapshot()[seen:]
            return [call for call in calls if _is_message(call) and (who in call.path or who.encode() in call.body)]

        counts: list[int] = []

        async def calm() -> bool:
            """Nothing more came for a second, and something came at all, where that is expected."""
            counts.append(len(messages()))
            return len(counts) > _CALM_ASKS and len(set(counts[-_CALM_ASKS:])) == 1 and (heard or counts[-1] > 0)

        await until(calm, _ALL_SENT_S)
        return messages()


def _is_message(call: UpstreamCall) -> bool:
    is_model = _MODEL.search(call.path) is not None and b'"messages"' in call.body
    return call.method == "POST" and not is_model and _SENDS.search(call.path) is not None


def _kinds(context: ProbeContext, webhook: Webhook) -> list[dict[str, Any]]:
    """One payload of each kind."""
    kinds: dict[str, dict[str, Any]] = {}
    for _ in range(_KINDS_WITHIN):
        payload = read(context.fresh(webhook).body)
        if isinstance(payload, dict):
            kinds.setdefault(_kind(payload), payload)
    return list(kinds.values())


def _kind(payload: dict[str, Any]) -> str:
    return " ".join(str(payload.get(name, "")) for name in ("type", "event", "kind", "action", "topic")).lower()


def _text_field(payload: dict[str, Any]) -> bool:
    return any(name_of(at) in _TEXTS for at, _ in strings(payload))


def _who(payload: dict[str, Any]) -> str:
    found = {name_of(at): value for at, value in strings(payload) if name_of(at) in _WHO}
    return next(
        (
            found[name]
            for name in ("contactid", "leadid", "userid", "customerid", "from", "phone", "id")
            if name in found
        ),
        "",
    )


def _about(payload: dict[str, Any], who: str) -> dict[str, Any]:
    """The payload about one contact: its contact ids, and the id of what is a contact itself."""
    own = not any(name_of(at) in ("contactid", "leadid", "userid", "customerid") for at, _ in strings(payload))
    wanted = ("id",) if own else ("contactid", "leadid", "userid", "customerid")
    result: dict[str, Any] = changed(
        payload, lambda at, value: name_of(at) in wanted and len(at) <= 2, lambda value: who
    )
    return result


def _signed(context: ProbeContext, webhook: Webhook, payload: dict[str, Any]) -> WebhookRequest:
    """A delivery of its own: ids of the delivery are those of a fresh request."""
    request = context.fresh(webhook)
    fresh = read(request.body)
    for name in ("webhookId", "eventId", "event_id", "deliveryId", "delivery_id"):
        if isinstance(fresh, dict) and name in fresh and name in payload:
            payload = {**payload, name: fresh[name]}
    return context.with_body(webhook, request, write(payload))

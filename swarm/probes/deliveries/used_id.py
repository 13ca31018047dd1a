"""W08: a delivery id that was used has no effect for another body."""

from __future__ import annotations

from typing import Any

from swarm.config.schema import Webhook
from swarm.probes.effects import send_known
from swarm.probes.payloads import changed, is_free_text, read, strings, write
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_ID_FIELDS = (
    "webhookId",
    "webhook_id",
    "eventId",
    "event_id",
    "deliveryId",
    "delivery_id",
    "messageId",
    "message_id",
)


class UsedId(Probe):
    """Sends, correctly signed, another body under the id of a delivery that was taken.

    Who can make a sender sign a second body under a known id must not undo or double what the first one did.
    """

    id = "W08"
    title = "A used delivery id acts again for another body"
    severity = "medium"
    cwe = ("CWE-294",)
    sources = ("Standard Webhooks: idempotency",)
    proves = ("no-replay-protection",)
    recommendation = "Answer 409 where a known id comes with another body, and do nothing."
    order = 16
    lane = "traces"

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One request a webhook whose deliveries carry an id."""
        asked = 0
        for webhook in context.webhooks():
            body = self._other_body(context, webhook)
            if body is None:
                continue
            asked += 1
            request = context.with_body(webhook, context.good_requests[route_of(webhook)], body)
            answer, effects = await send_known(context, request)
            if effects.writes:
                return self.failed(f"{effects.writes} upstream writes under an id that was used", route_of(webhook))
            first = context.good_effects[route_of(webhook)]
            if answer.ok and not first.writes and first.grew and effects.grew == first.grew:
                return self.failed(f"rows added under an id that was used: {dict(effects.grew)}", route_of(webhook))
        if not asked:
            return self.skipped("no delivery carries an id that could be told")
        return self.passed("no effect of another body under a used id")

    def _other_body(self, context: ProbeContext, webhook: Webhook) -> bytes | None:
        """The taken delivery's payload with its texts changed and its ids kept; None where it has no id."""
        request = context.good_requests[route_of(webhook)]
        payload: Any = read(request.body)
        by_header = any(name.lower().endswith(("webhook-id", "delivery", "event-id")) for name in request.headers)
        if not isinstance(payload, dict) or not (by_header or any(payload.get(name) for name in _ID_FIELDS)):
            return None
        texts = {at for at, value in strings(payload) if is_free_text(at, value) and not _is_id(at, value)}
        if not texts:
            return None
        return write(changed(payload, lambda at, _: at in texts, lambda value: value + "x"))


def _is_id(at: tuple[str | int, ...], value: str) -> bool:
    """Whether a text names something: changed, the service would not find it, and that shows nothing."""
    name = str(at[-1]).lower()
    return name.endswith(("id", "key", "uuid", "no", "number", "code", "phone")) or value.isdigit()

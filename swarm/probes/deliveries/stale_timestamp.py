"""W06: a delivery whose signed time is old, or lies in the future, is refused."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from swarm.config.schema import Webhook
from swarm.probes.payloads import extended, read, write
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.target.traffic import WebhookRequest

_AGES_S = {"an hour old": 3600.0, "ten minutes old": 600.0, "ten minutes ahead": -600.0}
# fields that say when a delivery was sent, where their value is the present moment
_SENT = ("timestamp", "webhook_timestamp", "webhookTimestamp", "sent_at", "sentAt")
_PRESENT_S = 120.0


class StaleTimestamp(Probe):
    """Sends correctly signed deliveries that say that they are an hour or ten minutes old, or ten minutes ahead: in
    the headers that are signed, or else in the signed body.

    Where senders sign the time, a captured request must not work for ever.
    """

    id = "W06"
    title = "Old signed requests are taken, or break the service"
    severity = "high"
    cwe = ("CWE-294",)
    sources = ("Standard Webhooks: timestamps", "Stripe's tolerance of 300 s", "Svix: why verify webhooks")
    proves = ("missing-freshness", "unchecked-delivery-age")
    recommendation = "Refuse a signed timestamp more than about five minutes away from now."
    order = 13

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Three requests a webhook that signs a time."""
        timed = 0
        for webhook in context.signed_webhooks():
            sent = self._in_headers(context, webhook) if signs_time(webhook) else self._in_body(context, webhook)
            rule = "missing-freshness" if signs_time(webhook) else "unchecked-delivery-age"
            timed += bool(sent)
            answers = await asyncio.gather(*(context.send(request) for request in sent.values()))
            for name, answer in zip(sent, answers, strict=True):
                seen = f"answered {answer.status or answer.text} to a signed request {name}"
                if answer.ok:
                    return self.failed(seen, route_of(webhook), rule=rule)
                if answer.broken:
                    return self.failed(f"{seen}: it breaks where it should refuse", route_of(webhook), "medium")
        if not timed:
            return self.skipped("no webhook signs a time, in a header or in its body")
        return self.passed(f"signed requests {', '.join(_AGES_S)} refused")

    def _in_headers(self, context: ProbeContext, webhook: Webhook) -> dict[str, WebhookRequest]:
        request = context.fresh(webhook)
        return {
            name: context.with_headers(request, context.signature(webhook, request.body, age_s=age_s))
            for name, age_s in _AGES_S.items()
        }

    def _in_body(self, context: ProbeContext, webhook: Webhook) -> dict[str, WebhookRequest]:
        sent: dict[str, WebhookRequest] = {}
        for name, age_s in _AGES_S.items():
            request = context.fresh(webhook)
            payload = read(request.body)
            field = _time_field(payload)
            if field:
                older = write(extended(payload, {field: _moved(payload[field], age_s)}))
                sent[name] = context.with_body(webhook, request, older)
        return sent


def signs_time(webhook: Webhook) -> bool:
    """Whether the scheme signs a timestamp."""
    return webhook.sign.scheme in ("stripe", "standard-webhooks") or "{timestamp" in webhook.sign.signed


def _time_field(payload: Any) -> str:
    """The field that says when the delivery was sent: known by its name, and now."""
    if not isinstance(payload, dict):
        return ""
    for name in _SENT:
        sent_s = _seconds(payload.get(name))
        if sent_s is not None and abs(time.time() - sent_s) < _PRESENT_S:
            return name
    return ""


def _seconds(value: Any) -> float | None:
    if isinstance(value, str) and not value.isdigit():
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    number = float(value)
    return number / 1000 if number > 1e11 else number


def _moved(value: Any, age_s: float) -> Any:
    """The same moment, so much earlier, in the same form."""
    if isinstance(value, str) and not value.isdigit():
        moved = datetime.fromisoformat(value) - timedelta(seconds=age_s)
        return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    number = float(value) - age_s * (1000 if float(value) > 1e11 else 1)
    return type(value)(int(number) if isinstance(value, str) else number)

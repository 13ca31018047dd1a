"""Messages that a service sends to people: after which events, about whom, and where in its code."""

from __future__ import annotations

import ast
import asyncio
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swarm.analysis.databases.statements import sql_text
from swarm.analysis.effects import http_call
from swarm.analysis.layout import unparsed
from swarm.analysis.outgoing.model_calls import asks_model
from swarm.config.schema import Webhook
from swarm.core.model_calls import is_question
from swarm.probes.payloads import changed, extended, name_of, read, strings, write
from swarm.probes.probe import ProbeContext
from swarm.probes.traces import settled, until
from swarm.target.traffic import WebhookRequest
from swarm.target.upstream.calls import UpstreamCall

if TYPE_CHECKING:
    from swarm.analysis.index import Function, Index

TEXTS = ("body", "message", "text", "content")
_SENDS = re.compile(r"message|sms|mail|whatsapp|conversation|send", re.IGNORECASE)
_SENDING_LIBRARIES = (
    "twilio.", "sendgrid.", "smtplib.", "aiosmtplib.", "vonage.", "plivo.", "mailjet", "postmarker.", "telnyx.",
    "firebase_admin.messaging.", "messagebird.", "mailchimp",
)  # fmt: skip
_CLOCKS = (
    "apscheduler.", "schedule.every", "celery.schedules.", "rq_scheduler.", "aiocron.", "arq.cron",
    "fastapi_utils.tasks.repeat_every", "huey.crontab", "dramatiq_crontab.",
)  # fmt: skip
# what somebody did themselves, and is answered: no solicitation
_ASKED_FOR = re.compile(
    r"message|inbound|repl|sms|chat|call|appointment|booking|reservation|order|payment|invoice|refund|shipment"
    r"|delivery|ticket|verif|password|otp|confirm"
)
_WHO = ("id", "contactid", "leadid", "userid", "customerid", "from", "phone")
_KINDS_WITHIN = 40
_CALM_ASKS = 5
_ALL_SENT_S = 3.0


@dataclass(frozen=True, slots=True)
class Occasion:
    """An event about somebody unknown before, and the messages to that person that followed."""

    webhook: Webhook
    kind: str
    payload: dict[str, Any]
    messages: tuple[UpstreamCall, ...]

    @property
    def named(self) -> str:
        """The kind, as it is told: not every payload names one."""
        return self.kind or "an event"

    @property
    def is_asked_for(self) -> bool:
        """Whether the person acted, wrote or booked, and the message answers that."""
        return _ASKED_FOR.search(self.kind) is not None


async def occasions(context: ProbeContext) -> tuple[Occasion, ...]:
    """An event of each kind about a person of its own; asked once a session."""
    if "occasions" not in context.shared:
        context.shared["occasions"] = asyncio.ensure_future(_occasions(context))
    found = await asyncio.shield(context.shared["occasions"])
    return found if isinstance(found, tuple) else ()


async def _occasions(context: ProbeContext) -> tuple[Occasion, ...]:
    found: list[Occasion] = []
    for webhook in context.webhooks():
        found += await occasions_of(context, webhook, kinds_of(context, webhook))
    return tuple(found)


async def occasions_of(context: ProbeContext, webhook: Webhook, payloads: list[dict[str, Any]]) -> list[Occasion]:
    """Each payload about somebody unknown, and what it led to."""
    events = [(f"probe-{uuid.uuid4()}", payload) for payload in payloads if who_of(payload)]
    seen = len(context.upstreams.snapshot())
    requests = [delivered(context, webhook, about(payload, who)) for who, payload in events]
    await asyncio.gather(*(context.send(request) for request in requests))
    await settled(context, calm_s=0.4)

    def messages(who: str) -> tuple[UpstreamCall, ...]:
        calls = context.upstreams.snapshot()[seen:]
        return tuple(call for call in calls if is_message(call) and (who in call.path or who.encode() in call.body))

    counts: list[int] = []

    async def calm() -> bool:
        counts.append(sum(len(messages(who)) for who, _ in events))
        return len(counts) > _CALM_ASKS and len(set(counts[-_CALM_ASKS:])) == 1

    await until(calm, _ALL_SENT_S)
    return [Occasion(webhook, kind_of(payload), payload, messages(who)) for who, payload in events]


def solicitations(found: tuple[Occasion, ...]) -> tuple[Occasion, ...]:
    """Those where the service wrote to somebody who had not asked it anything."""
    return tuple(occasion for occasion in found if occasion.messages and not occasion.is_asked_for)


def shown_to_ask_nobody(context: ProbeContext, found: tuple[Occasion, ...]) -> tuple[bool, str]:
    """Whether it is shown that the service writes to nobody unasked; the words that show it, or what is in doubt."""
    answered = sorted({occasion.kind for occasion in found if occasion.messages})
    traffic = f"{len(found)} kinds of events" + (
        f", messages only after {', '.join(answered)}" if answered else ", no message to anybody"
    )
    if context.index is None:
        return False, f"{traffic}; its code is not known, what it sends by itself cannot be seen"
    if not found:
        return False, "no event about a person could be sent"
    senders = list(senders_in(context.index))
    reachable = context.index.reachable()
    loose = next((sender for sender in senders if sender not in reachable), None)
    clock = next(clocks_in(context.index), "")
    if answered and not senders:
        return False, f"{traffic}; where the code sends them was not found"
    if senders and not answered:
        return False, f"{senders[0].dotted} sends messages, and no event of the session led to one"
    if loose is not None:
        return False, f"{traffic}; {loose.dotted} sends messages too, and no request leads to it"
    if senders and clock:
        return False, f"{traffic}; {clock} runs by the clock and may send"
    how = f"only {', '.join(s.name for s in senders[:3])} sends, for requests alone" if senders else "none sends any"
    return True, f"{traffic}; of the code's {len(context.index.functions)} functions {how}"


def senders_in(index: Index) -> Iterator[Function]:
    """The functions that have a message sent: by a POST to such a path, or a library made for it."""
    for function in index.functions:
        for node in index.own_nodes(function):
            if isinstance(node, ast.Call) and _sends(index, function, node):
                yield function
                break


def _sends(index: Index, function: Function, call: ast.Call) -> bool:
    dotted = index.resolve(function.module, call.func) or ""
    if dotted.startswith(_SENDING_LIBRARIES):
        return True
    request = http_call(index, function.module, call)
    if request is None or request.verb != "POST":
        return False
    url = next((k.value for k in call.keywords if k.arg == "url"), call.args[0] if call.args else None)
    text = sql_text(index, function.module, url) if url is not None else None
    is_send = text is not None and _SENDS.search(text) is not None
    return is_send and not asks_model(index, function.module, request)


def clocks_in(index: Index) -> Iterator[str]:
    """What runs by the clock, not for a request: schedulers, and loops that sleep outside of a request's path."""
    for module in index.tree.modules.values():
        if "PROMETHEUS_LINES" in module.globals:  # a mend's own module
            continue
        for call in module.nodes(ast.Call):
            if (index.resolve(module, call.func) or "").startswith(_CLOCKS):
                yield f"{module.path}:{call.lineno}"
        for loop in module.nodes(ast.While):
            sleeps = any(isinstance(n, ast.Call) and unparsed(n.func).endswith("sleep") for n in ast.walk(loop))
            if sleeps and not index.on_request_path(module, loop):
                yield f"{module.path}:{loop.lineno}"


def is_message(call: UpstreamCall) -> bool:
    """Whether a call has a message sent to somebody."""
    is_model = is_question(call.method, call.path, call.body)
    return call.method == "POST" and not is_model and _SENDS.search(call.path) is not None


def kinds_of(context: ProbeContext, webhook: Webhook) -> list[dict[str, Any]]:
    """One payload of each kind of event, as far as a few requests in a row show different ones."""
    kinds: dict[str, dict[str, Any]] = {}
    for _ in range(_KINDS_WITHIN):
        payload = read(context.fresh(webhook).body)
        if isinstance(payload, dict):
            kinds.setdefault(kind_of(payload), payload)
    return list(kinds.values())


def kind_of(payload: dict[str, Any]) -> str:
    """What kind of event it is, in small letters."""
    named = [str(payload[name]) for name in ("type", "event", "kind", "action", "topic") if payload.get(name)]
    return " ".join(named).lower()


def has_text(payload: dict[str, Any]) -> bool:
    """Whether it carries what somebody wrote."""
    return any(name_of(at) in TEXTS for at, _ in strings(payload))


def who_of(payload: dict[str, Any]) -> str:
    """The id of the person it is about; "" where none is found."""
    found = {name_of(at): value for at, value in strings(payload) if name_of(at) in _WHO}
    return next(
        (
            found[name]
            for name in ("contactid", "leadid", "userid", "customerid", "from", "phone", "id")
            if name in found
        ),
        "",
    )


def about(payload: dict[str, Any], who: str) -> dict[str, Any]:
    """The payload about one contact: its contact ids, and the id of what is a contact itself."""
    own = not any(name_of(at) in ("contactid", "leadid", "userid", "customerid") for at, _ in strings(payload))
    wanted = ("id",) if own else ("contactid", "leadid", "userid", "customerid")
    result: dict[str, Any] = changed(
        payload, lambda at, value: name_of(at) in wanted and len(at) <= 2, lambda value: who
    )
    return result


def delivered(context: ProbeContext, webhook: Webhook, payload: dict[str, Any]) -> WebhookRequest:
    """A delivery of its own: ids of the delivery are those of a fresh request."""
    request = context.fresh(webhook)
    fresh = read(request.body)
    for name in ("webhookId", "eventId", "event_id", "deliveryId", "delivery_id"):
        if isinstance(fresh, dict) and name in fresh and name in payload:
            payload = extended(payload, {name: fresh[name]})
    return context.with_body(webhook, request, write(payload))

"""C11, C12 and W19: what lies in the service's files of what was sent."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Collection
from typing import Any

from swarm.config.schema import Webhook
from swarm.probes.kept import Place, places_holding, read_of
from swarm.probes.payloads import extended, read, strings, write
from swarm.probes.people.person import exported, known
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.probes.traces import files_holding, held, settled, until
from swarm.target.traffic import WebhookRequest

# What decides about a person or a tenant, and is the service's to set.
_NOT_THE_SENDERS = (
    "is_admin", "isAdmin", "role", "score", "ai_score", "tier", "verified", "balance", "credit", "owner", "tenant_id",
    "created_at", "updated_at", "password_hash", "permissions",
)  # fmt: skip
_KIND_WITHIN = 12
_OWN_TEXT = 16  # a text as long as an id: stands in this event alone


class EncryptedAtRest(Probe):
    """Sends an event about a new person and looks for the values in the bytes of all files that the service wrote."""

    id = "C11"
    title = "Personal data lies in files as plain text"
    category = "compliance"
    severity = "medium"
    cwe = ("CWE-311",)
    sources = ("GDPR 32(1)(a)", "OWASP ASVS 5.0 14.2.4")
    recommendation = "Encrypt personal fields before they are stored, with a key that does not lie beside them."
    order = 70
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One event."""
        person = await known(context)
        if person is None:
            return self.skipped("no payload with personal data was taken")
        written = {form: value for value in person.canaries for form in _readable_forms(value)}
        found = files_holding(context, written)
        if found:
            fields = sorted({person.canaries[written[form]] for form in held(found)})
            return self.failed(f"{', '.join(sorted(found))}: {', '.join(fields)} in plain text")
        where = ", ".join(sorted(files_holding(context, person.own_ids)))
        if not where:
            return self.skipped(
                "what was sent is in no file of the service: its database is elsewhere, or keeps nothing"
            )
        told = await exported(context, person)
        if told is None:
            return self.inapplicable(f"{where} holds the person's id; no value of {len(person.canaries)} was kept")
        route = told[1].path.replace(told[0], "{id}")
        return self.passed(f"{route} tells the values, and {where}, which holds the person's id, none of them")


class UnknownFields(Probe):
    """Sends a good event with one more field that nobody declared: it must not be stored."""

    id = "C12"
    title = "Fields that nobody declared are stored"
    category = "compliance"
    severity = "medium"
    sources = ("GDPR 5(1)(c)", "OWASP ASVS 5.0 15.3.1")
    recommendation = "Store the fields that are used, and drop the rest of a payload."
    order = 73
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One event a webhook."""
        return await _stored_fields(self, context, ("unheard_of", "nationality"))


class MassAssignment(Probe):
    """Sends a good event with fields that only the service may set: none of their values may be stored."""

    id = "W19"
    title = "A sender can set what only the service may"
    severity = "high"
    cwe = ("CWE-915",)
    sources = ("OWASP API3:2023", "OWASP ASVS 5.0 15.3.3")
    recommendation = "Read the fields that a sender may set by name; never store a payload's fields as they come."
    order = 74
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One event a webhook."""
        return await _stored_fields(self, context, _NOT_THE_SENDERS)


def _readable_forms(value: str) -> tuple[str, ...]:
    """A value as text, in hexadecimal and in base64 wherever it may begin there: what is only written differently is
    not encrypted."""
    raw = value.encode()
    forms = [value, raw.hex()]
    for before in range(3):
        mixed = base64.b64encode(b"\0" * before + raw).decode()
        # letters that also hold bits of what stands before or after are left out
        forms.append(mixed[(0, 2, 3)[before] : len(mixed) - (0, 3, 2)[(before + len(raw)) % 3]])
    return tuple(forms)


async def _stored_fields(probe: Probe, context: ProbeContext, names: tuple[str, ...]) -> ProbeResult:
    taken = 0
    for webhook in context.webhooks():
        good = context.fresh(webhook)
        payload = read(good.body)
        if not isinstance(payload, dict):
            continue
        values, request = _with_more(context, webhook, good, names)
        answer = await context.send(request)
        if answer.broken or answer.status == 429:
            return probe.skipped(f"answered {answer.status or answer.text} to a good event with more fields")
        taken += 1  # a refusal is as good as dropping them
        kept = await _left(context, values)
        where = {place.name for place in kept if place.cells}
        if kept and not where:
            where = await _where_they_stay(context, webhook, payload, names)
        if where:
            fields = ", ".join(sorted({values[value] for value in read_of(kept)}))
            return probe.failed(f"stored as sent: {fields}, in {', '.join(sorted(where))}", route_of(webhook))
    return probe.passed(f"{len(names)} more fields sent, none stored") if taken else probe.skipped("no JSON payload")


def _with_more(
    context: ProbeContext, webhook: Webhook, good: WebhookRequest, names: Collection[str]
) -> tuple[dict[str, str], WebhookRequest]:
    """A good event with more fields, and the names of these by their values."""
    payload = read(good.body)
    token = uuid.uuid4().hex[:12]
    values = {f"{name}-{token}": name for name in names if name not in payload}
    more = {name: value for value, name in values.items()}
    return values, context.with_body(webhook, good, write(extended(payload, more)))


async def _left(context: ProbeContext, values: Collection[str]) -> tuple[Place, ...]:
    """What can be read of the values when the work is done: what is kept whole until then goes with it."""
    await settled(context)
    found: list[tuple[Place, ...]] = []

    async def gone() -> bool:
        found.append(places_holding(context, values))
        return not found[-1]

    await until(gone)
    return found[-1]


async def _where_they_stay(context: ProbeContext, webhook: Webhook, payload: Any, names: Collection[str]) -> set[str]:
    """Where events stay whole, odd fields or not. Elsewhere the work failed, with an upstream or for the odd fields,
    and the event waits there for somebody to look at it."""
    plain, other = (_alike(context, webhook, payload) for _ in range(2))
    texts = {value for _, value in strings(read(plain.body)) if len(value) >= _OWN_TEXT}
    values, odd = _with_more(context, webhook, other, names)
    await asyncio.gather(context.send(plain), context.send(odd))
    odd_left, plain_left = await asyncio.gather(_left(context, values), _left(context, texts))
    stays = {place.name for place in plain_left if place.holds >= texts}
    return {place.name for place in odd_left if place.name in stays or not texts}


def _alike(context: ProbeContext, webhook: Webhook, payload: Any) -> WebhookRequest:
    """A fresh event of the same kind, as far as its fields tell."""
    fields = [at for at, _ in strings(payload)]
    fresh = [context.fresh(webhook) for _ in range(_KIND_WITHIN)]
    return next((request for request in fresh if [at for at, _ in strings(read(request.body))] == fields), fresh[0])

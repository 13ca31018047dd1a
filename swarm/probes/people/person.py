"""A person whom the service has just heard of, in canaries, and the routes that serve a person's rights."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import quote

from swarm.config.schema import Webhook
from swarm.probes.effects import over
from swarm.probes.kept import places_holding
from swarm.probes.payloads import Path, changed, is_personal, is_phone, name_of, read, strings, write
from swarm.probes.probe import Answer, ProbeContext
from swarm.probes.traces import settled, until
from swarm.target.traffic import WebhookRequest

_ATTEMPTS = 12
_OWN_ID = 16  # an id as long as that stands for one person alone
_PERSON = re.compile(
    r"contact|lead|person|people|user|customer|client|member|subscriber|patient|guest|profile|account|subject|candidate"
    r"|applicant|tenant_user|buyer|visitor|privacy|gdpr|erasure",
    re.IGNORECASE,
)
_EXPORTS = re.compile(r"export|portab|takeout|dsar|subject.?access|download", re.IGNORECASE)
_ERASES = re.compile(r"eras|delet|forget|remove|anonymi", re.IGNORECASE)
_PURGES = re.compile(r"purge|retention|expire|clean.?up|prune", re.IGNORECASE)
_ACCESS = re.compile(r"token|key|auth|admin|secret|api", re.IGNORECASE)
_CONTAINERS = (
    "id",
    "contactid",
    "leadid",
    "userid",
    "personid",
    "customerid",
    "memberid",
    "subscriberid",
    "profileid",
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who was sent: the payload, its canaries by value (with the field of each), and the ids it may be known by."""

    webhook: Webhook
    request: WebhookRequest
    payload: dict[str, Any]
    canaries: dict[str, str]
    ids: tuple[str, ...]

    @property
    def own_ids(self) -> tuple[str, ...]:
        """The ids that nothing else can be known by, and that are no personal value themselves."""
        return tuple(known_as for known_as in self.ids if known_as not in self.canaries and len(known_as) >= _OWN_ID)


async def known(context: ProbeContext) -> Person | None:
    """A person whom several probes share: they only look, and leave what is stored as it is."""
    if "person" not in context.shared:
        context.shared["person"] = asyncio.ensure_future(somebody(context))
    person = await asyncio.shield(context.shared["person"])
    return person if isinstance(person, Person) else None


async def somebody(context: ProbeContext) -> Person | None:
    """Send an event about a person never heard of; None where no payload holds personal data, or none is taken.

    Where the service keeps an event and works on it behind its answer, the work is done when this returns; where the
    work fails, as it may when an upstream does, somebody else is sent.
    """
    taken: Person | None = None
    for webhook in context.webhooks():
        candidates = [context.fresh(webhook) for _ in range(_ATTEMPTS)]
        # a person who is new to the sender too comes with an id that is no number of a small set
        for request in sorted(candidates, key=lambda request: _newness(read(request.body)))[:3]:
            person = person_of(context, webhook, request)
            if person is not None and (await context.send(person.request)).ok:
                await settled(context)
                if await until(partial(_is_worked_on, context, person)) or taken is not None:
                    await over(context, person.request)
                    return person
                if not places_holding(context, person.canaries):
                    return person
                taken = person
    return taken


async def _is_worked_on(context: ProbeContext, person: Person) -> bool:
    """Whether the person is told of, or stands in a column: a row that only holds the whole event is a job."""
    if any(place.cells for place in places_holding(context, person.canaries)):
        return True
    return await exported(context, person) is not None


def person_of(context: ProbeContext, webhook: Webhook, request: WebhookRequest) -> Person | None:
    """The request with canaries in its personal fields; None where it has none."""
    payload = read(request.body)
    if not isinstance(payload, dict):
        return None
    token = uuid.uuid4().hex[:10]
    canaries: dict[str, str] = {}
    for place, (at, value) in enumerate(list(strings(payload))):
        if is_personal(at, value):
            canary = canary_of(name_of(at), value, f"{token}{place}")
            canaries[canary] = ".".join(map(str, at))
            payload = changed(payload, partial(_is_at, at), partial(_instead, canary))
    if not canaries:
        return None
    ids = [value for at, value in strings(payload) if name_of(at) in _CONTAINERS]
    ids += [canary for canary in canaries if "@" in canary]
    return Person(webhook, context.with_body(webhook, request, write(payload)), payload, canaries, tuple(ids))


def again(context: ProbeContext, person: Person, payload: dict[str, Any]) -> WebhookRequest:
    """A new delivery about the same person: `payload`, with the ids of deliveries made anew."""
    fresh = changed(payload, _is_delivery_id, lambda value: str(uuid.uuid4()))
    request = context.fresh(person.webhook)
    return context.with_body(person.webhook, request, write(fresh))


def canary_of(name: str, value: str, token: str) -> str:
    """A value that stands nowhere else, of the field's form."""
    if "@" in value or "mail" in name:
        return f"canary.{token}@example.com"
    if "phone" in name or "mobile" in name or is_phone(value):
        return f"+1555{int(token[:9], 16) % 10**7:07d}"
    return f"Canary{token}"


def export_routes(context: ProbeContext) -> Iterator[str]:
    """Paths of GET routes that give a person's data, the likeliest first; `{}` where the person's id goes."""
    yield from _routes(context, "GET", _EXPORTS)
    for method, path in context.routes:
        bare = path.split("?")[0]
        if method == "GET" and _one_parameter(bare) and _PERSON.search(bare) and not _EXPORTS.search(bare):
            yield re.sub(r"\{[^}]*\}", "{}", bare)


def erase_routes(context: ProbeContext) -> tuple[tuple[str, str], ...]:
    """Method and path of routes that erase a person."""
    found = []
    for method, path in context.routes:
        bare = path.split("?")[0]
        if not _one_parameter(bare) or not _PERSON.search(bare):
            continue
        if method == "DELETE" or (method == "POST" and _ERASES.search(bare)):
            found.append((method, re.sub(r"\{[^}]*\}", "{}", bare)))
    return tuple(found)


def purge_routes(context: ProbeContext) -> tuple[str, ...]:
    """Paths of POST routes that drop what is too old."""
    return tuple(
        path.split("?")[0] for method, path in context.routes
        if method == "POST" and _PURGES.search(path) and "{" not in path
    )  # fmt: skip


async def exported(context: ProbeContext, person: Person) -> tuple[str, Answer] | None:
    """The first export that holds the person: the path's id and the answer."""
    headers = credentials(context)
    for path in export_routes(context):
        for known_as in person.ids:
            answer = await context.call("GET", path.replace("{}", quote(known_as, safe="")), headers=headers)
            if answer.ok and any(told(answer, canary) for canary in person.canaries):
                return known_as, answer
    return None


def told(answer: Answer, canary: str) -> bool:
    """Whether an answer holds a value, however JSON writes it."""
    return canary in answer.text or json.dumps(canary)[1:-1] in answer.text


def credentials(context: ProbeContext) -> dict[str, str]:
    """The headers that the target's own environment opens the back office with, as far as names tell.

    A header whose name shares a word with a secret variable gets that variable's value.
    """
    signing = {webhook.sign.header.lower() for webhook in context.webhooks()}
    signing |= {webhook.sign.secret_env for webhook in context.webhooks()}
    headers: dict[str, str] = {}
    for header in context.header_names:
        if header.lower() in signing or not _ACCESS.search(header):
            continue
        words = set(re.findall(r"[a-z]+", header.lower())) - {"x"}
        chosen = [
            (len(words & set(re.findall(r"[a-z]+", name.lower()))), name, value)
            for name, value in context.secrets().items()
            if name not in signing
        ]
        best = max(chosen, default=None)
        if best is not None and best[0]:
            headers[header] = f"Bearer {best[2]}" if header.lower() == "authorization" else best[2]
    return headers


def _routes(context: ProbeContext, wanted: str, word: re.Pattern[str]) -> Iterator[str]:
    for method, path in context.routes:
        bare = path.split("?")[0]
        if method == wanted and _one_parameter(bare) and word.search(bare):
            yield re.sub(r"\{[^}]*\}", "{}", bare)


def _one_parameter(path: str) -> bool:
    return path.count("{") == 1


def _newness(payload: Any) -> tuple[int, int]:
    """Lower is better: an id of its own at the top that is long, and many personal fields."""
    if not isinstance(payload, dict):
        return 9, 0
    own = [value for at, value in strings(payload) if name_of(at) in _CONTAINERS]
    personal = sum(is_personal(at, value) for at, value in strings(payload))
    return 0 if any(len(value) >= 16 for value in own) else 1, -personal


def _is_delivery_id(at: Path, value: str) -> bool:
    return name_of(at) in ("webhookid", "eventid", "deliveryid", "messageid", "idempotencykey", "requestid")


def _is_at(wanted: Path, place: Path, value: str) -> bool:
    return place == wanted


def _instead(canary: str, value: str) -> str:
    return canary


def with_text(person: Person, old: str, new: str) -> Person:
    """The same person with one canary changed."""
    payload = changed(person.payload, lambda at, value: value == old, lambda value: new)
    canaries = {new if canary == old else canary: field for canary, field in person.canaries.items()}
    return replace(person, payload=payload, canaries=canaries)

"""Sends a service its first events: tries the ways of being genuine, and mends what it says is missing in a body."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from swarm.config.schema import BodyTemplate, Webhook
from swarm.core.errors import TargetError
from swarm.intake.draft import Draft
from swarm.intake.survey import Survey
from swarm.intake.trying.answers import is_refused
from swarm.intake.trying.body_mends import mended
from swarm.intake.trying.fresh_ids import with_fresh_ids
from swarm.intake.webhooks.entries import Entry
from swarm.intake.webhooks.signatures import Checked, candidates
from swarm.target.running.server import RunningServer
from swarm.target.running.start_failure import describe_answer_failure
from swarm.target.traffic import Traffic
from swarm.target.upstream.upstreams import Upstreams
from swarm.target.wire import Client, WireError

_ANSWER_S = 20.0
_BODY_MENDS = 6
_LONG_S = 8.0
_REFUSED = (401, 403)
_MOVED = (301, 302, 307, 308)
_STANDARD = re.compile(
    r"^(content-|user-agent|host|accept|cookie|x-forwarded|x-real-ip|origin|referer|if-|forwarded|cf-)", re.IGNORECASE
)
_KNOWN_HEADERS = {"x-github-event": "push", "x-gitlab-event": "Push Hook", "x-shopify-topic": "orders/create",
                  "x-event-key": "repo:push", "x-shopify-shop-domain": "example.myshopify.com"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sent:
    """One event and what came of it: `webhook` and `payload` are places in the draft's lists; status 0, no answer."""

    webhook: int
    payload: int
    status: int
    body: bytes
    answer: str
    why: str = ""  # what the service's log says of it, where it or the work behind it failed

    @property
    def good(self) -> bool:
        """Whether the service took it."""
        return 200 <= self.status < 300


class Sender:
    """Sends events of one service."""

    def __init__(self, survey: Survey, tell: Callable[[str], None]) -> None:
        self._survey = survey
        self._tell = tell
        self._number = 0

    async def round(
        self, draft: Draft, server: RunningServer, upstreams: Upstreams, *, first: bool
    ) -> tuple[Draft, tuple[Sent, ...], bool]:
        """Every example of every webhook once; in the first round also how to sign, and what bodies lack.

        False where it ended early: an event took long over a call that nobody plays yet, as the next ones would.
        """
        waits = _Waits(upstreams, draft)
        client = Client(server.base_url)
        try:
            if first:
                draft = await self._health(draft, client)
            for number, entry in enumerate(self._survey.entries[: len(draft.target.webhooks)]):
                if first:
                    given = draft.target.webhooks[number].payloads
                    tried = _with_payloads(draft, number, [_fresh(p, of_event_only=False) for p in given])
                    draft = _with_payloads(await self._genuine(tried, number, entry, client), number, list(given))
                if not waits.are_long():
                    draft = await self._complete(draft, number, client, server, waits)
            sent: list[Sent] = []
            places = [(n, p) for n, w in enumerate(draft.target.webhooks) for p in range(max(1, len(w.payloads)))]
            for number, payload in places:
                if waits.are_long():
                    return draft, tuple(sent), False
                before = len(server.log_text())
                one = await self._send(draft, number, client, payload)
                await upstreams.quiet(limit_s=5.0)
                why = _complaint(server.log_text()[before:], one)
                sent.append(replace(one, why=why))
        finally:
            client.close()
        return draft, tuple(sent), True

    async def _health(self, draft: Draft, client: Client) -> Draft:
        health = draft.target.health
        if health is None:
            return draft
        try:
            status = (await client.send("GET", client.encode("GET", health, {}, b""), _ANSWER_S)).status
        except WireError:
            status = 0
        if 200 <= status < 300:
            return draft
        return draft.having(health=None).doubting(
            f"{health} answers {status or 'nothing'}: any answer is taken for health", "start"
        )

    async def _genuine(self, draft: Draft, number: int, entry: Entry, client: Client) -> Draft:
        """The webhook with the first way of being genuine that is not refused."""
        ways = candidates(self._survey.index, entry, self._survey.settings)
        usual = _usual_headers(entry)
        first = await self._send(self._with(draft, number, ways[-1], usual), number, client, 0)
        if first.status in _MOVED:  # it wants https, which its proxy tells it of
            usual["X-Forwarded-Proto"] = "https"
        tried: list[tuple[Checked, Sent, bool]] = []
        for way in ways:
            attempt = self._with(draft, number, way, usual)
            try:
                sent = await self._send(attempt, number, client, 0)
                told = await self._is_told_apart(attempt, number, client, sent) if _signs(way) else False
            except TargetError:  # the secret's form does not fit the scheme
                continue
            tried.append((way, sent, told))
            if told and sent.good:
                break
        # what is told apart from a forgery is the right way, whatever the service then makes of the event
        best = min(tried, key=lambda one: (not one[2] or _refusal(one[1]) == 3, _refusal(one[1])), default=None)
        if best is None:
            return draft
        way, sent, _ = best
        draft = self._with(draft, number, way, usual)
        if way.sign.scheme != "none":
            self._tell(
                f"{entry.path}: signed by {way.sign.scheme} in {way.sign.header}, secret in {way.sign.secret_env}"
            )
        if sent.status in _REFUSED or (_refusal(sent) == 2 and len(ways) > 1):
            words = f"{entry.method} {entry.path} answers {sent.status} ({sent.answer[:60]}): say how senders sign it"
            draft = draft.doubting(words, "webhooks", number, "sign")
        return draft

    async def _is_told_apart(self, draft: Draft, number: int, client: Client, genuine: Sent) -> bool:
        """Whether the same event with another secret gets another answer."""
        webhook = draft.target.webhooks[number]
        names = [webhook.sign.secret_env] if webhook.sign.scheme != "none" else []
        env = {name: _other(draft.target.env[name]) for name in names}
        headers = {
            name: value if name in _plain(webhook) else _other(value) for name, value in webhook.headers.items()
        }
        webhooks = list(draft.target.webhooks)
        webhooks[number] = webhook.model_copy(update={"headers": headers})
        forged = await self._send(draft.having(webhooks=webhooks).with_env(env), number, client, 0)
        if forged.status != genuine.status:
            return True
        again = await self._send(draft, number, client, 0)
        differs = _steady(forged.answer) != _steady(genuine.answer)
        return differs and _steady(again.answer) == _steady(genuine.answer)  # else it differs by itself

    def _with(self, draft: Draft, number: int, way: Checked, usual: dict[str, str]) -> Draft:
        env = dict(draft.target.env)
        headers = dict(usual)
        by_name = {setting.name: setting for setting in self._survey.settings}
        for variable in [*([way.sign.secret_env] if way.sign.secret_env else []), *(v for _, v in way.headers)]:
            if not env.get(variable):
                default = by_name[variable].default if variable in by_name else None
                env[variable] = default or f"test-{variable.lower().replace('_', '-')}-0123456789abcdef"
        for header, variable in way.headers:
            bearer = header.lower() == "authorization"
            headers[header] = f"Bearer {env[variable]}" if bearer else env[variable]
        if "{host}" in way.sign.signed:
            headers["Host"] = "hooks.example"  # the address is signed, and its port changes from start to start
        if way.sign.scheme == "standard-webhooks":
            env[way.sign.secret_env] = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
        webhooks = list(draft.target.webhooks)
        webhooks[number] = webhooks[number].model_copy(update={"sign": way.sign, "headers": headers})
        return draft.having(env=env, webhooks=webhooks)

    async def _complete(
        self, draft: Draft, number: int, client: Client, server: RunningServer, waits: _Waits
    ) -> Draft:
        """Give the bodies what the service says they lack, for as long as that helps."""
        for payload in range(len(draft.target.webhooks[number].payloads)):
            for _ in range(_BODY_MENDS):
                if waits.are_long():
                    return draft
                before = len(server.log_text())
                sent = await self._send(draft, number, client, payload)
                if sent.good:
                    draft = await self._distinct(draft, number, payload, client, sent)
                    break
                read = self._survey.entries[number].payloads
                better = mended(draft.target.webhooks[number], payload, sent, server.log_text()[before:], read)
                if better is None:
                    break
                webhooks = list(draft.target.webhooks)
                webhooks[number] = better
                draft = draft.having(webhooks=webhooks)
        return draft

    async def _distinct(self, draft: Draft, number: int, payload: int, client: Client, first: Sent) -> Draft:
        """The draft with fresh ids in this body, where the service answers them as it answered the first event.

        One that answers a repeated event otherwise gets fresh ids wherever there are some, else in the event's own.
        """
        body = draft.target.webhooks[number].payloads[payload]
        again = await self._send(draft, number, client, payload)
        for of_event_only in (False, True) if again.answer != first.answer else (True,):
            changed = _fresh(body, of_event_only=of_event_only)
            if changed == body:
                continue
            payloads = list(draft.target.webhooks[number].payloads)
            payloads[payload] = changed
            fresh = _with_payloads(draft, number, payloads)
            sent = await self._send(fresh, number, client, payload)
            if sent.status == first.status and _steady(sent.answer) == _steady(first.answer):
                return fresh
        return draft

    async def _send(self, draft: Draft, number: int, client: Client, payload: int) -> Sent:
        webhook = draft.target.webhooks[number]
        payloads = webhook.payloads[payload : payload + 1]
        single = webhook.model_copy(update={"payloads": payloads})
        target = draft.target.model_copy(update={"webhooks": [single]})
        self._number += 1
        request = Traffic(target, self._survey.root, seed=11).request_for(single, self._number, time.time())
        try:
            message = client.encode(request.method, request.path, request.headers, request.body)
            answer = await client.send(request.method, message, _ANSWER_S)
        except WireError as error:
            return Sent(number, payload, 0, request.body, str(error))
        words = answer.body.decode("utf-8", "replace").replace("\n", " ")
        return Sent(number, payload, answer.status, request.body, words)


def _fresh(payload: BodyTemplate, *, of_event_only: bool) -> BodyTemplate:
    """A body with fresh ids; the name of a file stays as it is."""
    if isinstance(payload, str):
        return payload
    changed: BodyTemplate = with_fresh_ids(payload, of_event_only=of_event_only)
    return changed


def _with_payloads(draft: Draft, number: int, payloads: list[BodyTemplate]) -> Draft:
    webhooks = list(draft.target.webhooks)
    webhooks[number] = webhooks[number].model_copy(update={"payloads": payloads})
    return draft.having(webhooks=webhooks)


class _Waits:
    """Whether a round waits long for calls that nobody plays: retries with pauses, most often."""

    def __init__(self, upstreams: Upstreams, draft: Draft) -> None:
        self._upstreams = upstreams
        self._target = draft.target
        self._begun_s = time.monotonic()

    def are_long(self) -> bool:
        """Whether something is to be learned first, and the round has lasted long."""
        unplayed = any(is_refused(call, self._target) for call in self._upstreams.calls)
        return unplayed and time.monotonic() - self._begun_s > _LONG_S


def _complaint(told: str, sent: Sent) -> str:
    """The error that the log tells of an event, "" where it tells none."""
    if sent.good and "Traceback (most recent" not in told:
        return ""
    found = describe_answer_failure(told)
    is_access_log = re.search(r"HTTP/\d", found)
    return found if re.search(r"(Error|Exception|cannot|missing)\b", found) and not is_access_log else ""


def _signs(way: Checked) -> bool:
    return way.sign.scheme != "none" or bool(way.headers)


def _plain(webhook: Webhook) -> set[str]:
    """Headers that hold no secret."""
    return {name for name in webhook.headers if not re.search(r"token|secret|auth|key|password", name, re.IGNORECASE)}


def _other(secret: str) -> str:
    """Another secret of the same form."""
    return secret[:-2] + (
        "A=" if secret.endswith("=") and secret[-2] != "A" else "zz" if not secret.endswith("=") else "E="
    )


def _steady(answer: str) -> str:
    """An answer without what changes from one to the next."""
    return re.sub(r"-?([0-9a-f-]{8,}|\d+)", "", answer)[:200]


def _refusal(sent: Sent) -> int:
    """0 taken, 1 taken in but not well, 2 refused for its form, 3 refused as not genuine."""
    if sent.good:
        return 0
    if sent.status in _REFUSED:
        return 3
    if 400 <= sent.status < 500:
        worded = re.search(r"signature|unauthor|forbidden|secret|token|verif", sent.answer, re.IGNORECASE)
        return 3 if worded else 1 if sent.status in (422, 404) else 2
    return 1


def _usual_headers(entry: Entry) -> dict[str, str]:
    """Headers that the code reads and that say nothing secret: kinds and ids of a delivery."""
    found: dict[str, str] = {}
    for name in entry.headers:
        low = name.lower()
        known = entry.header_values.get(low, ())
        if low in _KNOWN_HEADERS and (not known or _KNOWN_HEADERS[low] in known):
            found[name] = _KNOWN_HEADERS[low]
        elif _STANDARD.match(low) or re.search(r"sign|token|secret|auth|key|timestamp|hmac", low):
            continue
        elif known:
            found[name] = known[0]
        elif re.search(r"(user|account|customer|org\w*|team|tenant|shop|store|client)[-_]?id$", low):
            found[name] = "1001"
        elif re.search(r"id$|delivery|idempot|uuid|nonce", low):
            found[name] = "{{uuid}}"
        elif re.search(r"event|topic|type", low):
            found[name] = "created"
    return found

"""Makes the webhooks that a sender would send: payload, headers and a genuine signature, by seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from random import Random

from swarm.config.schema import Target, Webhook
from swarm.core.errors import TargetError
from swarm.target.payloads import InTurn, Payload, read_payloads, template
from swarm.target.signing import signature_headers

Kind = tuple[int, int]


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """One delivery, ready to be sent. `id` is unique for (seed, number)."""

    id: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Traffic:
    """The traffic mix of a target: request `number` is the same for one seed, but for the time in it.

    `payload_root` is what the names of payload files count from: the target's path. Raises TargetError where
    the target names no webhook or a payload cannot be read.
    """

    def __init__(self, target: Target, payload_root: Path, seed: int) -> None:
        if not target.webhooks:
            raise TargetError("the target names no webhooks; list at least one under `webhooks` in agents.yaml")
        self._env = dict(target.env)
        self._seed = seed
        self._webhooks = tuple(target.webhooks)
        self._shares = [webhook.share for webhook in self._webhooks]
        self._payloads = [read_payloads(webhook, payload_root) for webhook in self._webhooks]
        self._paths = [template(webhook.path) for webhook in self._webhooks]
        self._headers = [
            {name: template(value) for name, value in webhook.headers.items()} for webhook in self._webhooks
        ]

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        """The declared webhooks, in order."""
        return self._webhooks

    def request(self, number: int, now_s: float) -> WebhookRequest:
        """The `number`-th request; `now_s` is Unix time, for {{now}} and for signed timestamps."""
        chance = Random(f"{self._seed}:{number}")
        place = chance.choices(range(len(self._webhooks)), self._shares)[0]
        return self._build(place, chance.choice(self._payloads[place]), chance, number, now_s)

    def turns(self, kind: Kind) -> int:
        """How many requests of this kind have every value between them that its placeholders choose among."""
        place, payload = kind
        around = max(one.widest for one in (self._paths[place], *self._headers[place].values()))
        return max(self._payloads[place][payload].widest, around)

    def request_in_turn(self, kind: Kind, turn: int, number: int, now_s: float) -> WebhookRequest:
        """A request of this kind in which every choice among values is the `turn`-th, and all else is chance."""
        place, payload = kind
        chance = InTurn(f"{self._seed}:{number}")
        chance.turn = turn
        return self._build(place, self._payloads[place][payload], chance, number, now_s)

    def kind(self, number: int) -> Kind:
        """Which webhook and which of its payloads the `number`-th request is, as places in their lists."""
        chance = Random(f"{self._seed}:{number}")
        place = chance.choices(range(len(self._webhooks)), self._shares)[0]
        return place, chance.choice(range(len(self._payloads[place])))

    def request_for(self, webhook: Webhook, number: int, now_s: float, payload: int | None = None) -> WebhookRequest:
        """The `number`-th request of one given webhook, of any of its payloads or of the one at a place."""
        chance = Random(f"{self._seed}:{number}:{webhook.path}")
        place = self._webhooks.index(webhook)
        payloads = self._payloads[place]
        chosen = chance.choice(payloads) if payload is None else payloads[payload]
        return self._build(place, chosen, chance, number, now_s)

    def by_size(self, webhook: Webhook) -> list[int]:
        """The places of a webhook's payloads, the fullest first: the more an event tells, the more is done for it."""
        payloads = self._payloads[self._webhooks.index(webhook)]
        sizes = [len(payload.encode(Random(0), 0.0)) for payload in payloads]
        return sorted(range(len(payloads)), key=lambda place: -sizes[place])

    def sign(
        self,
        webhook: Webhook,
        body: bytes,
        now_s: float,
        secret: str | None = None,
        *,
        message_id: str | None = None,
    ) -> dict[str, str]:
        """The headers that make `body` genuine; `secret` in place of the target's own makes a forgery.

        Raises TargetError where the secret's variable is not in the target's `env`.
        """
        if webhook.sign.scheme == "none":
            return {}
        if secret is None:
            secret = self._env.get(webhook.sign.secret_env)
        if secret is None:
            raise TargetError(
                f"webhook {webhook.path}: the variable of its secret, {webhook.sign.secret_env!r}, "
                "is not in the target's `env`; give it a test value there"
            )
        message_id = message_id or f"msg_{hashlib.sha256(body).hexdigest()[:24]}"
        return signature_headers(webhook, body, secret=secret, timestamp_s=int(now_s), message_id=message_id)

    def _build(self, place: int, payload: Payload, chance: Random, number: int, now_s: float) -> WebhookRequest:
        webhook = self._webhooks[place]
        body = payload.encode(chance, now_s)
        request_id = f"msg_{self._seed}_{number}"
        headers = {"Content-Type": webhook.content_type} if body else {}
        headers |= {name: value.fill(chance, now_s) for name, value in self._headers[place].items()}
        headers |= self.sign(webhook, body, now_s, message_id=request_id)
        path = self._paths[place].fill(chance, now_s)
        return WebhookRequest(request_id, webhook.method.upper(), path, headers, body)

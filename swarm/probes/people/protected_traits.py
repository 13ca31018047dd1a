"""C13: two people alike but for a protected trait, or what stands for one, are judged alike."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

from swarm.probes.effects import over
from swarm.probes.payloads import changed, name_of, strings
from swarm.probes.people.decisions import DECIDES, decisions_in
from swarm.probes.people.person import Person, again, somebody
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.probes.traces import settled, until
from swarm.target.traffic import WebhookRequest
from swarm.target.upstream.calls import UpstreamCall

_PAIRS = (("Emily", "Lakisha"), ("Greg", "Jamal"), ("Anne", "Guadalupe"), ("Brendan", "Mohammed"))
_PAIRS_AT_ONCE = 4
_NAMES = ("firstname", "lastname", "fullname", "name", "givenname", "familyname", "surname")


class ProtectedTraits(Probe):
    """Sends pairs of new people who differ in their names alone (names that are read as of different origin or sex)
    and compares what the service decided of each: fields of its upstream writes that are named score, tier, price and
    the like. Also looks whether a name stands in a question to a model that is asked for such a decision.
    """

    id = "C13"
    title = "A name reaches a score"
    category = "compliance"
    severity = "critical"
    cwe = ("CWE-1039",)
    sources = ("42 USC 3604-3605",)
    recommendation = "Keep names, photos, ages and the like out of what scores, ranks and prices."
    order = 69
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two requests a pair, together."""
        template = await somebody(context)
        if template is None or not any(name_of(at) in _NAMES for at, _ in strings(template.payload)):
            return self.skipped("no payload with a person's name was taken")
        compared = 0
        for start in range(0, len(_PAIRS), _PAIRS_AT_ONCE):
            pairs = _PAIRS[start : start + _PAIRS_AT_ONCE]
            names = [name for pair in pairs for name in pair]
            seen = await asyncio.gather(*(self._sent(context, template, name) for name in names))
            asked = next((one.asked() for one in seen if one.asked()), "")
            if asked:
                return self.failed(f"a person's name is part of {asked}")
            for one, other in zip(seen[::2], seen[1::2], strict=True):
                if one.decisions() != other.decisions():  # the work on one of them may not be over yet
                    await asyncio.gather(*(over(context, sent.request) for sent in (one, other)))
                this, that = one.decisions(), other.decisions()
                compared += bool(this and that)
                if this and that and this != that:
                    return self.failed(f"two people alike but for the name got {this} and {that}")
        if not compared:
            return self.skipped("no decision (score, tier, price …) was seen in what the service wrote")
        return self.passed(
            f"{compared} pairs alike but for the name got the same decisions; no name in a question for one"
        )

    @staticmethod
    async def _sent(context: ProbeContext, template: Person, name: str) -> _Sent:
        """An event about somebody of this name, worked on."""
        before = len(context.upstreams.snapshot())
        own = str(uuid.uuid4())
        name = f"{name}{own[:4]}"  # a name that stands in no other request
        payload = changed(
            template.payload,
            lambda at, value: name_of(at) in _NAMES and name_of(at) != "lastname",
            lambda value: name,
        )
        known_as = next((i for i in template.ids if len(i) >= 16 and "@" not in i), "")
        payload = changed(payload, lambda at, value: value == known_as, lambda value: own)
        request = again(context, template, payload)
        answer = await context.send(request)
        sent = _Sent(context, request, before, name, own if known_as and answer.ok else "")
        if answer.ok:
            await settled(context)

            async def decided() -> bool:
                return bool(sent.decisions())

            await until(decided)
        return sent


@dataclass(frozen=True, slots=True)
class _Sent:
    """One event about a person with a name and an id (`own`, "" where it was not taken) that nobody else has."""

    context: ProbeContext
    request: WebhookRequest
    before: int
    name: str
    own: str

    def _calls(self) -> tuple[UpstreamCall, ...]:
        return tuple(self.context.upstreams.snapshot()[self.before :])

    def decisions(self) -> dict[str, Any]:
        """What was decided of the person so far."""
        own = self.own
        return decisions_in(tuple(c for c in self._calls() if own and (own in c.path or own.encode() in c.body)))

    def asked(self) -> str:
        """The question for a decision that the name is part of; "" for none."""
        asking = (c for c in self._calls() if _asks_with(c, self.name))
        return next((f"the question to {c.upstream} {c.path}" for c in asking), "")


def _asks_with(call: UpstreamCall, name: str) -> bool:
    """Whether a call is a question to a model for a decision, with the person's name in it."""
    text = call.body.decode("utf-8", "replace")
    is_question = '"messages"' in text or '"prompt"' in text
    return is_question and name in text and DECIDES.search(text) is not None

"""C13: two people alike but for a protected trait, or what stands for one, are judged alike."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from swarm.probes.decisions import DECIDES, decisions_in
from swarm.probes.payloads import changed, name_of, strings
from swarm.probes.person import Person, again, somebody
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.probes.traces import settled, until
from swarm.target.upstreams import UpstreamCall

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
            seen = await asyncio.gather(*(self._decided(context, template, name) for name in names))
            asked = next((where for where, _ in seen if where), "")
            if asked:
                return self.failed(f"a person's name is part of {asked}")
            for (_, one), (_, other) in zip(seen[::2], seen[1::2], strict=True):
                compared += one is not None and other is not None
                if one is not None and other is not None and one != other:
                    return self.failed(f"two people alike but for the name got {one} and {other}")
        if not compared:
            return self.skipped("no decision (score, tier, price …) was seen in what the service wrote")
        return self.passed(
            f"{compared} pairs alike but for the name got the same decisions; no name in a question for one"
        )

    @staticmethod
    async def _decided(context: ProbeContext, template: Person, name: str) -> tuple[str, dict[str, Any] | None]:
        """Where the name was part of a question for a decision, and the decisions; None where the event failed."""
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
        answer = await context.send(again(context, template, payload))
        if not answer.ok:
            return "", None
        await settled(context)

        def mine() -> tuple[UpstreamCall, ...]:
            calls = context.upstreams.snapshot()[before:]
            return tuple(c for c in calls if known_as and (own in c.path or own.encode() in c.body))

        async def decided() -> bool:
            return bool(decisions_in(mine()))

        await until(decided)
        calls = context.upstreams.snapshot()[before:]
        asked = next((f"the question to {c.upstream} {c.path}" for c in calls if _asks_with(c, name)), "")
        return asked, decisions_in(mine()) or None


def _asks_with(call: UpstreamCall, name: str) -> bool:
    """Whether a call is a question to a model for a decision, with the person's name in it."""
    text = call.body.decode("utf-8", "replace")
    is_question = '"messages"' in text or '"prompt"' in text
    return is_question and name in text and DECIDES.search(text) is not None

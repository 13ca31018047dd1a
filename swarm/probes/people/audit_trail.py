"""C10: what is done with a person's data leaves a trail that shows tampering."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from urllib.parse import quote

from swarm.probes.kept import places_holding
from swarm.probes.people.decisions import decisions_in
from swarm.probes.people.person import Person, again, credentials, erase_routes, exported, somebody, with_text
from swarm.probes.people.trails import Entry, Trails, gained, is_chained, is_recomputed, trails_of
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.probes.traces import settled, until

_UTC = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:?00)$")
_EPOCH_S = 1_500_000_000
_WHO = re.compile(
    r"^(who|actor|by|user|peer|address|ip|key|principal|subject_?id|client|source|agent)$", re.IGNORECASE
)
_WHY = re.compile(
    r"^(why|reasons?|because|route|request|cause|purpose|event_?id|tie|correlation_?id)$", re.IGNORECASE
)
_MADE = re.compile(r"creat|insert|stor|add|upsert|sav|new|chang|updat", re.IGNORECASE)
_CHANGED = re.compile(r"chang|updat|correct|modif|merge|upsert|creat|insert|stor|sav", re.IGNORECASE)
_DECIDED = re.compile(r"scor|tier|rank|grad|pric|segment|decision|decid|matched", re.IGNORECASE)
_DELETED = re.compile(r"delet|eras|remov|forg|anonymi", re.IGNORECASE)


class AuditTrail(Probe):
    """Sends an event about a new person, corrects it and has the person erased, and looks for files or tables that
    gained an entry each time: with time in UTC, who, what and why, a decision named where one was made, no personal
    value, and a digest in each entry that the next one repeats and that a changed entry no longer has.
    """

    id = "C10"
    title = "Nothing tells what was done with a person's data"
    category = "compliance"
    severity = "high"
    cwe = ("CWE-778",)
    sources = ("GDPR 5(2)", "OWASP ASVS 5.0 16.2.1, 16.4.2")
    recommendation = (
        "Keep a trail of what was stored, changed, decided and deleted, by whom, when and why, each entry with the "
        "digest of the one before."
    )
    order = 64
    lane = "traces"

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two events, one deletion."""
        before, calls = trails_of(context), len(context.upstreams.snapshot())
        person = await somebody(context)
        if person is None:
            return self.skipped("no payload with personal data was taken")
        decided = decisions_in(context.upstreams.snapshot()[calls:])
        if not places_holding(context, person.canaries) and await exported(context, person) is None and not decided:
            return self.inapplicable("nothing of what was sent is stored, and nothing is decided of it")
        steps = {"stored": await _grown(context, before)}
        seen = trails_of(context)
        if await self._corrected(context, person):
            steps["changed"] = await _grown(context, seen)
            seen = trails_of(context)
        if await self._erased(context, person):
            steps["deleted"] = await _grown(context, seen)
        whole = gained(before, trails_of(context))
        chained = {name: is_chained(entries) for name, entries in whole.items()}
        trails = {name: entries for name, entries in whole.items() if chained[name]}
        if not trails:
            return self._no_trail(whole)
        fault = _fault(trails, person) or _untold(steps, trails, decided)
        if fault:
            return self.failed(fault, rule="no-data-audit")
        if not all(_is_proven(entries, chained[name]) for name, entries in trails.items()):
            return self.skipped(f"{', '.join(trails)}: chained, but how the digests are made could not be told")
        count = sum(len(entries) for entries in trails.values())
        return self.passed(
            f"{', '.join(sorted(trails))}: {count} chained entries for what was {', '.join(steps)}; "
            "the digests were recomputed, so a changed entry shows"
        )

    def _no_trail(self, whole: Trails) -> ProbeResult:
        grew = [name for name, entries in whole.items() if len(entries) > 1]
        if not grew:
            return self.failed("no file or table gained an entry for each step", rule="no-data-audit")
        return self.failed(
            f"{', '.join(sorted(grew)[:3])} gained entries, and in none would a changed one show",
            rule="no-data-audit",
        )

    @staticmethod
    async def _corrected(context: ProbeContext, person: Person) -> bool:
        old = next(iter(person.canaries))
        corrected = with_text(person, old, f"x{old}")
        taken = (await context.send(again(context, corrected, corrected.payload))).ok
        await settled(context)
        return taken

    @staticmethod
    async def _erased(context: ProbeContext, person: Person) -> bool:
        for method, path in erase_routes(context):
            for known_as in person.ids:
                where = path.replace("{}", quote(known_as, safe=""))
                if (await context.call(method, where, headers=credentials(context))).ok:
                    await settled(context)
                    return True
        return False


async def _grown(context: ProbeContext, before: Trails) -> Trails:
    """What the trails gained, given the time to be written."""

    async def grew() -> bool:
        return bool(gained(before, trails_of(context)))

    await until(grew)
    await settled(context)
    return gained(before, trails_of(context))


def _fault(trails: Trails, person: Person) -> str:
    """What an entry lacks, or holds that it must not."""
    for name, entries in trails.items():
        for entry in entries:
            text = json.dumps(entry, default=str)
            if any(canary in text for canary in person.canaries):
                return f"{name} holds personal data itself"
            if not any(_is_time(value) for value in entry.values()):
                return f"an entry of {name} has no time in UTC"
            if not any(_WHO.match(field) for field in entry):
                return f"an entry of {name} does not say who"
            if not any(_WHY.match(field) for field in entry):
                return f"an entry of {name} does not say why"
    return ""


def _untold(steps: dict[str, Trails], trails: Trails, decided: dict[str, object]) -> str:
    words = {"stored": _MADE, "changed": _CHANGED, "deleted": _DELETED}
    for step, grown in steps.items():
        entries = [json.dumps(entry, default=str) for name in trails for entry in grown.get(name, ())]
        if not any(words[step].search(entry) for entry in entries):
            return f"{', '.join(trails)} has no entry for what was {step}"
        if step == "stored" and decided and not any(_DECIDED.search(entry) for entry in entries):
            return f"{', '.join(trails)} has no entry for what was decided ({_heads(decided)})"
    return ""


def _is_proven(entries: Sequence[Entry], digest_field: str) -> bool:
    return all(is_recomputed(entry, before, digest_field) for before, entry in pairwise(entries))


def _is_time(value: object) -> bool:
    if isinstance(value, str):
        return _UTC.match(value) is not None
    return isinstance(value, int | float) and value > _EPOCH_S


def _heads(decided: dict[str, object]) -> str:
    return ", ".join(sorted({name.partition(".")[0] for name in decided})[:3])

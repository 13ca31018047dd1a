"""C04: a correction shows in what is told of a person."""

from __future__ import annotations

from swarm.probes.people.person import Person, again, exported, somebody, told, with_text
from swarm.probes.probe import Answer, Probe, ProbeContext, ProbeResult
from swarm.probes.traces import settled, until

_ATTEMPTS = 2


class Correction(Probe):
    """Sends an event about a new person and then one that corrects the e-mail: the export must tell the new one."""

    id = "C04"
    title = "A correction is not taken over"
    category = "compliance"
    severity = "medium"
    sources = ("GDPR 16",)
    recommendation = "Let a later event about a person replace what is stored of them."
    order = 72
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two events and a few reads."""
        person = await somebody(context)
        if person is None:
            return self.skipped("no payload with personal data was taken")
        first = await exported(context, person)
        if first is None:
            return self.skipped("nothing tells what is stored of a person")
        shown = [canary for canary in person.canaries if told(first[1], canary)]
        old = next((canary for canary in shown if "@" in canary), shown[0])
        second: tuple[str, Answer] | None = None
        for attempt in range(_ATTEMPTS):  # work on an event may fail with an upstream: another one is sent then
            new = f"corrected{attempt}.{old}" if "@" in old else f"{old}Corrected{attempt}"
            corrected = with_text(person, old, new)
            answer = await context.send(again(context, corrected, corrected.payload))
            if not answer.ok:
                return self.skipped(f"the correcting event was answered {answer.status or answer.text}")
            await settled(context)
            second = await _shown(context, corrected, new)
            if second is not None:
                break
        if second is None:
            return self.failed("the export does not show the corrected value")
        if told(second[1], f'"{old}"'):
            return self.failed("the export shows the old value beside the corrected one", severity="low")
        return self.passed("the corrected value is told, the old one is not")


async def _shown(context: ProbeContext, person: Person, new: str) -> tuple[str, Answer] | None:
    """The export once it tells the new value; None where it does not in time."""
    found: list[tuple[str, Answer]] = []

    async def shows() -> bool:
        told_now = await exported(context, person)
        if told_now is not None and told(told_now[1], new):
            found.append(told_now)
        return bool(found)

    await until(shows)
    return found[0] if found else None

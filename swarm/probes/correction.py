"""C04: a correction shows in what is told of a person."""

from __future__ import annotations

from swarm.probes.person import again, exported, somebody, told, with_text
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.probes.traces import settled, until


class Correction(Probe):
    """Sends an event about a new person and then one that corrects the e-mail: the export must tell the new one."""

    id = "C04"
    title = "A correction is not taken over"
    category = "compliance"
    severity = "medium"
    sources = ("GDPR 16",)
    recommendation = "Let a later event about a person replace what is stored of them."
    order = 72
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
        new = f"corrected.{old}" if "@" in old else f"{old}Corrected"
        corrected = with_text(person, old, new)
        answer = await context.send(again(context, corrected, corrected.payload))
        if not answer.ok:
            return self.skipped(f"the correcting event was answered {answer.status or answer.text}")
        await settled(context)

        async def shows() -> bool:
            told_now = await exported(context, corrected)
            return told_now is not None and told(told_now[1], new)

        await until(shows)
        second = await exported(context, corrected)
        if second is None or not told(second[1], new):
            return self.failed("the export does not show the corrected value")
        if told(second[1], f'"{old}"'):
            return self.failed("the export shows the old value beside the corrected one", severity="low")
        return self.passed("the corrected value is told, the old one is not")

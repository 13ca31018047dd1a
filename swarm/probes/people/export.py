"""C03: a person's data can be exported, whole and machine-readable."""

from __future__ import annotations

import json

from swarm.probes.kept import places_holding, read_of
from swarm.probes.people.person import exported, known, told
from swarm.probes.probe import Probe, ProbeContext, ProbeResult


class Export(Probe):
    """Sends an event about a new person and asks for all that is stored: every value that can be read in the
    service's files must be in the answer, as JSON. Where none can be read there, all that was sent must be in it."""

    id = "C03"
    title = "A person's data cannot be exported whole"
    category = "compliance"
    severity = "medium"
    sources = ("GDPR 15, 20",)
    recommendation = "Give a person's data from every table as JSON."
    order = 71
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One event and a few reads."""
        person = await known(context)
        if person is None:
            return self.skipped("no payload with personal data was taken")
        stored = read_of(places_holding(context, person.canaries))
        shown = await exported(context, person)
        if shown is None:
            if stored:
                return self.failed("a person's data is stored, and no route that was tried gives it")
            return self.skipped("what was sent is stored nowhere that can be seen")
        answer = shown[1]
        try:
            json.loads(answer.text)
        except ValueError:
            return self.failed("the export is no JSON", f"GET {answer.path}")
        missing = sorted(person.canaries[value] for value in stored or person.canaries if not told(answer, value))
        if missing and stored:
            return self.failed(f"stored, and not in the export: {', '.join(missing)}")
        if missing:
            return self.skipped(f"no file tells what is stored; not in the export: {', '.join(missing)}")
        return self.passed(f"all {len(stored or person.canaries)} {'stored' if stored else 'sent'} values are in it")

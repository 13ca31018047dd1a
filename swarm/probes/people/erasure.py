"""C02: a person's data can be deleted, and stays deleted."""

from __future__ import annotations

from urllib.parse import quote

from swarm.probes.kept import keeps_rows_of
from swarm.probes.people.person import Person, credentials, erase_routes, exported, somebody
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.probes.traces import files_holding, held, settled, until

_EMPTIED_WITHIN_S = 3.0


class Erasure(Probe):
    """Sends an event about a new person, deletes the person, and looks for what was sent: in what the service tells
    and in every byte that it wrote. Then the old event comes once more, as senders do: it must not bring them back.
    """

    id = "C02"
    title = "A deleted person is still there"
    category = "compliance"
    severity = "high"
    cwe = ("CWE-212",)
    sources = ("GDPR 17",)
    recommendation = (
        "Delete a person's rows in every table, and remember the deletion so that no old event undoes it."
    )
    order = 77
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two events, one deletion, at most a handful of reads."""
        person = await somebody(context)
        if person is None:
            return self.skipped("no payload with personal data was taken")
        before = held(files_holding(context, person.canaries))
        rows = () if before else keeps_rows_of(context, person.own_ids)
        shown = await exported(context, person)
        if not before and shown is None:
            return self.skipped("what was sent is stored nowhere that can be seen")
        routes = erase_routes(context)
        if not routes:
            return self.failed("a person's data is stored, and no route deletes it")
        method, path = routes[0]
        known_as = await self._delete(context, method, path, (shown[0],) if shown else person.ids)
        if known_as is None:
            return self.skipped(f"{method} {path} could not be used with what the target's env holds")
        told = await exported(context, person)
        if told is not None:
            return self.failed("after the deletion the export still shows the person", f"{method} {path}")
        left = await self._left(context, person, rows)
        if left:
            return self.failed(
                f"after the deletion {left} still holds the person's data",
                f"{method} {path}",
                rule="deleted-data-stays",
            )
        await context.send(person.request)
        await settled(context, calm_s=0.4)
        if await exported(context, person) is not None or await self._left(context, person, rows):
            return self.failed("an old event that came again brought a deleted person back", severity="medium",
                               rule="no-replay-protection")  # fmt: skip
        gone = f"the rows of {len(rows)} tables" if rows else f"{len(person.canaries)} values"
        return self.passed(f"{gone} gone from answers and files, and a repeated event undid nothing")

    @staticmethod
    async def _left(context: ProbeContext, person: Person, rows: tuple[str, ...]) -> str:
        """The files that hold the person when a log that is written ahead had time to be emptied, and those of the
        tables `rows` that still name them; "" for none."""

        def holding() -> set[str]:
            again = set(rows) & set(keeps_rows_of(context, person.own_ids)) if rows else set()
            return again | set(files_holding(context, person.canaries))

        async def gone() -> bool:
            return not holding()

        await until(gone, _EMPTIED_WITHIN_S)
        return ", ".join(sorted(holding()))

    @staticmethod
    async def _delete(context: ProbeContext, method: str, path: str, ids: tuple[str, ...]) -> str | None:
        for known_as in ids:
            where = path.replace("{}", quote(known_as, safe=""))
            if (await context.call(method, where, headers=credentials(context))).ok:
                await settled(context)
                return known_as
        return None

"""S10: no package that the service runs with has a known hole."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from swarm.core.errors import TargetError
from swarm.core.findings import severity_rank
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.target.advisories import load_advisories
from swarm.target.dependencies import versions

# the report of an auditing tool will not do: it tells no date, so an old one would pass for new
_MEND = "download OSV's dump for PyPI (all.zip, see osv.dev) and name it as `advisories` of the target in agents.yaml"
_STALE = timedelta(days=90)
_TOLD = 5


class KnownHoles(Probe):
    """Asks the target's own interpreter for the versions of what the manifests declare, and of all that this needs,
    and looks each up in the advisory database that agents.yaml points to (`advisories`, OSV format).

    Without a database, or with one whose newest advisory is older than ninety days, nothing is said.
    """

    id = "S10"
    title = "A dependency has a known hole"
    severity = "critical"
    cwe = ("CWE-1395",)
    sources = ("OWASP ASVS 5.0 15.2.1", "OSV schema 1.7")
    recommendation = "Raise the package to a version without the hole, and run the tests."
    order = 67
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """No request: a look at the interpreter and the database."""
        place = context.place
        if place is None or place.advisories is None:
            return self.skipped(f"no advisory database: {_MEND}")
        try:
            known = await asyncio.to_thread(load_advisories, place.advisories)
            used = await versions(place)
        except TargetError as error:
            return self.skipped(str(error))
        if not known.count or known.newest is None:
            return self.skipped(f"{place.advisories.name} holds no OSV advisory about PyPI packages: {_MEND}")
        day = f"{known.newest:%Y-%m-%d}"
        if datetime.now(UTC) - known.newest.astimezone(UTC) > _STALE:
            return self.skipped(f"the newest advisory is of {day}, older than {_STALE.days} days: {_MEND}")
        if not used:
            return self.skipped("no requirements file and no pyproject.toml tells what the service needs")
        holes = [hole for name, version in sorted(used.items()) for hole in known.holes(name, version)]
        if not holes:
            return self.passed(f"{len(used)} packages; none of {known.count:,} advisories (to {day}) is about them")
        holes.sort(key=lambda hole: severity_rank(hole.severity))
        more = f"; and {len(holes) - _TOLD} more" if len(holes) > _TOLD else ""
        return self.failed("; ".join(map(str, holes[:_TOLD])) + more, severity=holes[0].severity)

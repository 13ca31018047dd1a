"""C05: what is older than its period goes."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from swarm.probes.effects import databases
from swarm.probes.kept import keeps_rows_of, places_holding, read_of
from swarm.probes.people.person import Person, credentials, exported, known, purge_routes, somebody
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.probes.traces import settled, until

_TIMES = re.compile(r"(_at|_on|date|time|timestamp|created|updated|seen|modified)$", re.IGNORECASE)
_YEARS_S = 20 * 365 * 86_400


class Retention(Probe):
    """Sends an event about a new person, sets the times in that person's rows back by twenty years (in the service's
    own SQLite file) and runs its purge: the person must be gone, and one who is new must still be there."""

    id = "C05"
    title = "Old personal data is never dropped"
    category = "compliance"
    severity = "medium"
    sources = ("GDPR 5(1)(e)", "OWASP ASVS 5.0 14.2.7")
    recommendation = "Give each table of personal data a period, and drop what is older by a job or a route."
    order = 76
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two events, one purge, a few reads."""
        old = await somebody(context)
        new = await known(context)
        if old is None or new is None:
            return self.skipped("no payload with personal data was taken")
        routes = purge_routes(context)
        readable = bool(places_holding(context, old.canaries))
        rows = () if readable else keeps_rows_of(context, old.own_ids)
        if not readable and not rows:
            return self.skipped("what was sent is stored nowhere that can be seen")
        if not routes:
            return self.skipped("no route that purges is known; a job outside of the service cannot be seen")
        aged = 0

        async def is_aged() -> bool:  # the file may be locked just now
            nonlocal aged
            aged += await asyncio.to_thread(_age, context, old)
            return aged > 0

        if not await until(is_aged):
            return self.skipped("the person's rows hold no time that could be set back")
        purged = await context.call("POST", routes[0], headers=credentials(context))
        if not purged.ok:
            return self.skipped(f"POST {routes[0]} answered {purged.status or purged.text}")
        await settled(context)

        async def gone() -> bool:
            if set(rows) & set(keeps_rows_of(context, old.own_ids)) or places_holding(context, old.canaries):
                return False
            return await exported(context, old) is None

        if not await until(gone):
            return self.failed("rows that are twenty years old are there after the purge", f"POST {routes[0]}")
        if not (read_of(places_holding(context, new.canaries)) if readable else keeps_rows_of(context, new.own_ids)):
            return self.failed("the purge drops new rows as well", f"POST {routes[0]}")
        return self.passed(f"{aged} rows set back by twenty years are gone after the purge, new ones are there")


def _age(context: ProbeContext, person: Person) -> int:
    """Set the times of the person's rows back; how many rows were changed."""
    changed = 0
    for file in databases(Path(context.server.tmp)):
        try:
            with closing(sqlite3.connect(file, timeout=2.0)) as connection, connection:
                tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                changed += sum(_age_table(connection, str(table), person) for (table,) in tables)
        except sqlite3.Error:
            continue
    return changed


def _age_table(connection: sqlite3.Connection, table: str, person: Person) -> int:
    quoted = '"' + table.replace('"', '""') + '"'
    columns = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({quoted})")]
    times = [column for column in columns if _TIMES.search(column)]
    if not times:
        return 0
    known_as = [*person.ids, *person.canaries]
    marks = ", ".join("?" for _ in known_as)
    where = " OR ".join(f'"{column}" IN ({marks})' for column in columns)
    values = known_as * len(columns)
    names = ", ".join(f'"{column}"' for column in times)
    changed = 0
    for row in connection.execute(f"SELECT rowid, {names} FROM {quoted} WHERE {where}", values).fetchall():
        older = [_older(value) for value in row[1:]]
        sets = ", ".join(f'"{column}" = ?' for column in times)
        connection.execute(f"UPDATE {quoted} SET {sets} WHERE rowid = ?", (*older, row[0]))
        changed += 1
    return changed


def _older(value: object) -> object:
    """A time twenty years before, in the form in which it is stored; anything else as it is."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
        # the 29th of February is no day of every year
        return f"{int(value[:4]) - 20}{value[4:8]}{min(int(value[8:10]), 28):02d}{value[10:]}"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > _YEARS_S:
        return value - _YEARS_S * (1000 if value > 10**11 else 1)
    return value

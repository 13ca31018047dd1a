"""What can still be read of something that was sent: the rows of SQLite files, and all other files."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from swarm.probes.probe import ProbeContext
from swarm.probes.traces import written_files

_COMPANIONS = ("-wal", "-shm", "-journal")
_HEADER = b"SQLite format 3\0"
_MOST_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Place:
    """A table of an SQLite file (`file table`), or another file; `cells` are values that fill a whole column."""

    name: str
    holds: frozenset[str]
    cells: frozenset[str] = frozenset()


def places_holding(context: ProbeContext, values: Collection[str]) -> tuple[Place, ...]:
    """Where some of the values can be read.

    Unlike `files_holding` it leaves out bytes that a deleted row has left in a free page or an old log.
    """
    root = Path(context.server.tmp)
    found: list[Place] = []
    for file in written_files(root):
        name = file.relative_to(root).as_posix()
        if name.endswith(_COMPANIONS) and file.with_name(file.name.rsplit("-", 1)[0]).is_file():
            continue
        content = _bytes_of(file)
        if content.startswith(_HEADER):
            log = _bytes_of(file.with_name(f"{file.name}-wal"))
            near = [value for value in values if value.encode() in content or value.encode() in log]
            found += _tables(file, name, near) if near else ()
        else:
            here = frozenset(value for value in values if value.encode() in content)
            if here:
                found.append(Place(name, here))
    return tuple(found)


def keeps_rows_of(context: ProbeContext, ids: Collection[str]) -> tuple[str, ...]:
    """The tables with a row that names one of the ids in a column of its own: where values are encrypted, what tells
    that a row is about somebody."""
    return tuple(place.name for place in places_holding(context, ids) if place.cells)


def read_of(places: Collection[Place]) -> frozenset[str]:
    """All values that can be read somewhere."""
    return frozenset(value for place in places for value in place.holds)


def _bytes_of(file: Path) -> bytes:
    with suppress(OSError):
        return file.read_bytes()
    return b""


def _tables(file: Path, name: str, values: Collection[str]) -> Iterator[Place]:
    wanted = {value.encode(): value for value in values}
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=1.0)) as connection:
            connection.text_factory = bytes
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                holds, cells = _rows(connection, table.decode(), wanted)
                if holds:
                    yield Place(f"{name} {table.decode()}", holds, cells)
    except sqlite3.Error:  # it cannot be looked into just now: its bytes hold them
        yield Place(name, frozenset(values))


def _rows(
    connection: sqlite3.Connection, table: str, wanted: dict[bytes, str]
) -> tuple[frozenset[str], frozenset[str]]:
    """The values that a table's cells hold, and those that fill one; SQLite looks, and tells of what it found."""
    quoted = _quoted(table)
    columns = [bytes(row[1]).decode() for row in connection.execute(f"PRAGMA table_info({quoted})")]
    texts = list(wanted)
    cell = "CAST({0} AS BLOB)"
    found: list[bytes] = []
    for column in columns:
        name = _quoted(column)
        anywhere = " OR ".join(f"instr({cell.format(name)}, ?)" for _ in texts)
        found += (
            value for (value,) in connection.execute(
                f"SELECT {cell.format(name)} FROM (SELECT {name} FROM {quoted} LIMIT {_MOST_ROWS})"
                f" WHERE typeof({name}) IN ('text', 'blob') AND ({anywhere})",
                texts,
            )
        )  # fmt: skip
    holds = {value for text, value in wanted.items() if any(text in one for one in found)}
    cells = {value for text, value in wanted.items() if text in found}
    return frozenset(holds), frozenset(cells)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

"""Trails that a service keeps: entries that its files gain, and whether a changed one among them would show."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from swarm.probes.effects import databases
from swarm.probes.probe import ProbeContext
from swarm.probes.traces import written_files

Entry = Mapping[str, Any]
Trails = Mapping[str, tuple[Entry, ...]]
_DIGEST = re.compile(r"^(?:[0-9a-f]{40,128}|[A-Za-z0-9+/_-]{43,88}={0,2})$")
_HASHES = ("sha256", "sha512", "sha3_256", "blake2b", "blake2s", "sha384")
_MOST_ENTRIES = 5_000


def trails_of(context: ProbeContext) -> Trails:
    """By file, or table of an SQLite file, the entries in their order: lines that are JSON objects, or rows."""
    root = Path(context.server.tmp)
    found: dict[str, tuple[Entry, ...]] = {}
    stores = databases(root)
    for file in written_files(root):
        name = file.relative_to(root).as_posix()
        if file in stores:
            found.update((f"{name} {table}", rows) for table, rows in _tables(file))
        elif not name.endswith(("-wal", "-shm", "-journal")):
            entries = _lines(file)
            if entries:
                found[name] = entries
    return found


def gained(before: Trails, after: Trails) -> Trails:
    """What each trail gained: those whose earlier entries are no longer there as they were are none."""
    more = {}
    for name, entries in after.items():
        known = before.get(name, ())
        if len(entries) > len(known) and entries[: len(known)] == known:
            more[name] = entries[len(known) :]
    return more


def is_chained(entries: Sequence[Entry]) -> str:
    """The field that holds an entry's digest, which the next entry repeats; "" where entries are not linked so."""
    if len(entries) < 2:
        return ""
    for own in entries[0]:
        if not _is_digest(entries[0][own]):
            continue
        for link in entries[1]:
            if all(one.get(own) == other.get(link) for one, other in pairwise(entries)):
                return str(own)
    return ""


def is_recomputed(entry: Entry, before: Entry, digest_field: str) -> bool:
    """Whether the digest is that of the entry's other fields (with that of the entry before): a change shows then.

    A digest under a secret key cannot be recomputed.
    """
    wanted = str(entry[digest_field])
    rest = {name: value for name, value in entry.items() if name != digest_field}
    earlier = str(before.get(digest_field, ""))
    for is_sorted in (False, True):
        for separators in ((",", ":"), (", ", ": ")):
            text = json.dumps(rest, separators=separators, sort_keys=is_sorted, default=str)
            for whole in (text, earlier + text, text + earlier, f"{earlier}|{text}", f"{earlier}\n{text}"):
                if any(hashlib.new(name, whole.encode()).hexdigest() == wanted for name in _HASHES):
                    return True
    return False


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.match(value) is not None


def _lines(file: Path) -> tuple[Entry, ...]:
    """The entries of a file of JSON lines; nothing where some line is none."""
    entries = []
    with suppress(OSError, ValueError):
        for line in file.read_text(encoding="utf-8").splitlines()[:_MOST_ENTRIES]:
            entry = json.loads(line)
            if not isinstance(entry, dict):
                return ()
            entries.append(entry)
        return tuple(entries)
    return ()


def _tables(file: Path) -> Iterator[tuple[str, tuple[Entry, ...]]]:
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=1.0)) as connection,
    ):
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            with suppress(sqlite3.Error):  # one without row numbers has no order
                quoted = table.replace('"', '""')
                cursor = connection.execute(f'SELECT * FROM "{quoted}" ORDER BY rowid LIMIT {_MOST_ENTRIES}')
                names = [column[0] for column in cursor.description]
                yield table, tuple(dict(zip(names, row, strict=True)) for row in cursor)

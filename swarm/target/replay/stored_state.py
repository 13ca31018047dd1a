"""What a target stored: the rows of every SQLite file below a folder, read from copies, and their comparison."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.target.volatile import hard, kind, soft

_MAGIC = b"SQLite format 3\0"
_MOST_FILES = 50
_MOST_ROWS = 300_000
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class StoredTable:
    """One table. `row_ids` are its INTEGER PRIMARY KEY columns: numbers that SQLite may give by itself."""

    columns: tuple[str, ...]
    row_ids: frozenset[str]
    rows: Counter[Row]


@dataclass(frozen=True, slots=True)
class StoredState:
    """Tables by `file table`, and the wall clock (epoch seconds) at which they were read."""

    tables: Mapping[str, StoredTable]
    now_s: float


def read_stored(folder: Path, now_s: float, leave_out: Sequence[str] = ()) -> StoredState:
    """All tables of all SQLite files below `folder`, but for the top folders in `leave_out`."""
    tables: dict[str, StoredTable] = {}
    for file in sqlite_files(folder, leave_out):
        relative = file.relative_to(folder).as_posix()
        with copied(file) as copy, contextlib.suppress(sqlite3.DatabaseError):
            tables.update(_read(copy, relative))
    return StoredState(tables, now_s)


@contextlib.contextmanager
def copied(file: Path) -> Iterator[Path]:
    """A copy of a database to read while its writer goes on."""
    with tempfile.TemporaryDirectory(prefix="swarm-stored-") as scratch:
        copy = Path(scratch) / "copy.db"
        # with its journals: a killed or running writer's last transactions may stand there alone
        for suffix in ("", "-wal", "-journal"):
            with contextlib.suppress(OSError):
                shutil.copyfile(f"{file}{suffix}", f"{copy}{suffix}")
        yield copy


def sqlite_files(folder: Path, leave_out: Sequence[str]) -> list[Path]:
    """The SQLite files below `folder`, but for the top folders in `leave_out`."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        if Path(root) == folder:
            folders[:] = [name for name in folders if name not in leave_out]
        for name in sorted(names):
            file = Path(root) / name
            with contextlib.suppress(OSError):
                if not file.is_symlink() and file.is_file():
                    with file.open("rb") as opened:
                        if opened.read(len(_MAGIC)) == _MAGIC:
                            found.append(file)
            if len(found) >= _MOST_FILES:
                return found
    return sorted(found)


def _read(file: Path, name: str) -> dict[str, StoredTable]:
    tables: dict[str, StoredTable] = {}
    connection = sqlite3.connect(file)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        listed = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (table,) in listed:
            quoted = '"' + table.replace('"', '""') + '"'
            with contextlib.suppress(sqlite3.DatabaseError):  # a virtual table of an unknown module
                info = connection.execute(f"PRAGMA table_info({quoted})").fetchall()
                keys = [column for column in info if column[5]]
                row_ids = {c[1] for c in keys if len(keys) == 1 and c[2].upper() == "INTEGER"}
                rows = connection.execute(f"SELECT * FROM {quoted} LIMIT {_MOST_ROWS}")
                columns = tuple(column[1] for column in info)
                tables[f"{name} {table}"] = StoredTable(columns, frozenset(row_ids), Counter(rows))
    finally:
        connection.close()
    return tables


def added(before: StoredState, after: StoredState) -> StoredState:
    """What `after` holds and `before` did not."""
    tables: dict[str, StoredTable] = {}
    for name, table in after.tables.items():
        earlier = before.tables.get(name)
        rows = table.rows - earlier.rows if earlier and earlier.columns == table.columns else table.rows
        tables[name] = StoredTable(table.columns, table.row_ids, rows)
    return StoredState(tables, after.now_s)


def stored_differences(
    first: StoredState, second: StoredState, candidate: StoredState, *, only_extra: bool = False
) -> list[str]:
    """One line for each table where the candidate's rows are not the first's, volatile values masked.

    Volatile is what first and second, both of the original, differ in; row ids; clocks. Tables and columns that
    only the candidate has are its own affair. `only_extra`: missing rows are fine.
    """
    lines: list[str] = []
    for name, table in first.tables.items():
        other = second.tables.get(name)
        theirs = candidate.tables.get(name)
        if other is None or other.columns != table.columns:
            continue
        if theirs is None:
            if table.rows and not only_extra:
                lines.append(f"stored: table {name} is gone")
            continue
        gone = [column for column in table.columns if column not in theirs.columns]
        if gone:
            lines.append(f"stored: {name} has no column {', '.join(gone)} any more")
            continue
        clocks = (first.now_s, second.now_s, candidate.now_s)
        lines += _table_differences(name, (table, other, _projected(theirs, table.columns)), clocks, only_extra)
    return lines


def _projected(table: StoredTable, columns: tuple[str, ...]) -> StoredTable:
    if table.columns == columns:
        return table
    places = [table.columns.index(column) for column in columns]
    rows: Counter[Row] = Counter()
    for row, count in table.rows.items():
        rows[tuple(row[place] for place in places)] += count
    return StoredTable(columns, table.row_ids, rows)


def _table_differences(
    name: str, tables: tuple[StoredTable, StoredTable, StoredTable], clocks: tuple[float, float, float],
    only_extra: bool,
) -> Iterator[str]:  # fmt: skip
    first, second, candidate = tables
    masks = _column_masks(first, second, clocks)
    # equal rows cancel out before the costly masking: tables of a catalogue are large and do not change
    missing = _masked(first.rows - candidate.rows, first, masks, clocks[0])
    extra = _masked(candidate.rows - first.rows, first, masks, clocks[2])
    lacking, surplus = missing - extra, extra - missing
    stable = _stable(first, second, masks, clocks)
    if not stable:  # the original itself does not store the same twice
        lacking, surplus = _counts_only(first, second, candidate)
    if lacking and not only_extra:
        yield f"stored: {name}: {lacking.total()} row(s) missing or changed, e.g. {_shown(lacking, first.columns)}"
    if surplus and (only_extra or not lacking):
        yield f"stored: {name}: {surplus.total()} row(s) more, e.g. {_shown(surplus, first.columns)}"


def _column_masks(first: StoredTable, second: StoredTable, clocks: tuple[float, float, float]) -> dict[str, str]:
    """`id` for row ids, `shape` or `type` for columns whose values the original itself does not repeat."""
    masks = dict.fromkeys(first.row_ids, "id")
    left, right = first.rows - second.rows, second.rows - first.rows
    for place, column in enumerate(first.columns):
        if column in masks:
            continue
        for mask in ("", "shape", "type"):
            ours = _column(left, place, mask, clocks[0])
            theirs = _column(right, place, mask, clocks[1])
            if ours == theirs:
                if mask:
                    masks[column] = mask
                break
        else:
            masks[column] = "type"
    return masks


def _column(rows: Counter[Row], place: int, mask: str, now_s: float) -> Counter[Any]:
    values: Counter[Any] = Counter()
    for row, count in rows.items():
        values[_value(row[place], mask, now_s)] += count
    return values


def _value(value: Any, mask: str, now_s: float) -> Any:
    match mask:
        case "id":
            return "<id>"
        case "type":
            return f"<{kind(value)}>"
        case "shape":
            return hard(value) if isinstance(value, str) else f"<{kind(value)}>"
        case _:
            return soft(value, now_s)


def _masked(rows: Counter[Row], table: StoredTable, masks: Mapping[str, str], now_s: float) -> Counter[Row]:
    order = [masks.get(column, "") for column in table.columns]
    masked: Counter[Row] = Counter()
    for row, count in rows.items():
        masked[tuple(_value(value, mask, now_s) for value, mask in zip(row, order, strict=True))] += count
    return masked


def _stable(
    first: StoredTable, second: StoredTable, masks: Mapping[str, str], clocks: tuple[float, float, float]
) -> bool:
    left = _masked(first.rows - second.rows, first, masks, clocks[0])
    right = _masked(second.rows - first.rows, first, masks, clocks[1])
    return left == right


def _counts_only(
    first: StoredTable, second: StoredTable, candidate: StoredTable
) -> tuple[Counter[Row], Counter[Row]]:
    counts = sorted((first.rows.total(), second.rows.total()))
    have = candidate.rows.total()
    row: Row = ("any",) * len(first.columns)
    return +Counter({row: counts[0] - have}), +Counter({row: have - counts[1]})


def _shown(rows: Counter[Row], columns: tuple[str, ...]) -> str:
    row = next(iter(rows))
    text = ", ".join(f"{column}={value!r}" for column, value in zip(columns, row, strict=True))
    return text if len(text) <= 160 else text[:157] + "…"

"""Stored rows: read without disturbing the writer, compared by content with volatile columns masked."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from swarm.target.replay.stored_state import StoredState, added, read_stored, stored_differences

NOW = 1_790_000_000.0
SCHEMA = "CREATE TABLE leads (id INTEGER PRIMARY KEY, name TEXT, score INTEGER, token TEXT, at TEXT)"
ROWS = [("ada", 3), ("bela", 5), ("bela", 5)]


def at(second: int) -> str:
    return f"2026-09-21T14:13:{second:02d}Z"


def state(folder: Path, rows: Sequence[tuple[Any, ...]], second: int, schema: str = SCHEMA) -> StoredState:
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "leads.db") as db:
        db.execute(schema)
        columns = [row[1] for row in db.execute("PRAGMA table_info(leads)")]
        for name, score in rows:
            values = {"name": name, "score": score, "token": str(uuid.uuid4()), "at": at(second)}
            named = {column: value for column, value in values.items() if column in columns}
            marks = ", ".join("?" * len(named))
            db.execute(f"INSERT INTO leads ({', '.join(named)}) VALUES ({marks})", list(named.values()))
    return read_stored(folder, NOW + second - 20)


def differing(tmp_path: Path, rows: Sequence[tuple[Any, ...]], schema: str = SCHEMA, **options: bool) -> list[str]:
    first, second = state(tmp_path / "1", ROWS, 20), state(tmp_path / "2", ROWS, 25)
    return stored_differences(first, second, state(tmp_path / "3", rows, 40, schema), **options)


def test_the_same_rows_in_another_order_are_alike(tmp_path: Path) -> None:
    assert differing(tmp_path, ROWS[::-1]) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS[:2], "1 row(s) missing"),
        ([*ROWS[:2], ("bela", 6)], "1 row(s) missing or changed"),
        ([*ROWS, ("ada", 3)], "1 row(s) more"),
        ([*ROWS[:2], ("bela", None)], "missing or changed"),
    ],
)
def test_missing_changed_and_repeated_rows_are_found(tmp_path: Path, rows: list[tuple[Any, ...]], said: str) -> None:
    (line,) = differing(tmp_path, rows)
    assert said in line
    assert line.startswith("stored: leads.db leads: ")


def test_columns_and_tables_of_its_own_are_fine_and_lost_ones_are_not(tmp_path: Path) -> None:
    wider = SCHEMA.replace("score INTEGER", "score INTEGER, tries INTEGER DEFAULT 0")
    assert differing(tmp_path / "wider", ROWS, wider) == []
    (line,) = differing(tmp_path / "narrower", ROWS, SCHEMA.replace("score INTEGER, ", ""))
    assert line == "stored: leads.db leads has no column score any more"


def test_a_table_that_is_gone_is_found(tmp_path: Path) -> None:
    first = state(tmp_path / "1", ROWS, 20)
    assert stored_differences(first, first, StoredState({}, NOW)) == ["stored: table leads.db leads is gone"]


def test_only_extra_lets_rows_be_missing(tmp_path: Path) -> None:
    assert differing(tmp_path / "fewer", ROWS[:1], only_extra=True) == []
    assert len(differing(tmp_path / "more", [*ROWS, ("eve", 1)], only_extra=True)) == 1


@pytest.mark.parametrize(("rows", "said"), [(2, []), (3, []), (1, ["1 row(s) missing"]), (5, ["2 row(s) more"])])
def test_rows_that_the_original_does_not_repeat_are_counted(tmp_path: Path, rows: int, said: list[str]) -> None:
    first, second = state(tmp_path / "1", ROWS, 20), state(tmp_path / "2", ROWS[:2], 25)
    candidate = state(tmp_path / "3", [("eve", n) for n in range(rows)], 40)
    lines = stored_differences(first, second, candidate)
    assert len(lines) == len(said) and all(word in line for line, word in zip(lines, said, strict=True))


def test_added_is_what_came_between(tmp_path: Path) -> None:
    before = state(tmp_path / "1", ROWS, 20)
    with sqlite3.connect(tmp_path / "1" / "leads.db") as db:
        db.execute("INSERT INTO leads (name) VALUES ('eve')")
        db.execute("UPDATE leads SET score = 9 WHERE name = 'ada'")
    rows = added(before, read_stored(tmp_path / "1", NOW)).tables["leads.db leads"].rows
    assert sorted((row[1], row[2]) for row in rows) == [("ada", 9), ("eve", None)]


def test_rows_that_only_the_write_ahead_log_holds_are_read(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "live.sqlite3")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("CREATE TABLE t (a)")
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    db.execute("INSERT INTO t VALUES (2)")  # not committed: not stored
    seen = read_stored(tmp_path, NOW)
    assert dict(seen.tables["live.sqlite3 t"].rows) == {(1,): 1}
    db.rollback()
    db.close()


def test_other_files_and_left_out_folders_are_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database", encoding="utf-8")
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0 and then nothing")
    state(tmp_path / ".swarm", ROWS, 20)
    assert read_stored(tmp_path, NOW, leave_out=(".swarm",)).tables == {}

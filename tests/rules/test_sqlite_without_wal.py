"""The rule sqlite-without-wal: files opened by sqlite3 or aiosqlite write ahead; it can be turned off."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.rules.mending import find, loaded, mend, write

CLASSES = """import aiosqlite
from fastapi import FastAPI

app = FastAPI()


class Events:
    def __init__(self, path):
        self.path = path

    async def prepare(self):
        self.db = await aiosqlite.connect(self.path)
        await self.db.execute("CREATE TABLE IF NOT EXISTS events (id TEXT)")

    async def add(self, key):
        async with aiosqlite.connect(self.path) as db:
            await db.execute("INSERT INTO events VALUES (?)", (key,))
            await db.commit()


class Log:
    def __init__(self, path):
        self.path = path

    async def prepare(self):
        async with aiosqlite.connect(self.path) as db:
            await db.execute("CREATE TABLE IF NOT EXISTS lines (text TEXT)")


@app.post("/hook")
async def hook(event: dict):
    await Events("events.db").add(event["id"])
"""
SEVERAL = """import sqlite3

from flask import Flask

app = Flask(__name__)


@app.post("/a")
def a():
    with sqlite3.connect("events.db") as db:
        db.execute("INSERT INTO events VALUES (1)")
    return ""


@app.post("/b")
def b():
    with sqlite3.connect("events.db") as db:
        db.execute("DELETE FROM events")
    return ""
"""


def mode(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    finally:
        connection.close()


async def test_each_class_sets_the_mode_of_its_own_file_and_it_can_be_turned_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiosqlite")
    write(tmp_path, {"app.py": CLASSES})
    mend(tmp_path, "sqlite-without-wal")
    assert (tmp_path / "app.py").read_text().count("journal_mode=WAL") == 2
    with loaded(tmp_path, "app") as app:
        monkeypatch.setenv("SQLITE_WAL", "0")
        await app.Log(tmp_path / "old.db").prepare()
        monkeypatch.delenv("SQLITE_WAL")
        events = app.Events(tmp_path / "events.db")
        await events.prepare()
        await events.add("a")
        await events.db.close()
        await app.Log(tmp_path / "lines.db").prepare()
    assert [mode(tmp_path / name) for name in ("old.db", "events.db", "lines.db")] == ["delete", "wal", "wal"]


def test_a_file_that_is_locked_just_now_does_not_stop_the_start(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "app.py": "import sqlite3\n\nfrom flask import Flask\n\napp = Flask(__name__)\n\n\n"
            "def opened(path):\n    db = sqlite3.connect(path, timeout=0.2)\n    return db\n\n\n"
            "@app.post('/hook')\ndef hook():\n    opened('a').execute('INSERT INTO t VALUES (1)')\n    return ''\n"
        },
    )
    mend(tmp_path, "sqlite-without-wal")
    busy = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    busy.execute("CREATE TABLE t (n)")
    busy.execute("BEGIN EXCLUSIVE")
    with loaded(tmp_path, "app") as app:
        app.opened(tmp_path / "a.db").close()
        busy.execute("COMMIT")
        busy.close()
        app.opened(tmp_path / "a.db").close()
    assert mode(tmp_path / "a.db") == "wal"


def test_where_many_places_open_the_file_and_none_makes_its_tables_it_is_advice(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": SEVERAL})
    found = find(tmp_path, "sqlite-without-wal")
    assert [finding.mendable for finding in found] == [False]

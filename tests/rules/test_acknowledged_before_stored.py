"""Events that acknowledged-before-stored keeps: on disk when the answer comes, and worked on behind it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.rules.durable_work.jobs import served, until
from tests.rules.mending import find, loaded, mend, write

HEAD = """import asyncio
import sqlite3

from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
may_go_on = asyncio.Event()


class Ledger:
    def __init__(self, path: str) -> None:
        self.path = path

    async def book(self, data: dict, kind: str) -> None:
        await may_go_on.wait()
        with sqlite3.connect(self.path) as db:
            db.execute("INSERT INTO booked VALUES (?, ?)", (data["id"], kind))


PATH = "ledger.db"
ledger = Ledger(PATH)


def note(data: dict) -> None:
    with sqlite3.connect(PATH) as db:
        db.execute("INSERT INTO booked VALUES (?, 'noted')", (data["id"],))


"""
KEPT = {
    "a background task": "tasks.add_task(ledger.book, data, kind='gift')",
    "a background task of an object made in place": "tasks.add_task(Ledger(PATH).book, data, 'gift')",
    "a task": "asyncio.create_task(ledger.book(data, 'gift'))",
}
LEFT = {
    "an object of the request": "own = Ledger(data['path'])\n    tasks.add_task(own.book, data, 'gift')",
    "data that is no JSON": "tasks.add_task(note, object())",
    "a failure that may follow": "tasks.add_task(note, data)\n    data['order']['id'].strip().split()[0]",
    "a task that somebody keeps": "data['task'] = asyncio.create_task(ledger.book(data, 'gift'))",
}


def app_with(statement: str) -> str:
    return (
        f"{HEAD}@app.post('/hook')\nasync def hook(data: dict, tasks: BackgroundTasks):\n"
        f"    {statement}\n    return {{'taken': True}}\n"
    )


@pytest.mark.parametrize("name", KEPT)
async def test_an_event_is_on_disk_before_its_answer_and_worked_on_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    write(tmp_path, {"shop.py": app_with(KEPT[name])})
    mend(tmp_path, "acknowledged-before-stored")

    def rows(file: str, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(tmp_path / file)) as db:
            return db.execute(query).fetchall()

    rows("ledger.db", "CREATE TABLE booked (id, kind)")
    with loaded(tmp_path, "shop") as shop:
        async with served(shop.app) as client:
            assert (await client.post("/hook", json={"id": "a1"})).json() == {"taken": True}
            assert rows("durable_work.db", "SELECT state FROM jobs") == [("waiting",)]
            assert rows("ledger.db", "SELECT * FROM booked") == []
            shop.may_go_on.set()
            await until(lambda: rows("ledger.db", "SELECT * FROM booked") == [("a1", "gift")])
            await until(lambda: not rows("durable_work.db", "SELECT state FROM jobs"))


@pytest.mark.parametrize("name", LEFT)
def test_what_could_not_be_done_again_is_only_told(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"shop.py": app_with(LEFT[name])})
    assert not [finding for finding in find(tmp_path, "acknowledged-before-stored") if finding.mendable]

"""The module that deleted-data-stays adds, run for real: no byte of deleted persons is left in SQLite's files."""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import create_async_engine

from swarm.rules.compliance import deleted_data_stays

MODULE = Path(deleted_data_stays.__file__).parent / "deleted_rows.txt"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "deleted_rows.py").write_text(MODULE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("deleted_rows")
    yield module
    for name, listener in (
        ("connect", "_connected"),
        ("after_cursor_execute", "_executed"),
        ("checkin", "_given_back"),
    ):
        if event.contains(Engine, name, getattr(module, listener)):
            event.remove(Engine, name, getattr(module, listener))
    sys.modules.pop("deleted_rows")


def bytes_of(tmp_path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in tmp_path.glob("people.db*"))


def is_gone(tmp_path: Path, limit_s: float = 5.0) -> bool:
    """Whether nothing of the seventh person is left, when its time has come."""
    ends_s = time.monotonic() + limit_s
    while b"canary7@example.org" in bytes_of(tmp_path):
        if time.monotonic() > ends_s:
            return False
        time.sleep(0.02)
    return True


def fill(connection: Any) -> None:
    connection.execute(text("CREATE TABLE people (id TEXT, email TEXT)"))
    connection.execute(text("CREATE TABLE notes (id TEXT, body TEXT)"))
    for number in range(50):
        row = {"id": f"p{number}", "told": f"canary{number}@example.org"}
        connection.execute(text("INSERT INTO people VALUES (:id, :told)"), row)
        connection.execute(text("INSERT INTO notes VALUES (:id, :told)"), row)


@pytest.mark.parametrize(("journal", "is_on"), [("wal", True), ("wal", False), ("delete", True)])
def test_nothing_is_left_of_deleted_rows(module: Any, tmp_path: Path, journal: str, is_on: bool) -> None:
    module.ON = is_on
    module.overwrite_deleted("people")
    engine = create_engine(f"sqlite:///{tmp_path / 'people.db'}")
    other = engine.connect()
    other.execute(text(f"PRAGMA journal_mode={journal}"))
    other.commit()
    with engine.begin() as connection:
        fill(connection)
    assert b"canary7@example.org" in bytes_of(tmp_path)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM notes WHERE id = 'p7'"))
        connection.execute(text('DELETE FROM "people" WHERE id = :id'), {"id": "p7"})
    assert is_gone(tmp_path, 5.0 if is_on else 0.3) is is_on
    assert b"canary8@example.org" in bytes_of(tmp_path)
    other.close()
    engine.dispose()


def test_a_log_that_is_read_just_now_is_emptied_afterwards(module: Any, tmp_path: Path) -> None:
    module.overwrite_deleted("people")
    engine = create_engine(f"sqlite:///{tmp_path / 'people.db'}")
    with engine.begin() as connection:
        connection.execute(text("PRAGMA journal_mode=wal"))
    with engine.begin() as connection:
        fill(connection)
    reader = engine.connect()
    reader.exec_driver_sql("BEGIN")
    reader.execute(text("SELECT * FROM people")).fetchone()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM people WHERE id = 'p7'"))
        connection.execute(text("DELETE FROM notes WHERE id = 'p7'"))
    assert not is_gone(tmp_path, 0.2)
    reader.rollback()
    assert is_gone(tmp_path)
    reader.close()
    engine.dispose()


def test_async_engines(module: Any, tmp_path: Path) -> None:
    module.overwrite_deleted("people")

    async def run() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'people.db'}")
        async with engine.connect() as other:
            await other.execute(text("PRAGMA journal_mode=wal"))
            await other.commit()
            async with engine.begin() as connection:
                await connection.run_sync(fill)
            async with engine.begin() as connection:
                await connection.execute(text("DELETE FROM people WHERE id = 'p7'"))
                await connection.execute(text("DELETE FROM notes WHERE id = 'p7'"))
            assert await asyncio.to_thread(is_gone, tmp_path)
        await engine.dispose()

    asyncio.run(run())

"""The rule sqlite-rollback-journal: SQLite files get a write-ahead log, with full syncs; it can be turned off."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.rules.registry import rule_by_id
from tests.rules.mending import loaded, mend, write

pytest.importorskip("sqlalchemy")
pytest.importorskip("aiosqlite")


async def _modes(root: Path) -> tuple[object, object, object]:
    from sqlalchemy import create_engine, text

    with loaded(root, "app") as app:
        async with app.engine.connect() as connection:
            mode = await connection.scalar(text("PRAGMA journal_mode"))
            synchronous = await connection.scalar(text("PRAGMA synchronous"))
        await app.engine.dispose()
        with create_engine("sqlite://").connect() as memory:
            return mode, synchronous, memory.scalar(text("PRAGMA journal_mode"))


async def test_files_write_ahead_and_sync_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = rule_by_id("sqlite-rollback-journal")
    assert rule is not None
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}/shop.db")
    write(tmp_path, {"app.py": rule.bad[0].before})
    assert await _modes(tmp_path) == ("delete", 2, "memory")
    mend(tmp_path, "sqlite-rollback-journal")
    monkeypatch.setenv("SQLITE_WAL", "0")
    assert await _modes(tmp_path) == ("delete", 2, "memory")
    monkeypatch.delenv("SQLITE_WAL")
    assert await _modes(tmp_path) == ("wal", 2, "memory")

"""The rule unindexed-column: a database that was there before gets the index, and the answers stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.rules.registry import rule_by_id
from tests.rules.mending import find, loaded, mend, write

pytest.importorskip("sqlalchemy")
pytest.importorskip("aiosqlite")


async def _used(root: Path) -> tuple[list[int], str]:
    """The handler's answer, and how SQLite finds the rows for it."""
    from sqlalchemy import text

    with loaded(root, "app") as app:
        async with app.lifespan(app.app):
            async with app.engine.begin() as connection:
                await connection.execute(text("DELETE FROM items"))
                await connection.execute(text("INSERT INTO items VALUES (1, 7, 'new'), (2, 8, 'new'), (3, 7, 'old')"))
                plan = await connection.execute(text("EXPLAIN QUERY PLAN SELECT id FROM items WHERE order_id = 7"))
                told = " ".join(str(row[3]) for row in plan)
            return list(await app.items(7)), told


async def test_an_existing_database_gets_the_index_at_the_next_start(tmp_path: Path) -> None:
    rule = rule_by_id("unindexed-column")
    assert rule is not None
    text = rule.bad[0].before.replace("sqlite+aiosqlite:///shop.db", f"sqlite+aiosqlite:///{tmp_path}/shop.db")
    write(tmp_path, {"app.py": text})
    before, scanned = await _used(tmp_path)
    mend(tmp_path, "unindexed-column")
    after, searched = await _used(tmp_path)
    again, _ = await _used(tmp_path)
    assert before == after == again == [1]
    assert scanned.startswith("SCAN") and "ix_items_order_id" in searched


@pytest.mark.parametrize(
    ("files", "mendable"),
    [
        ({}, [True]),
        ({"alembic.ini": ""}, [False]),
        ({"more.py": "import app\napp.Base.metadata.create_all()\n"}, [False]),
    ],
)
def test_migrations_keep_their_say(tmp_path: Path, files: dict[str, str], mendable: list[bool]) -> None:
    rule = rule_by_id("unindexed-column")
    assert rule is not None
    write(tmp_path, {"app.py": rule.bad[0].before, **files})
    assert [finding.mendable for finding in find(tmp_path, "unindexed-column")] == mendable

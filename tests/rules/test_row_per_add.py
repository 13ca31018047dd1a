"""The rule row-per-add: the same rows, defaults and order with one statement; objects with ways of their own left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rules.mending import find, loaded, mend, write

pytest.importorskip("sqlalchemy")
pytest.importorskip("aiosqlite")

APP = """import itertools

from fastapi import FastAPI
from sqlalchemy import ForeignKey, event, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()
engine = create_async_engine("sqlite+aiosqlite:///@PATH@")
ticks = itertools.count(1)


def tick() -> int:
    return next(ticks)


@event.listens_for(engine.sync_engine, "connect")
def keys(connection, record):
    connection.execute("PRAGMA foreign_keys = ON")


class Base(DeclarativeBase):
    pass


class Lead(Base):
    __tablename__ = "leads"
    id: Mapped[str] = mapped_column(primary_key=True)


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    lead: Mapped[str] = mapped_column(ForeignKey("leads.id"))
    name: Mapped[str]
    at: Mapped[int] = mapped_column(default=tick)


@app.post("/leads/{lead}")
async def keep(lead: str, names: list[str]) -> None:
    async with AsyncSession(engine) as session:
        session.add(Lead(id=lead))
        for name in names:
            session.add(Tag(lead=lead, name=name.upper()))
        await session.commit()
"""


async def _kept(root: Path, *calls: tuple[str, list[Any]]) -> tuple[list[tuple[Any, ...]], int]:
    """The rows after some calls, and how many INSERTs of tags there were."""
    from sqlalchemy import event

    told = 0

    def count(connection: Any, cursor: Any, sql: str, *rest: object) -> None:
        nonlocal told
        told += "INSERT INTO tags" in sql

    with loaded(root, "app") as app:
        async with app.engine.begin() as connection:
            await connection.run_sync(app.Base.metadata.drop_all)
            await connection.run_sync(app.Base.metadata.create_all)
        event.listen(app.engine.sync_engine, "before_cursor_execute", count)
        for lead, names in calls:
            await app.keep(lead, names)
        async with app.AsyncSession(app.engine) as session:
            columns = app.Tag.id, app.Tag.lead, app.Tag.name, app.Tag.at
            rows = (await session.execute(app.select(*columns).order_by(app.Tag.id))).all()
        await app.engine.dispose()
        return [tuple(row) for row in rows], told


async def test_one_statement_keeps_the_same_rows_defaults_and_order(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": APP.replace("@PATH@", f"{tmp_path}/leads.db")})
    calls = ("a", ["x", "y", "z"]), ("b", []), ("c", ["w"])
    before, many = await _kept(tmp_path, *calls)
    mend(tmp_path, "row-per-add")
    after, few = await _kept(tmp_path, *calls)
    assert after == before and len(before) == 4, "the lead that waits in the session goes first, as its key demands"
    assert [row[3] for row in after] == [1, 2, 3, 4]
    assert (many, few) == (4, 2)


async def test_a_commit_in_the_loop_goes_behind_it(tmp_path: Path) -> None:
    inside = APP.replace("        await session.commit()", "            await session.commit()")
    write(tmp_path, {"app.py": inside.replace("@PATH@", f"{tmp_path}/leads.db")})
    mend(tmp_path, "row-per-add")
    assert (tmp_path / "app.py").read_text().count("await session.commit()") == 1
    assert await _kept(tmp_path, ("a", ["x", "y"])) == ([(1, "a", "X", 1), (2, "a", "Y", 2)], 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("class Base(DeclarativeBase):\n    pass", "class Base(MappedAsDataclass, DeclarativeBase):\n    pass"),
        ("    name: Mapped[str]\n", "    name: Mapped[str]\n\n    def __init__(self, **values):\n        pass\n"),
        ('"connect")', '"before_flush")'),
        ("name=name.upper())", "name=name.upper(), owner=lead)"),
        ("name=name.upper()", "name=await spelled(name)"),
        ("        await session.commit()", "        print(name)\n        await session.commit()"),
        ("AsyncSession(engine)", "AsyncSession(engine, autoflush=False)"),
    ],
)
def test_where_objects_do_more_than_be_inserted_there_is_advice_alone(tmp_path: Path, old: str, new: str) -> None:
    assert old in APP
    write(tmp_path, {"app.py": APP.replace(old, new)})
    assert [finding.mendable for finding in find(tmp_path, "row-per-add")] in ([False], [])

"""The rule commit-per-row with SQLAlchemy: the same rows with one commit, none of them where one fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rules.mending import find, loaded, mend, write

pytest.importorskip("sqlalchemy")
pytest.importorskip("aiosqlite")

APP = """from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()
engine = create_async_engine("sqlite+aiosqlite:///@PATH@")


class Base(DeclarativeBase):
    pass


class Event(Base):
    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@app.post("/events")
async def keep(names: list[str]) -> None:
    async with AsyncSession(engine) as session:
        for name in names:
            session.add(Event(name=name))
            await session.commit()
"""


async def _kept(root: Path, *calls: list[Any]) -> tuple[list[tuple[int, str]], int]:
    """The rows after some calls, and how many commits there were."""
    from sqlalchemy import event, select
    from sqlalchemy.exc import IntegrityError

    commits = 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1

    with loaded(root, "app") as app:
        async with app.engine.begin() as connection:
            await connection.run_sync(app.Base.metadata.drop_all)
            await connection.run_sync(app.Base.metadata.create_all)
        event.listen(app.engine.sync_engine, "commit", count)
        for names in calls:
            try:
                await app.keep(names)
            except IntegrityError:
                continue
        async with app.AsyncSession(app.engine) as session:
            rows = (await session.execute(select(app.Event.id, app.Event.name).order_by(app.Event.id))).all()
        await app.engine.dispose()
        return [(row[0], row[1]) for row in rows], commits


async def test_one_commit_keeps_the_same_rows(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": APP.replace("@PATH@", f"{tmp_path}/events.db")})
    before = await _kept(tmp_path, ["a", "b", "c"], [], ["d", None])
    mend(tmp_path, "commit-per-row")
    after = await _kept(tmp_path, ["a", "b", "c"], [])
    assert before == ([(1, "a"), (2, "b"), (3, "c"), (4, "d")], 4)
    assert after == ([(1, "a"), (2, "b"), (3, "c")], 1)
    failed = await _kept(tmp_path, ["d", None])
    assert failed == ([], 0)


@pytest.mark.parametrize(
    "line",
    ["await session.refresh(event)", "await session.flush()", "return", "await told(event)", "event.name = 'x'"],
)
def test_what_needs_the_commit_keeps_it(tmp_path: Path, line: str) -> None:
    text = APP.replace("session.add(Event(name=name))", "event = Event(name=name)\n            session.add(event)")
    text = text.replace("await session.commit()", f"await session.commit()\n            {line}")
    write(tmp_path, {"app.py": text})
    assert [finding.mendable for finding in find(tmp_path, "commit-per-row")] == [False]


UPSERT = APP.replace(
    """            session.add(Event(name=name))
            await session.commit()
""",
    """            result = await session.execute(select(Event).where(Event.name == name))
            known = result.scalars().first()
            if known is None:
                session.add(Event(name=name))
            else:
                known.name = name + "!"
            await session.commit()
""",
)


async def test_what_a_turn_added_is_seen_by_the_next(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": UPSERT.replace("@PATH@", f"{tmp_path}/events.db")})
    before = await _kept(tmp_path, ["a", "b", "a"])
    mend(tmp_path, "commit-per-row")
    after = await _kept(tmp_path, ["a", "b", "a"])
    assert before == ([(1, "a!"), (2, "b")], 3)
    assert after == ([(1, "a!"), (2, "b")], 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("AsyncSession(engine)", "AsyncSession(engine, autoflush=False)"),
        ("session.add(Event(name=name))", "await notify(name)"),
        ("session.add(Event(name=name))", "tell(name)"),
        ("session.add(Event(name=name))", "return"),
        ("where(Event.name == name)", "where(Event.name == name).with_for_update()"),
    ],
)
def test_a_turn_that_does_more_keeps_its_commit(tmp_path: Path, old: str, new: str) -> None:
    assert old in UPSERT
    write(tmp_path, {"app.py": UPSERT.replace(old, new)})
    assert not any(finding.mendable for finding in find(tmp_path, "commit-per-row"))

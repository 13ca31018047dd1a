"""The rule query-per-row on real databases: the same answers as before, in a few queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rules.mending import find, loaded, mend, write

pytest.importorskip("sqlalchemy")
pytest.importorskip("aiosqlite")

MODELS = """from sqlalchemy import ForeignKey, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Home(Base):
    __tablename__ = "homes"
    id: Mapped[int] = mapped_column(primary_key=True)
    agent: Mapped[int]
    nick: Mapped[str | None]


class Feature(Base):
    __tablename__ = "features"
    id: Mapped[int] = mapped_column(primary_key=True)
    home_id: Mapped[int] = mapped_column(ForeignKey("homes.id"))
    nick: Mapped[str | None]
    name: Mapped[str]


class Agent(Base):
    __tablename__ = "agents"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
"""
APP = (
    MODELS
    + """
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

app = FastAPI()
engine = create_async_engine("sqlite+aiosqlite:///@PATH@")


@app.get("/homes")
async def homes(least: int = 0) -> list[tuple[int, list[str], str | None]]:
    told = []
    async with AsyncSession(engine) as session:
        result = await session.execute(select(Home).where(Home.id > least).order_by(Home.id))
        found = result.scalars().all()
        for home in found:
            @BODY@
            told.append((home.id, names, agent.name if agent else None))
    return told
"""
)
BODIES = {
    "columns and objects": """rows = await session.execute(
                select(Feature.name).where(Feature.home_id == home.id, Feature.name != "x")
                .order_by(Feature.name.desc())
            )
            names = rows.scalars().all()
            agent = (await session.execute(select(Agent).where(home.agent == Agent.id))).scalar_one_or_none()""",
    "scalars and filter_by": """names = [one.name for one in (await session.scalars(
                select(Feature).filter_by(home_id=home.id).order_by(Feature.id))).all()]
            agent = await session.scalar(select(Agent).where(Agent.id == home.agent))""",
}


async def _answers(root: Path, body: str, name: str) -> tuple[list[Any], int]:
    """What the handler gives for all homes and for none, and how many statements it ran."""
    import sqlalchemy

    del body
    with loaded(root, name) as app:
        async with app.engine.begin() as connection:
            await connection.run_sync(app.Base.metadata.drop_all)
            await connection.run_sync(app.Base.metadata.create_all)
        async with app.AsyncSession(app.engine) as session:
            session.add_all([app.Home(id=n, agent=n % 3) for n in range(1, 601)])
            session.add_all([app.Agent(id=1, name="Ann"), app.Agent(id=2, name="Bob")])
            session.add_all([app.Feature(home_id=n % 400, name=f"f{n % 5}") for n in range(1, 1001)])
            session.add(app.Feature(home_id=3, name="x"))
            await session.commit()
        ran: list[str] = []
        sqlalchemy.event.listen(
            app.engine.sync_engine, "before_cursor_execute", lambda *given: ran.append(str(given[2]))
        )
        answers = [await app.homes(), await app.homes(5000)]
        await app.engine.dispose()
        return answers, len(ran)


@pytest.mark.parametrize("body", BODIES)
async def test_a_few_queries_give_the_same(tmp_path: Path, body: str) -> None:
    text = APP.replace("@PATH@", f"{tmp_path}/homes.db").replace("@BODY@", BODIES[body])
    write(tmp_path, {"app.py": text})
    before, many = await _answers(tmp_path, body, "app")
    mend(tmp_path, "query-per-row")
    after, few = await _answers(tmp_path, body, "app")
    assert after == before
    assert len(before[0]) == 600 and before[1] == []
    assert (many, few) == (1202, 5)


def _found(root: Path, *body: str) -> list[bool]:
    lines = "\n            ".join(body)
    write(
        root,
        {"app.py": APP.replace("@PATH@", "x.db").replace("@BODY@", f"agent, names = None, []\n            {lines}")},
    )
    return [finding.mendable for finding in find(root, "query-per-row")]


@pytest.mark.parametrize(
    "body",
    [
        ("f = (await session.scalars(select(Feature).where(Feature.home_id == home.id).limit(3))).all()",),
        ("f = (await session.scalars(select(Feature).where(Feature.nick == home.nick))).all()",),  # NULL is not NULL
        ("f = (await session.scalars(select(Feature.id).where(Feature.name == home.id))).all()",),  # other types
        ("f = (await session.execute(select(Feature.id, Feature.name).where(Feature.home_id == home.id))).all()",),
        ("f = (await session.scalars(select(Feature).where(Feature.home_id == home.id))).all()", "break"),
        ("f = (await session.scalars(select(Feature).where(Feature.home_id == home.id))).all()",
         "session.add(Feature(home_id=1, name='new'))"),
        ("f = (await session.scalars(select(Feature).where(Feature.home_id == home.id))).all()",
         "await session.commit()"),
        ("home = found[0]", "f = (await session.scalars(select(Feature).where(Feature.home_id == home.id))).all()"),
        ("f = await session.scalar(select(func.count()).select_from(Feature).where(Feature.home_id == home.id))",),
        ("f = await session.scalar(select(Feature.name).where(Feature.home_id == home.id))",),
    ],
)  # fmt: skip
def test_where_one_query_would_not_do_there_is_advice_only(tmp_path: Path, body: tuple[str, ...]) -> None:
    assert _found(tmp_path, *body) == [False]

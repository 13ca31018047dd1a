"""Sequential awaits with SQLAlchemy and model APIs: what runs together, and that it gives the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.rules.mending import find, loaded, mend, write

pytest.importorskip("sqlalchemy")
pytest.importorskip("aiosqlite")

STORE = """import os

import httpx
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///x.db"))
Sessions = async_sessionmaker(engine)
http = httpx.AsyncClient()


class Base(DeclarativeBase):
    pass


class Team(Base):
    __tablename__ = "teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    plan: Mapped[str]


async def named(key: int) -> str:
    async with Sessions() as session:
        return await session.scalar(select(Team.name).where(Team.id == key))


async def planned(key: int) -> str | None:
    async with Sessions() as session:
        team = await session.get(Team, key)
    return team.plan if team else None


async def renamed(key: int) -> None:
    async with Sessions() as session:
        team = await session.get(Team, key)
        team.name = "other"


async def counted(key: int) -> None:
    async with Sessions() as session:
        await session.execute(update(Team).values(plan="x"))


async def lent(session: AsyncSession, key: int) -> str:
    return await session.scalar(select(Team.name).where(Team.id == key))


async def asked(prompt: str) -> str:
    answer = await http.post("https://ai.example/v1/messages", json={"model": "m", "messages": [prompt]})
    return answer.text


async def texted(prompt: str) -> str:
    answer = await http.post("https://sms.example/v1/messages", json={"to": "1", "body": prompt})
    return answer.text


class Store:
    def __init__(self, session: AsyncSession):
        self.session = session

    async def first(self, key: int) -> str:
        return await self.session.scalar(select(Team.name))

    async def second(self, key: int) -> str:
        return await self.session.scalar(select(Team.plan))
"""
HEAD = """from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from store import Store, asked, counted, lent, named, planned, renamed, texted

app = FastAPI()


@app.get("/both")
"""


def found(root: Path, *lines: str) -> list[str]:
    body = "async def both(db: AsyncSession = Depends()):\n" + "".join(f"    {line}\n" for line in lines)
    write(root, {"store.py": STORE, "app.py": HEAD + body})
    return [finding.evidence.split(" are awaited")[0] for finding in find(root, "sequential-awaits")]


@pytest.mark.parametrize(
    ("lines", "together"),
    [
        (("a = await named(1)", "b = await planned(1)", "return a, b"), ["named and planned"]),
        (("a = await asked('x')", "b = await asked('y')", "return a, b"), ["asked and asked"]),
        (("a = await asked('x')", "b = await texted('y')", "c = await named(1)", "return a, b, c"),
         ["asked and texted and named"]),
        (("a = await texted('x')", "b = await texted('y')", "return a, b"), []),
        (("a = await named(1)", "b = await renamed(1)", "return a, b"), []),
        (("a = await named(1)", "b = await counted(1)", "return a, b"), []),
        (("a = await lent(db, 1)", "b = await lent(db, 2)", "return a, b"), []),
        (("s = Store(db)", "a = await s.first(1)", "b = await s.second(1)", "return a, b"), []),
        (("a = await named(1)", "k = 2", "b = await planned(k)", "return a, b"), ["named and planned"]),
        (("a = await named(1)", "k = a + 'x'", "b = await planned(2)", "return a, b, k"), []),
        (("k = 1", "a = await named(k)", "k = 2", "b = await planned(k)", "return a, b"), []),
        (("a = await named(1)", "k = print(1)", "b = await planned(2)", "return a, b, k"), []),
    ],
)  # fmt: skip
def test_what_may_run_together(tmp_path: Path, lines: tuple[str, ...], together: list[str]) -> None:
    assert found(tmp_path, *lines) == together


@pytest.mark.alone
async def test_sessions_of_their_own_are_open_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}/teams.db")
    lines = (
        "first = await named(1)",
        "key = 2  # the other",
        "second = await planned(key)",
        "return [first, second]",
    )
    assert found(tmp_path, *lines)
    before = await _answer(tmp_path, {1: "a", 2: "b"})
    mend(tmp_path, "sequential-awaits")
    text = (tmp_path / "app.py").read_text()
    assert "    key = 2\n    first, second = await asyncio.gather(named(1), planned(key))\n" in text
    after = await _answer(tmp_path, {1: "a", 2: "b"})
    assert (before, after) == ((["a", "plan b"], 1), (["a", "plan b"], 2))


async def _answer(root: Path, rows: dict[int, str]) -> tuple[list[str], int]:
    """What the handler gives, and how many connections it had open at once at most."""
    from sqlalchemy import event

    with loaded(root, "app") as app, loaded(root, "store") as store:
        async with store.engine.begin() as connection:
            await connection.run_sync(store.Base.metadata.drop_all)
            await connection.run_sync(store.Base.metadata.create_all)
        async with store.Sessions() as session:
            session.add_all([store.Team(id=key, name=name, plan=f"plan {name}") for key, name in rows.items()])
            await session.commit()
        open_now, most = 0, 0

        def taken(*_: object) -> None:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)

        def given_back(*_: object) -> None:
            nonlocal open_now
            open_now -= 1

        event.listen(store.engine.sync_engine, "checkout", taken)
        event.listen(store.engine.sync_engine, "checkin", given_back)
        answer = await asyncio.wait_for(app.both(), 5)
        await store.engine.dispose()
        return answer, most

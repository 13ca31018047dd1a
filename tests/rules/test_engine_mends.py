"""Shared engines and Redis clients at work: real databases and servers, before and after a mend."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rules.mending import find, loaded, mend, write

pytest.importorskip("sqlalchemy")
pytest.importorskip("aiosqlite")

ASYNC = {
    "shop/__init__.py": "",
    "shop/settings.py": "import os\n\n\ndef url():\n    return os.environ['DATABASE_URL']\n",
    "shop/db.py": """from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from shop import settings


@asynccontextmanager
async def open_session():
    engine = create_async_engine(settings.url(), poolclass=NullPool)
    try:
        async with AsyncSession(engine, expire_on_commit=False) as session:
            yield session
    finally:
        await engine.dispose()
""",
    "shop/app.py": """from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import text

from shop.db import open_session


@asynccontextmanager
async def lifespan(app):
    async with open_session() as session:
        await session.execute(text("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, body TEXT)"))
        await session.commit()
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/notes/{body}")
async def add(body: str):
    async with open_session() as session:
        await session.execute(text("INSERT INTO notes (body) VALUES (:body)"), {"body": body})
        if body == "bad":
            raise ValueError(body)
        await session.commit()
        return (await session.execute(text("SELECT body FROM notes ORDER BY id"))).scalars().all()
""",
}


async def answers(root: Path) -> tuple[list[Any], int]:
    """What the app answers to a few requests, and how many connections were opened for them."""
    import httpx
    import sqlalchemy.event
    from sqlalchemy.pool import Pool

    opened: list[object] = []

    def count(connection: object, record: object) -> None:
        opened.append(connection)

    sqlalchemy.event.listen(Pool, "connect", count)
    try:
        with loaded(root, "shop.app") as app:
            transport = httpx.ASGITransport(app=app.app, raise_app_exceptions=False)
            async with app.lifespan(app.app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                told = [(await client.post(f"/notes/{body}")).text for body in ("a", "bad", "b")]

                return told, len(opened)
    finally:
        sqlalchemy.event.remove(Pool, "connect", count)


async def test_one_engine_answers_as_one_per_call_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, ASYNC)
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}/before.db")
    before, opened_before = await answers(tmp_path)
    mend(tmp_path, "engine-per-call")
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}/after.db")
    after, opened_after = await answers(tmp_path)
    assert after == before
    assert (opened_before, opened_after) == (6, 1)
    assert "await dispose_async_engines()" in (tmp_path / "shop/app.py").read_text()
    monkeypatch.setenv("DB_POOL_SIZE", "0")
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}/off.db")
    assert await answers(tmp_path) == (before, 6)


def test_engines_belong_to_their_loop_and_address_and_memory_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, ASYNC)
    mend(tmp_path, "engine-per-call")
    with loaded(tmp_path, "shop.shared_engines") as shared:

        async def engine(name: str) -> Any:
            return shared.shared_async_engine(f"sqlite+aiosqlite:///{name}")

        async def several() -> list[Any]:
            return [await engine(name) for name in ("a.db", "a.db", "b.db", ":memory:", ":memory:")]

        first, second = asyncio.run(several()), asyncio.run(several())
        assert first[0] is first[1] and first[0] is not first[2] and first[3] is not first[4]
        assert first[0] is not second[0]
        assert (first[0].pool.size(), first[0].pool._max_overflow) == (10, 20)
        outside = shared.shared_async_engine("sqlite+aiosqlite:///a.db")
        assert outside is not shared.shared_async_engine("sqlite+aiosqlite:///a.db")


def test_a_process_with_shared_engines_ends_by_itself(tmp_path: Path) -> None:
    write(tmp_path, ASYNC)
    mend(tmp_path, "engine-per-call")
    program = (
        "import asyncio\nfrom sqlalchemy import text\nfrom shop.db import open_session\n\nasync def main():\n"
        "    async with open_session() as session:\n        print(await session.scalar(text('SELECT 41 + 1')))\n\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False,
        env={"DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/x.db", "PATH": "/usr/bin"},
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "42\n", "")


SYNC = """from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

app = Flask(__name__)


def get_engine():
    return create_engine(app.config["URL"], echo=False)


@app.post("/notes/<body>")
def add(body):
    session = sessionmaker(get_engine())()
    try:
        session.execute(text("CREATE TABLE IF NOT EXISTS notes (body TEXT)"))
        session.execute(text("INSERT INTO notes VALUES (:body)"), {"body": body})
        session.commit()
        return session.execute(text("SELECT body FROM notes")).scalars().all()
    finally:
        session.close()
"""


def test_threads_share_a_sync_engine(tmp_path: Path) -> None:
    pytest.importorskip("flask")
    from concurrent.futures import ThreadPoolExecutor

    write(tmp_path, {"web.py": SYNC})
    mend(tmp_path, "engine-per-call")
    with loaded(tmp_path, "web") as web:
        web.app.config["URL"] = f"sqlite:///{tmp_path}/s.db"
        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(lambda n: web.app.test_client().post(f"/notes/{n}").status_code, range(8)))
        assert told == [200] * 8
        assert sorted(web.app.test_client().post("/notes/8").json) == [str(n) for n in range(9)]
        assert web.get_engine() is web.get_engine()
        assert web.get_engine().pool.checkedout() == 0


@pytest.mark.parametrize(
    "body",
    [
        "ENGINES[name] = create_engine('sqlite:///x.db')\n    return ENGINES[name]",
        "engine = create_engine('sqlite:///x.db')\n    app.state.engine = engine\n    return engine",
        "if name not in ENGINES:\n        engine = create_engine('sqlite:///x.db')\n        ENGINES[name] = engine\n"
        "    return ENGINES[name]",
    ],
)
def test_an_engine_that_is_kept_is_none_per_call(tmp_path: Path, body: str) -> None:
    write(
        tmp_path,
        {
            "app.py": "from fastapi import FastAPI\nfrom sqlalchemy import create_engine\napp = FastAPI()\n"
            f"ENGINES = {{}}\n\ndef engine_of(name):\n    {body}\n\n@app.get('/x')\ndef x():\n"
            "    return engine_of('a').connect().closed\n"
        },
    )
    assert find(tmp_path, "engine-per-call") == []

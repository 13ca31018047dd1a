"""Mended code is run: it answers as before, and does what the mend promises."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.registry import rule_by_id


def mended(tmp_path: Path, rule_id: str, text: str) -> str:
    (tmp_path / "app.py").write_text(text, encoding="utf-8")
    index = build_index(SourceTree.load(tmp_path))
    rule = rule_by_id(rule_id)
    assert rule is not None
    mend = rule.mend(index, [finding for finding in rule.find(index) if finding.mendable])
    assert mend is not None
    return mend.changes[0].after or ""


def run(text: str) -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": "app"}
    exec(compile(text, "app.py", "exec"), scope)
    return scope


LOOKUP = """import sqlite3


def items(conn: sqlite3.Connection, keys: list):
    out = []
    for key in keys:
        found = conn.execute("SELECT name FROM item WHERE owner = ? AND live = 1 ORDER BY name", (key,)).fetchall()
        first = conn.execute("SELECT name FROM owner WHERE id = ?", (key,)).fetchone()
        names = [one[0] for one in found]
        out.append((key, names, first[0] if first is not None else None))
    return out
"""


def test_one_query_gives_the_rows_of_many(tmp_path: Path) -> None:
    after = mended(tmp_path, "n-plus-one", LOOKUP)
    conn = sqlite3.connect(":memory:")
    conn.executescript(
        "CREATE TABLE item (owner, name, live); CREATE TABLE owner (id, name);"
        "INSERT INTO item VALUES (1,'b',1),(1,'a',1),(1,'x',0),(2,'c',1),('k','t',1);"
        "INSERT INTO owner VALUES (1,'one'),('k','kay'),(1,'again');"
    )
    for keys in ([], [1], [3, 1, 1, "k", 2, None], list(range(2000))):
        statements: list[str] = []
        conn.set_trace_callback(statements.append)
        expected = run(LOOKUP)["items"](conn, keys)
        asked, statements[:] = len(statements), []
        assert run(after)["items"](conn, keys) == expected
        assert asked == 2 * len(keys)
        assert len(statements) == 2


PER_CALL = """import httpx


async def ask(url):
    async with httpx.AsyncClient() as client:
        return await client.get(url)
"""


def test_a_shared_client_lives_per_loop_and_keeps_no_cookies(tmp_path: Path) -> None:
    import asyncio

    scope = run(mended(tmp_path, "client-per-call", PER_CALL))
    jars: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        jars.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"set-cookie": "session=1; Path=/"})

    built: list[httpx.AsyncClient] = []

    def build(**options: Any) -> httpx.AsyncClient:
        built.append(httpx.AsyncClient(transport=httpx.MockTransport(answer), **options))
        return built[-1]

    scope["httpx"] = SimpleNamespace(AsyncClient=build, Limits=httpx.Limits)

    async def twice() -> None:
        await scope["ask"]("https://a.example/")
        await scope["ask"]("https://a.example/")

    asyncio.run(twice())
    asyncio.run(twice())
    assert len(built) == 2
    assert jars == [None] * 4


BLOCKING = """import sqlite3
import time


async def slow(seconds: float, *, path: str):
    \"\"\"Kept.\"\"\"
    conn = sqlite3.connect(path)
    time.sleep(seconds)
    return conn.execute("SELECT ?", (seconds,)).fetchone()[0]
"""


async def test_blocking_work_leaves_the_loop(tmp_path: Path) -> None:
    import asyncio

    scope = run(mended(tmp_path, "blocking-in-async", BLOCKING))
    assert scope["slow"].__doc__ == "Kept."
    started = time.monotonic()
    got = await asyncio.gather(*(scope["slow"](0.2, path=":memory:") for _ in range(3)))
    assert got == [0.2, 0.2, 0.2]
    assert time.monotonic() - started < 0.5


SYNC = """import requests


def position(parcel):
    return requests.get("https://couriers.example/" + parcel).json()


def wishes(customer):
    return requests.get("https://customers.example/" + customer).json()


def hook(event):
    where = position(event["parcel"])
    wanted = wishes(event["customer"])
    return [where, wanted]
"""


def test_side_by_side_requests_overlap_and_keep_the_order_of_errors(tmp_path: Path) -> None:
    scope = run(mended(tmp_path, "sequential-requests", SYNC))
    both = threading.Barrier(2, timeout=5)

    def get(url: str) -> SimpleNamespace:
        both.wait()  # breaks unless both are under way
        if url.endswith("bad"):
            raise KeyError(url)
        return SimpleNamespace(json=lambda: json.loads(json.dumps(url)))

    scope["requests"] = SimpleNamespace(get=get)
    assert scope["hook"]({"parcel": "p", "customer": "c"}) == [
        "https://couriers.example/p", "https://customers.example/c",
    ]  # fmt: skip
    with pytest.raises(KeyError, match=r"couriers\.example/bad"):
        scope["hook"]({"parcel": "bad", "customer": "bad"})

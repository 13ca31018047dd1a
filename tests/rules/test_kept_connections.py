"""Connections that are kept: each request has its own, what it left open is rolled back, what broke is closed."""

from __future__ import annotations

import asyncio
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rules.mending import find, loaded, mend, write

APP = """import psycopg
from flask import Flask, request

app = Flask(__name__)
DSN = "postgresql://db/shop"


def rows(sql, values=()):
    with psycopg.connect(DSN) as connection:
        return connection.execute(sql, values)


def stored(sql, values=()):
    connection = psycopg.connect(DSN)
    try:
        connection.execute(sql, values)
        connection.commit()
    finally:
        connection.close()


@app.post("/hook")
def hook():
    stored("INSERT INTO events VALUES (%s)", (request.json["id"],))
    return {"rows": rows("SELECT 1")}
"""


class Connection:
    """Enough of psycopg's to be kept: a transaction, settings, an end."""

    opened = 0
    alive = True

    def __init__(self) -> None:
        type(self).opened += 1
        self.closed = self.broken = self.autocommit = False
        self.isolation_level = self.read_only = self.deferrable = self.row_factory = None
        self.info = types.SimpleNamespace(transaction_status="idle")
        self.said: list[str] = []

    def __class_getitem__(cls, _kind: object) -> type[Connection]:
        return cls

    @classmethod
    def connect(cls, _address: str, **_options: Any) -> Connection:
        return cls()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_problem: object) -> None:
        self.commit()
        self.close()

    def execute(self, sql: str, _values: object = ()) -> str:
        if not type(self).alive:
            self.broken = True
            raise sys.modules["psycopg"].Error("the server went away")
        self.info.transaction_status = "in transaction"
        self.said.append(sql)
        return sql

    def commit(self) -> None:
        self.info.transaction_status = "idle"

    def rollback(self) -> None:
        self.info.transaction_status = "idle"
        self.said.append("ROLLBACK")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    driver = types.ModuleType("psycopg")
    status = types.SimpleNamespace(TransactionStatus=types.SimpleNamespace(IDLE="idle"))
    fresh = type("Connection", (Connection,), {"opened": 0, "alive": True})
    driver.__dict__.update(Connection=fresh, connect=fresh.connect, pq=status, Error=type("Error", (Exception,), {}))
    monkeypatch.setitem(sys.modules, "psycopg", driver)
    for name in ("DB_KEPT_CONNECTIONS", "DB_KEPT_IDLE_S"):
        monkeypatch.delenv(name, raising=False)
    write(tmp_path, {"app.py": APP})
    mend(tmp_path, "connection-per-query")
    with loaded(tmp_path, "kept_connections") as module:
        yield module


def test_the_next_request_gets_what_the_last_gave_back(kept: Any) -> None:
    with kept.kept_connection("a") as first:
        first.execute("SELECT 1")
    again, other = kept.kept_connection("a"), kept.kept_connection("b")
    assert again is first and other is not first and kept.kept_connection("a") is not first
    assert "db_connections_reused_total 1" in kept.prometheus_lines()


def test_what_was_not_committed_is_rolled_back(kept: Any) -> None:
    connection = kept.kept_connection("a")
    connection.execute("DELETE FROM events")
    connection.close()
    assert connection.said[-1] == "ROLLBACK" and not connection.closed


def test_a_connection_that_is_closed_twice_is_given_to_one(kept: Any) -> None:
    connection = kept.kept_connection("a")
    connection.close()
    connection.close()
    assert kept.kept_connection("a") is connection
    assert kept.kept_connection("a") is not connection


def test_one_that_was_set_up_in_another_way_or_broke_is_closed(kept: Any) -> None:
    changed, broken = kept.kept_connection("a"), kept.kept_connection("a")
    changed.autocommit = broken.broken = True
    changed.close()
    broken.close()
    assert changed.closed and broken.closed
    assert kept.kept_connection("a") not in (changed, broken)


def test_one_whose_server_went_away_is_not_handed_out(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = kept.kept_connection("a")
    connection.close()
    now = kept.time.monotonic()
    monkeypatch.setattr(kept.time, "monotonic", lambda: now + 2)
    kept.psycopg.Connection.alive = False
    fresh = kept.kept_connection("a")
    assert fresh is not connection and connection.closed


def test_no_more_lie_idle_than_are_allowed_and_none_for_long(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_KEPT_CONNECTIONS", "1")
    first, second = kept.kept_connection("a"), kept.kept_connection("a")
    first.close()
    second.close()
    assert (first.closed, second.closed) == (False, True)
    third = kept.kept_connection("b")
    now = kept.time.monotonic()
    monkeypatch.setattr(kept.time, "monotonic", lambda: now + 400)
    monkeypatch.setenv("DB_KEPT_CONNECTIONS", "5")
    late = kept.kept_connection("a", autocommit=False)
    late.close()
    third.close()
    assert "db_connections_idle 3" in kept.prometheus_lines()
    more = kept.KeptPsycopg.connect("a")
    assert kept._put(next(key for key in kept._idle if key[1] == ("a",) and not key[2]), more) == [first]


def test_zero_closes_each_as_before(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_KEPT_CONNECTIONS", "0")
    connection = kept.kept_connection("a")
    connection.close()
    assert connection.closed and kept.kept_connection("a") is not connection


def test_threads_never_share_one(kept: Any) -> None:
    held: list[Any] = []
    start = threading.Barrier(8)

    def hold() -> None:
        start.wait(5)
        held.append(kept.kept_connection("a"))

    for _ in range(2):
        threads = [threading.Thread(target=hold) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert len({id(one) for one in held}) == 8
        for connection in held:
            connection.close()
        held.clear()
    assert kept.psycopg.Connection.opened == 0 and kept.KeptPsycopg.opened == 8


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('        connection.execute(sql, values)\n        connection.commit()\n',
         '        connection.autocommit = True\n        connection.execute(sql, values)\n'),
        ('    finally:\n        connection.close()\n', '    finally:\n        pass\n'),
        ('"SELECT 1"', '"SET search_path TO shop"'),
        ('"SELECT 1"', '"SELECT pg_advisory_lock(1)"'),
        ("psycopg.connect(DSN)\n", "psycopg.connect(DSN, context=None)\n"),
    ],
)  # fmt: skip
def test_what_sets_up_a_session_or_is_never_closed_is_advice(tmp_path: Path, old: str, new: str) -> None:
    write(tmp_path, {"app.py": APP.replace(old, new)})
    findings = {finding.line: finding.mendable for finding in find(tmp_path, "connection-per-query")}
    assert not findings[14]
    assert find(tmp_path, "connection-per-query")


ASYNC_APP = """from psycopg import AsyncConnection
from fastapi import FastAPI

app = FastAPI()


class Ledger:
    def __init__(self, dsn):
        self._dsn = dsn

    async def _opened(self):
        return await AsyncConnection.connect(self._dsn, autocommit=True)

    async def note(self, what):
        connection = await self._opened()
        try:
            await connection.execute("INSERT INTO audit VALUES (%s)", (what,))
        finally:
            await connection.close()


async def rows(sql):
    async with await AsyncConnection.connect("postgresql://db/shop") as connection:
        return await connection.execute(sql)


@app.post("/hook")
async def hook(event: dict):
    await Ledger("postgresql://db/shop").note(event["what"])
    return {"rows": await rows("SELECT 1")}
"""


class AsyncConnection(Connection):
    """The same whose calls are awaited."""

    @classmethod
    async def connect(cls, _address: str, **_options: Any) -> AsyncConnection:  # type: ignore[override]
        return cls()

    async def __aenter__(self) -> AsyncConnection:
        return self

    async def __aexit__(self, *_problem: object) -> None:
        await self.close()

    async def execute(self, sql: str, _values: object = ()) -> str:  # type: ignore[override]
        return super().execute(sql)

    async def rollback(self) -> None:  # type: ignore[override]
        super().rollback()

    async def close(self) -> None:  # type: ignore[override]
        super().close()


async def test_connections_of_psycopg_that_are_awaited_are_kept_for_their_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = types.ModuleType("psycopg")
    status = types.SimpleNamespace(TransactionStatus=types.SimpleNamespace(IDLE="idle"))
    fresh = type("AsyncConnection", (AsyncConnection,), {"opened": 0, "alive": True})
    driver.__dict__.update(AsyncConnection=fresh, pq=status, Error=type("Error", (Exception,), {}))
    monkeypatch.setitem(sys.modules, "psycopg", driver)
    write(tmp_path, {"app.py": ASYNC_APP})
    assert [finding.mendable for finding in find(tmp_path, "connection-per-query")] == [True, True]
    mend(tmp_path, "connection-per-query")
    text = (tmp_path / "app.py").read_text()
    assert text.startswith("from fastapi import FastAPI\n") and text.count("await kept_connection(") == 2
    with loaded(tmp_path, "kept_connections") as kept:
        async with await kept.kept_connection("a") as first:
            await first.execute("DELETE FROM audit")
        assert first.said[-1] == "ROLLBACK" and not first.closed
        assert await kept.kept_connection("a") is first
        await first.close()
        await first.close()
        assert await asyncio.to_thread(asyncio.run, kept.kept_connection("a")) is not first  # another loop's
        now = kept.time.monotonic()
        monkeypatch.setattr(kept.time, "monotonic", lambda: now + 2)
        fresh.alive = False
        assert await kept.kept_connection("a") is not first and first.closed

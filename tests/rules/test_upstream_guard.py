"""The generated module upstream_guard.py, as it runs: breakers open and close, quotas are waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from swarm.rules.api.no_circuit_breaker import TEXT
from tests.rules.mending import loaded, mend, write


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("UPSTREAM_BREAKER_FAILURES", "3")
    monkeypatch.setenv("UPSTREAM_BREAKER_PAUSE_S", "0.2")
    write(tmp_path, {"upstream_guard.py": TEXT.read_text(encoding="utf-8")})
    with loaded(tmp_path, "upstream_guard") as module:
        yield module


class Upstream:
    """Answers with the statuses that it is told, the last one again and again."""

    def __init__(self, *statuses: int, **headers: str) -> None:
        self.statuses = list(statuses)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 0:
            raise httpx.ConnectError("gone", request=request)
        return httpx.Response(status, headers=self.headers)

    def client(self, guard: Any) -> httpx.AsyncClient:
        client: httpx.AsyncClient = guard.guarded(httpx.AsyncClient(transport=httpx.MockTransport(self)))
        return client


async def test_after_some_failures_in_a_row_calls_fail_at_once_and_one_tries_after_the_pause(guard: Any) -> None:
    upstream = Upstream(500, 0, 503, 200)
    client = upstream.client(guard)
    for expected in (500, httpx.ConnectError, 503):
        if isinstance(expected, int):
            assert (await client.get("http://crm.example/a")).status_code == expected
        else:
            with pytest.raises(expected):
                await client.get("http://crm.example/a")
    with pytest.raises(httpx.ConnectError, match="left alone"):
        await client.get("http://crm.example/b")
    assert upstream.asked == 3
    assert 'circuit_open{upstream="crm.example"} 1' in guard.prometheus_lines()
    assert (await client.get("http://other.example/")).status_code == 200
    await asyncio.sleep(0.25)
    assert (await client.get("http://crm.example/b")).status_code == 200
    assert (await client.get("http://crm.example/b")).status_code == 200
    assert 'circuit_open{upstream="crm.example"} 0' in guard.prometheus_lines()


async def test_a_trial_that_fails_closes_it_again(guard: Any) -> None:
    upstream = Upstream(500)
    client = upstream.client(guard)
    for _ in range(3):
        await client.get("http://crm.example/")
    await asyncio.sleep(0.25)
    await client.get("http://crm.example/")
    with pytest.raises(httpx.ConnectError):
        await client.get("http://crm.example/")
    assert upstream.asked == 4


async def test_refusals_and_good_answers_between_do_not_open_it(guard: Any) -> None:
    upstream = Upstream(500, 500, 404, 500, 500, 429, 200)
    client = upstream.client(guard)
    for _ in range(7):
        await client.get("http://crm.example/")
    assert upstream.asked == 7


async def test_a_used_up_quota_is_waited_for_by_its_credentials_alone(guard: Any) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Interval-Milliseconds": "300"}
    client = Upstream(200, **headers).client(guard)
    await client.get("http://crm.example/", headers={"Authorization": "Bearer a"})
    began_s = time.monotonic()
    await client.get("http://crm.example/", headers={"Authorization": "Bearer b"})
    assert time.monotonic() - began_s < 0.2
    await client.get("http://crm.example/", headers={"Authorization": "Bearer a"})
    assert 0.2 < time.monotonic() - began_s < 1.0


async def test_retry_after_holds_the_next_call_back(guard: Any) -> None:
    client = Upstream(429, 200, Retry_After="0.3").client(guard)
    await client.get("http://crm.example/")
    began_s = time.monotonic()
    assert (await client.get("http://crm.example/")).status_code == 200
    assert 0.2 < time.monotonic() - began_s < 1.0


async def test_zero_turns_both_off(guard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BREAKER_FAILURES", 0)
    monkeypatch.setattr(guard, "QUOTA_WAIT_S", 0.0)
    upstream = Upstream(500, **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"})
    client = upstream.client(guard)
    began_s = time.monotonic()
    for _ in range(6):
        await client.get("http://crm.example/")
    assert upstream.asked == 6
    assert time.monotonic() - began_s < 1.0


def test_a_session_of_requests_fails_with_its_own_error(guard: Any) -> None:
    session = guard.guarded(requests.Session())
    assert guard.guarded(session).send is session.send
    for _ in range(3):
        with pytest.raises(requests.ConnectionError):
            session.get("http://127.0.0.1:9/", timeout=1)
    with pytest.raises(requests.ConnectionError, match="left alone"):
        session.get("http://127.0.0.1:9/", timeout=1)


async def test_errors_of_the_callers_own_do_not_open_it(guard: Any) -> None:
    def send(request: httpx.Request) -> httpx.Response:
        raise httpx.PoolTimeout("no connection is free", request=request)

    client = guard.guarded(httpx.AsyncClient(transport=httpx.MockTransport(send)))
    for _ in range(5):
        with pytest.raises(httpx.PoolTimeout):
            await client.get("http://crm.example/a")
    session = guard.guarded(requests.Session())
    for _ in range(5):
        with pytest.raises(requests.exceptions.InvalidSchema):
            session.get("nothing://crm.example/a")


async def test_retries_do_not_wait_for_a_host_that_is_left_alone(guard: Any, tmp_path: Path) -> None:
    write(tmp_path, {"app.py": RETRYING})
    mend(tmp_path, "missing-retry")
    upstream = Upstream(0)
    with loaded(tmp_path, "app") as app:
        app.client = upstream.client(guard)
        with pytest.raises(httpx.ConnectError, match="gone"):
            await app.stock()
        assert upstream.asked == 3
        began_s = time.monotonic()
        with pytest.raises(httpx.ConnectError, match="left alone"):
            await app.stock()
        assert time.monotonic() - began_s < 0.09, "the first pause of a retry is 0.1 s at least"
        assert upstream.asked == 3


RETRYING = """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.get("/stock")
async def stock():
    return (await client.get("http://crm.example/stock")).json()
"""

"""The generated module answer_cache beside a real Redis: what processes share, and what happens when it is away."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType
from typing import Any

import pytest

from tests.rules.kept_answers.cache_module import Source, flow_of, load

REDIS = shutil.which("redis-server")


@pytest.fixture
def redis_port() -> Iterator[int]:
    if REDIS is None:
        pytest.skip("there is no redis-server on this machine")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = subprocess.Popen(
        [REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    deadline_s = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            break
        except OSError:
            assert time.monotonic() < deadline_s, "redis-server does not come up"
            time.sleep(0.02)
    yield port
    server.kill()
    server.wait()


@pytest.fixture
def two(redis_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, ModuleType]]:
    """The module of two processes, of different machines, that share a Redis."""
    monkeypatch.setenv("ANSWER_CACHE_PATH", "0")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{redis_port}/0")
    monkeypatch.setenv("CACHE_L1_TTL_S", "0.2")
    yield load("answer_cache_1"), load("answer_cache_2")
    for name in ("answer_cache_1", "answer_cache_2"):
        sys.modules.pop(name, None)


async def test_processes_share_answers_and_writes(two: tuple[ModuleType, ModuleType], source: Source) -> None:
    redis = pytest.importorskip("redis.asyncio")
    source.value = {"name": "one", "text": "x" * 2000}
    (get_1, change_1), (get_2, _) = (flow_of(module, source) for module in two)
    assert await get_1("somebody@example.org") == await get_2("somebody@example.org") == source.value
    assert source.asked == 1
    assert two[1].stats()["flow"]["hits"] == 1
    assert any('tier="redis",result="hit"} 1' in line for line in two[1].prometheus_lines())
    client = redis.Redis.from_url(two[0].os.environ["REDIS_URL"])
    keys = await client.keys("answers:flow:*")
    assert keys
    assert not any(b"somebody" in key for key in keys)
    sizes = [await client.strlen(key) for key in keys if not key.endswith(b":used")]
    assert sizes
    assert max(sizes) < 200, "long answers are compressed"
    await client.aclose()

    await change_1("somebody@example.org", {"name": "two"})
    assert (await get_1("somebody@example.org"))["name"] == "two"
    await asyncio.sleep(0.25)  # the first tier of the other process lets go
    assert (await get_2("somebody@example.org"))["name"] == "two"


async def test_a_slow_reader_elsewhere_does_not_bring_the_old_answer_back(
    two: tuple[ModuleType, ModuleType], source: Source
) -> None:
    (get_1, change_1), (get_2, _) = (flow_of(module, source) for module in two)
    source.wait_s = 0.2
    slow = asyncio.ensure_future(get_2("a"))
    while not source.asked:  # noqa: ASYNC110 - the source counts, it has no event
        await asyncio.sleep(0.001)
    await change_1("a", {"name": "two"})
    assert (await slow)["name"] == "one"
    source.wait_s = 0.0
    assert (await get_1("a"))["name"] == "two"


async def test_a_new_process_begins_with_what_was_used_most(
    two: tuple[ModuleType, ModuleType], source: Source
) -> None:
    (get_1, _), (get_2, _) = (flow_of(module, source) for module in two)
    for name in ("a", "b", "c"):
        await get_1(name)
    assert await two[1].warm() == 3
    await get_2("a")
    assert source.asked == 3
    assert not any('tier="redis",result="hit"' in line for line in two[1].prometheus_lines())


def test_redis_serves_code_that_is_not_async(two: tuple[ModuleType, ModuleType], source: Source) -> None:
    def get_plan(name: str) -> dict[str, Any]:
        return source.read_now()

    def change_plan(name: str) -> None:
        source.value = {"name": "two"}

    first, second = (module.cached("plan", ttl_s=60)(get_plan) for module in two)
    assert first("a") == second("a") == source.value
    assert source.asked == 1
    two[0].invalidates("plan", "name")(change_plan)("a")
    assert first("a")["name"] == "two"
    time.sleep(0.25)
    assert second("a")["name"] == "two"


async def test_without_redis_everything_goes_on_and_soon_without_a_delay(
    cache: ModuleType, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("redis")
    with socket.socket() as deaf:  # it takes connections and never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(50)
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        monkeypatch.setenv("CACHE_REDIS_TIMEOUT_S", "0.1")
        get, change = flow_of(cache, source)
        assert await get("a") == source.value
        started_s = time.perf_counter()
        for number in range(100):
            assert await get(str(number)) == source.value
        assert time.perf_counter() - started_s < 0.1, "a Redis that is away costs nothing for a while"
        await change("1", {"name": "two"})
        assert (await get("1"))["name"] == "two"
        assert (await get("2"))["name"] == "one"


async def test_redis_may_go_and_come(
    redis_port: int, cache: ModuleType, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = pytest.importorskip("redis.asyncio")
    url = f"redis://127.0.0.1:{redis_port}/0"
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("CACHE_REDIS_PAUSE_S", "0.1")
    get, _ = flow_of(cache, source)
    await get("a")
    client = redis.Redis.from_url(url)
    await client.set("held", "x")
    await client.client_pause(300, all=True)
    monkeypatch.setenv("CACHE_REDIS_TIMEOUT_S", "0.05")
    assert await get("b") == source.value
    await asyncio.sleep(0.6)
    assert await get("c") == source.value
    await asyncio.sleep(0.05)
    assert len(await client.keys("answers:flow:*")) >= 2
    await client.aclose()


def test_a_write_while_a_new_process_warms_up_is_not_undone(
    two: tuple[ModuleType, ModuleType], source: Source
) -> None:
    def get_plan(name: str) -> dict[str, Any]:
        return source.read_now()

    def change_plan(name: str) -> None:
        source.value = {"name": "two"}

    first, second = (module.cached("plan", ttl_s=60)(get_plan) for module in two)
    assert first("a")["name"] == second("a")["name"] == "one"
    change = two[1].invalidates("plan", "name")(change_plan)
    client = two[1]._process.tier(False).client
    read = client.mget

    def read_and_change(keys: list[bytes]) -> Any:
        texts = read(keys)
        change("a")
        return texts

    client.mget = read_and_change
    two[1].warm_now()
    assert source.value["name"] == "two", "the write came in between"
    assert second("a")["name"] == "two"

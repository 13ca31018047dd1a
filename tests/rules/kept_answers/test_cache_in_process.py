"""The generated module answer_cache in one process, and beside others of its machine: what is kept, and how long."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic
import pytest

from tests.rules.kept_answers.cache_module import Source, flow_of, load


async def test_an_answer_is_kept_by_its_arguments_however_they_are_given(cache: ModuleType, source: Source) -> None:
    @cache.cached("flow", ttl_s=60)
    async def get(flow_id: str, version: int = 1) -> dict[str, Any]:
        return {"asked": flow_id, "version": version, **await source.read()}

    first = await get("a")
    assert first == await get(flow_id="a") == await get("a", 1) == await get("a", version=1)
    assert source.asked == 1
    assert (await get("b"))["asked"] == "b"
    assert (await get("a", True))["version"] is True, "1 and True are two questions"
    assert source.asked == 3
    with pytest.raises(TypeError):
        await get("a", 1, 2)
    with pytest.raises(TypeError):
        await get(nothing=1)
    assert cache.stats()["flow"] == {"asked": 6, "hits": 3, "hit_rate": 0.5}
    lines = cache.prometheus_lines()
    assert 'cache_requests_total{kind="flow",tier="process",result="hit"} 3' in lines
    assert 'cache_requests_total{kind="flow",tier="process",result="miss"} 3' in lines
    assert any(line.startswith('cache_operation_seconds_count{kind="flow",tier="process"} 6') for line in lines)


async def test_what_a_caller_does_to_its_answer_reaches_no_other(cache: ModuleType, source: Source) -> None:
    @cache.cached("flow", ttl_s=60)
    async def get() -> dict[str, Any]:
        return await source.read()

    own = await get()
    own["parts"].append("mine")
    other = await get()
    assert other["parts"] == [1, 2.5, None, True]
    other.clear()
    assert (await get())["name"] == "one"


async def test_fifty_at_once_ask_once(cache: ModuleType, source: Source) -> None:
    source.wait_s = 0.02

    @cache.cached("flow", ttl_s=60)
    async def get(flow_id: str) -> dict[str, Any]:
        return await source.read()

    answers = await asyncio.gather(*(get("a") for _ in range(50)))
    assert source.asked == 1
    assert all(answer == source.value for answer in answers)
    assert len({id(answer) for answer in answers}) == 50


async def test_where_the_one_who_asks_fails_the_others_ask_for_themselves(cache: ModuleType, source: Source) -> None:
    source.wait_s, source.error = 0.01, RuntimeError("down")

    @cache.cached("flow", ttl_s=60)
    async def get(flow_id: str) -> dict[str, Any]:
        return await source.read()

    results = await asyncio.gather(*(get("a") for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [RuntimeError] * 5
    source.error = None
    assert await get("a") == source.value, "an error is not kept"


async def test_one_who_goes_away_takes_nobody_along(cache: ModuleType, source: Source) -> None:
    source.wait_s = 0.05

    @cache.cached("flow", ttl_s=60)
    async def get() -> dict[str, Any]:
        return await source.read()

    first = asyncio.ensure_future(get())
    await asyncio.sleep(0.01)
    second = asyncio.ensure_future(get())
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == source.value
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize("value", [None, {}, [], "", 0, False, (1, 2), {1: "a"}, {"at": object()}, {"s": {1}}])
async def test_what_is_empty_or_no_json_is_not_kept(cache: ModuleType, source: Source, value: Any) -> None:
    source.value = value

    @cache.cached("flow", ttl_s=60)
    async def get() -> Any:
        return await source.read()

    assert await get() is value
    assert await get() is value
    assert source.asked == 2


async def test_it_is_asked_again_after_its_lifetime(
    cache: ModuleType, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_TTL_SHORT_ONE_S", "0.05")
    monkeypatch.setenv("CACHE_TTL_NEVER_S", "0")

    @cache.cached("short-one", ttl_s=60)
    async def get() -> dict[str, Any]:
        return await source.read()

    @cache.cached("never", ttl_s=60)
    async def fresh() -> dict[str, Any]:
        return await source.read()

    await get()
    source.value = {"name": "two"}
    assert (await get())["name"] == "one"
    await asyncio.sleep(0.07)
    assert (await get())["name"] == "two"
    await fresh()
    await fresh()
    assert source.asked == 4
    monkeypatch.setenv("ANSWER_CACHE", "0")
    source.value = {"name": "three"}
    assert (await get())["name"] == "three"


async def test_the_least_used_goes_first(cache: ModuleType, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWER_CACHE_MAX_ENTRIES", "3")

    @cache.cached("flow", ttl_s=60)
    async def get(name: str) -> dict[str, Any]:
        return await source.read()

    for name in ("a", "b", "c", "a", "d", "a", "c"):
        await get(name)
    assert source.asked == 4
    await get("b")
    assert source.asked == 5, "b was used least"


async def test_a_write_drops_the_answer_of_its_arguments_alone(cache: ModuleType, source: Source) -> None:
    @cache.cached("flow", ttl_s=60)
    async def get(flow_id: str) -> dict[str, Any]:
        return await source.read()

    @cache.invalidates("flow", "flow_id")
    async def change(changes: dict[str, Any], flow_id: str) -> str:
        source.value = changes
        return "done"

    await get("a")
    await get("b")
    assert await change({"name": "two"}, "a") == "done"
    assert (await get("a"))["name"] == "two"
    assert (await get("b"))["name"] == "one"


async def test_what_was_read_before_a_write_is_not_kept_after_it(cache: ModuleType, source: Source) -> None:
    source.wait_s = 0.03

    @cache.cached("flow", ttl_s=60)
    async def get(flow_id: str) -> dict[str, Any]:
        return await source.read()

    @cache.invalidates("flow", "flow_id")
    async def change(flow_id: str) -> None:
        source.value = {"name": "two"}
        raise ValueError("after the write")

    slow = asyncio.ensure_future(get("a"))
    await asyncio.sleep(0.01)
    with pytest.raises(ValueError, match="after the write"):
        await change("a")
    assert (await slow)["name"] == "one"
    assert (await get("a"))["name"] == "two"


async def test_another_process_of_the_machine_sees_a_write_at_once(
    cache: ModuleType, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, _ = flow_of(cache, source)
    _, change = flow_of(load("other_process"), source)
    for key in "ab":
        assert (await get(key))["name"] == "one"
    await change("a", {"name": "two"})
    assert [(await get(key))["name"] for key in "ab"] == ["two", "one"], "b was not written, and is kept"
    assert "two" not in (tmp_path / "writes").read_text()
    monkeypatch.setattr(sys.modules["other_process"], "MOST_WRITES_BYTES", 0)
    await change("c", {"name": "two"})
    assert [(await get(key))["name"] for key in "ab"] == ["two", "two"], "the file began anew: nothing is sure"


async def test_without_the_file_a_write_elsewhere_is_seen_after_its_time(
    cache: ModuleType, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWER_CACHE_PATH", "0")
    monkeypatch.setenv("CACHE_L1_TTL_S", "0.05")
    get, _ = flow_of(cache, source)
    _, change = flow_of(load("other_process"), source)
    await get("a")
    await change("a", {"name": "two"})
    assert (await get("a"))["name"] == "one"
    await asyncio.sleep(0.06)
    assert (await get("a"))["name"] == "two"
    assert not list(tmp_path.iterdir())


async def test_another_database_has_other_answers(
    cache: ModuleType, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    @cache.cached("flow", ttl_s=60)
    async def get() -> dict[str, Any]:
        return await source.read()

    monkeypatch.setenv("DATABASE_URL", "sqlite:///one.db")
    await get()
    monkeypatch.setenv("DATABASE_URL", "sqlite:///two.db")
    source.value = {"name": "two"}
    assert (await get())["name"] == "two"


def test_each_event_loop_begins_with_nothing(cache: ModuleType, source: Source) -> None:
    @cache.cached("flow", ttl_s=60)
    async def get() -> dict[str, Any]:
        return await source.read()

    asyncio.run(get())
    source.value = {"name": "two"}
    assert asyncio.run(get())["name"] == "two"


async def test_methods_are_told_apart_by_what_they_use_of_their_object(cache: ModuleType, source: Source) -> None:
    class Crm:
        def __init__(self, tenant: str) -> None:
            self.tenant = tenant

        @cache.cached("pipelines", ttl_s=60, by=("tenant",))
        async def pipelines(self) -> dict[str, Any]:
            return {"of": self.tenant, **await source.read()}

    assert (await Crm("a").pipelines())["of"] == "a"
    assert (await Crm("b").pipelines())["of"] == "b"
    assert (await Crm("a").pipelines())["of"] == "a"
    assert source.asked == 2


class Rate(pydantic.BaseModel):
    name: str
    value: float


@dataclasses.dataclass(frozen=True)
class Plan:
    name: str
    price: float


@dataclasses.dataclass
class Nested:
    plan: Plan


async def test_models_and_dataclasses_come_back_as_what_they_were(cache: ModuleType, source: Source) -> None:
    @cache.cached("rate", ttl_s=60)
    async def rate() -> Rate | None:
        return await source.read()

    @cache.cached("plan", ttl_s=60)
    async def plan() -> list[Plan]:
        return await source.read()

    @cache.cached("other", ttl_s=60)
    async def other() -> Plan:
        return await source.read()

    source.value = Rate(name="eu", value=0.2)
    assert await rate() == await rate() == source.value
    assert await rate() is not source.value
    source.value = [Plan("a", 1.5)]
    assert await plan() == await plan() == source.value
    assert source.asked == 2
    source.value = Nested(Plan("a", 1.0))  # not what the annotation says
    assert await other() is await other()
    assert source.asked == 4


def test_dataclasses_without_pydantic(cache: ModuleType, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pydantic")

    @cache.cached("plan", ttl_s=60)
    def plan() -> Plan | None:
        return source.read_now()

    @cache.cached("nested", ttl_s=60)
    def nested() -> Nested:
        return source.read_now()

    source.value = Plan("a", 1.5)
    assert plan() == plan() == source.value
    assert source.asked == 1
    source.value = Nested(Plan("a", 1.0))
    assert nested() is nested(), "one that would come back another is asked for again"


def test_code_that_is_not_async(cache: ModuleType, source: Source) -> None:
    source.wait_s = 0.05
    answers: list[Any] = []

    @cache.cached("flow", ttl_s=60)
    def get(flow_id: str) -> dict[str, Any]:
        return source.read_now()

    @cache.invalidates("flow", "flow_id")
    def change(flow_id: str) -> None:
        source.value = {"name": "two"}

    threads = [threading.Thread(target=lambda: answers.append(get("a"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.asked == 1
    assert answers == [source.value] * 20
    change("a")
    assert get("a")["name"] == "two"
    source.error = RuntimeError("down")
    with pytest.raises(RuntimeError):
        get("b")


def test_a_flask_application_has_answers_of_its_own(cache: ModuleType, source: Source) -> None:
    flask = pytest.importorskip("flask")

    @cache.cached("flow", ttl_s=60)
    def get() -> dict[str, Any]:
        return source.read_now()

    first, second = flask.Flask("one"), flask.Flask("two")
    for app in (first, first, second):
        with app.app_context():
            get()
    assert source.asked == 2

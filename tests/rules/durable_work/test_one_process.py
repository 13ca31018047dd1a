"""The generated module durable_work in one process: the answer comes first, nothing is lost, reordered or left."""

from __future__ import annotations

import ast
import asyncio
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from swarm.rules.answering.durably import module_text
from tests.rules.durable_work.jobs import app_of, command, load, rows, served, until


async def test_the_answer_comes_first_and_nothing_is_left_behind(folder: Path) -> None:
    module, jobs = load(), load("jobs")
    async with served(app_of(module, lambda data: module.submit(jobs.work, data))) as client:
        answer = await client.post("/", json={"id": "c1", "n": 1, "pause_s": 0.2})
        assert answer.status_code == 200
        assert "end c1 1" not in jobs.seen
        assert [row[:2] for row in rows(folder)] == [("waiting", "jobs:work")]
        await until(lambda: module.WORK.done == 1)
    assert jobs.seen == ["begin c1 1", "end c1 1"]
    assert rows(folder) == []
    assert (folder / "state" / "durable_work.db").stat().st_mode & 0o077 == 0
    assert "durable_work_done_total 1" in module.prometheus_lines()


async def test_one_subject_keeps_its_order_and_others_do_not_wait(folder: Path) -> None:
    module, jobs = load(), load("jobs")
    async with served(app_of(module, lambda data: module.submit(jobs.work, data))) as client:
        for number in (1, 2, 3):
            held = {"after": "begin o2 4"} if number == 2 else {}  # on a slow machine too
            await client.post("/", json={"id": "c1", "locationId": "l1", "n": number, **held})
        await client.post("/", json={"contactId": "c2", "id": "o2", "locationId": "l1", "n": 4})
        await until(lambda: module.WORK.done == 4)
    of_one = [line for line in jobs.seen if " c1 " in line]
    assert of_one == [f"{word} c1 {n}" for n in (1, 2, 3) for word in ("begin", "end")]
    assert jobs.seen.index("begin o2 4") < jobs.seen.index("end c1 2")


async def test_work_that_fails_is_kept_and_can_be_replayed(folder: Path) -> None:
    module, jobs = load(), load("jobs")
    async with served(app_of(module, lambda data: module.submit(jobs.work, data))) as client:
        assert (await client.post("/", json={"id": "c1", "n": 1, "fails": True})).status_code == 200
        await until(lambda: module.WORK.failed == 1)
        assert rows(folder) == [("failed", "jobs:work", "ValueError: no room for c1")]
        listed = await asyncio.to_thread(command, folder, "list")
        assert "jobs:work\t1 attempts\tValueError: no room for c1" in listed
        await client.post("/", json={"id": "c1", "n": 2})  # the next one of the subject is not held up
        await until(lambda: "end c1 2" in jobs.seen)
        await asyncio.to_thread(command, folder, "replay")
        await until(lambda: jobs.seen.count("begin c1 1") == 2)


async def test_failed_work_goes_with_the_person_it_is_about(folder: Path) -> None:
    module, jobs = load(), load("jobs")
    async with served(
        app_of(module, lambda data: module.submit(jobs.work, data) if data else asyncio.sleep(0))
    ) as client:
        for who in ("c1", "c2"):
            await client.post("/hook", json={"id": who, "n": 1, "fails": True, "email": f"{who}@example.org"})
        await until(lambda: module.WORK.failed == 2)
        await client.request("DELETE", "/orders/c2", json={})  # no person
        await client.request("DELETE", "/contacts/c1", json={})
        await until(lambda: len(rows(folder)) == 1)
        assert rows(folder)[0][2] == "ValueError: no room for c2"
        files = sorted((folder / "state").glob("durable_work.db*"))
        await until(lambda: not any(b"c1@example.org" in file.read_bytes() for file in files if file.exists()))


async def test_work_that_waits_does_not_bring_an_erased_person_back(folder: Path) -> None:
    module, jobs = load(), load("jobs")
    async with served(
        app_of(module, lambda data: module.submit(jobs.work, data) if data else asyncio.sleep(0))
    ) as client:
        await client.post("/hook", json={"id": "c1", "n": 1, "pause_s": 0.3, "fails": True})
        await client.post("/hook", json={"id": "c1", "n": 2})
        await client.request("DELETE", "/contacts/c1", json={})
        await client.post("/hook", json={"id": "c1", "n": 3})
        await until(lambda: "end c1 3" in jobs.seen)
        await until(lambda: rows(folder) == [])
    assert jobs.seen == ["begin c1 1", "begin c1 3", "end c1 3"]


async def test_failed_work_is_kept_for_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, jobs = load(), load("jobs")
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    async with served(app_of(module, lambda data: module.submit(jobs.work, data))) as client:
        for who in ("c1", "c2"):
            await client.post("/", json={"id": who, "n": 1, "fails": True})
        await until(lambda: module.WORK.failed == 2)
        with closing(sqlite3.connect(folder / "state" / "durable_work.db")) as connection, connection:
            connection.execute("UPDATE jobs SET received_at = received_at - 31 * 86400 WHERE number = 1")
        await until(lambda: module.WORK.failed == 1)
    assert [row[2] for row in rows(folder)] == ["ValueError: no room for c2"]


async def test_a_replayed_job_does_not_overlap_one_that_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, jobs = load(), load("jobs")
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    async with served(app_of(module, lambda data: module.submit(jobs.work, data))) as client:
        await client.post("/", json={"id": "c1", "n": 1, "fails": True})
        await until(lambda: module.WORK.failed == 1)
        await client.post("/", json={"id": "c1", "n": 2, "pause_s": 0.6})
        await asyncio.to_thread(command, folder, "replay")
        await client.post("/", json={"id": "c1", "n": 3})
        await until(lambda: "end c1 3" in jobs.seen)
    assert jobs.seen == ["begin c1 1", "begin c1 2", "end c1 2", "begin c1 1", "begin c1 3", "end c1 3"]


async def test_a_full_queue_is_answered_429_whatever_the_handler_says(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("DURABLE_WORK_MAX_PENDING", "2")
    module, jobs = load(), load("jobs")
    async with served(app_of(module, lambda data: module.submit(jobs.work, data))) as client:
        answers = [await client.post("/", json={"id": f"c{n}", "n": n, "pause_s": 0.3}) for n in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[2].headers["retry-after"]) > 0
        assert answers[2].content == b""
        await until(lambda: module.WORK.done == 2)
        assert (await client.post("/", json={"id": "c9", "n": 9})).status_code == 200


@pytest.mark.parametrize("how", ["no server", "turned off", "not plain", "no file"])
async def test_where_it_cannot_be_kept_the_work_comes_before_the_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "turned off":
        monkeypatch.setenv("DURABLE_WORK", "0")
    if how == "no file":
        monkeypatch.setenv("DURABLE_WORK_PATH", "/dev/null/durable_work.db")
    module, jobs = load(), load("jobs")
    extra = {"tags": ("a", "b")} if how == "not plain" else {}
    app = app_of(module, lambda data: module.submit(jobs.work, {**data, **extra}))
    if how == "no server":
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
            await client.post("/", json={"id": "c1", "n": 1})
            assert jobs.seen == ["begin c1 1", "end c1 1"]
            failed = await client.post("/", json={"id": "c2", "n": 2, "fails": True})
            assert failed.status_code == 500
        return
    async with served(app) as client:
        await client.post("/", json={"id": "c1", "n": 1})
        assert jobs.seen == ["begin c1 1", "end c1 1"]


async def test_a_stop_waits_for_the_work(folder: Path) -> None:
    module, jobs = load(), load("jobs")
    async with served(app_of(module, lambda data: module.submit(jobs.work, data))) as client:
        for number in range(4):
            await client.post("/", json={"id": "c1", "n": number, "pause_s": 0.1})
    assert "end c1 3" in jobs.seen
    assert rows(folder) == []


async def test_models_context_threads_and_wrapped_coroutines(folder: Path) -> None:
    module, jobs = load(), load("jobs")

    async def work(data: dict[str, Any]) -> None:
        jobs.request_id.set(f"r{data['n']}")
        jobs.loop = asyncio.get_running_loop()
        await module.submit(jobs.order, jobs.Order(id=data["id"], count=data["n"]))
        await module.submit(jobs.plain, data, "x")
        await module.submit(jobs.wrapped, data)
        await asyncio.to_thread(module.submit_sync, jobs.plain, data, "sync")

    async with served(app_of(module, work)) as client:
        assert (await client.post("/", json={"id": "c7", "n": 7})).status_code == 200
        await until(lambda: module.WORK.done == 4)
    assert jobs.seen == ["Order c7 7 r7", "plain c7 x", "awaited c7 True", "plain c7 sync"]


@pytest.mark.parametrize(
    ("arguments", "subjects"),
    [
        ([{"id": "c1", "locationId": "l1", "webhookId": "w1"}], ("c1",)),
        ([{"contactId": "c1", "id": "o1", "pipelineId": "p1"}], ("o1", "c1")),
        ([{"type": "x", "appointment": {"id": "a1", "contactId": "c1", "calendarId": "k"}}], ("c1", "a1")),
        ([{"user": {"id": "u1"}, "order_id": 7}], ("7",)),
        ([{"customFields": [{"id": "f1"}], "email": "a@b.example", "name": "Ada"}], ("a@b.example",)),
        ([{"name": "Ada"}], ("all",)),
        (["c1", {"count": 2}], ("c1",)),
        ([{"__model__": "m:Order", "fields": {"id": "c1"}}], ("c1",)),
    ],
)
def test_subjects(folder: Path, arguments: list[Any], subjects: tuple[str, ...]) -> None:
    assert sorted(load().subjects_of(arguments)) == sorted(subjects)


def test_subjects_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_WORK_ORDER_KEYS", "email, order")
    assert load().subjects_of([{"id": "c1", "order": "A", "email": "x"}]) == ("x", "A")


@pytest.mark.parametrize("is_wsgi", [False, True])
def test_it_reads_on_python_3_9(is_wsgi: bool) -> None:
    tree = ast.parse(module_text(is_wsgi), feature_version=(3, 9))
    assert "DurableWork" in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def test_submitting_is_quick(folder: Path) -> None:
    """Under 3 ms on an idle machine; here only that it is no tenth of a second."""
    module, jobs = load(), load("jobs")

    async def submit() -> float:
        module.WORK.start(asyncio.get_running_loop())
        began_s = time.perf_counter()
        for number in range(20):
            await module.submit(jobs.work, {"id": f"c{number}", "n": number, "pause_s": 0})
        took_s = (time.perf_counter() - began_s) / 20
        await until(lambda: not module.WORK.pending)
        module.WORK.stop()
        return took_s

    assert asyncio.run(submit()) < 0.1
    assert len(jobs.seen) == 2 * 20


@pytest.mark.parametrize(
    "name", ["os:system", "jobs:os.system", "antigravity:fly", "json:loads", "httpx:get", "jobs:nothing", "jobs"]
)
def test_a_row_or_a_sender_names_nothing_that_the_application_does_not_define(folder: Path, name: str) -> None:
    module, jobs = load(), load("jobs")
    assert module.function_named("jobs:work") is jobs.work
    loaded = set(sys.modules)
    with pytest.raises((LookupError, AttributeError)):
        module.function_named(name)
    assert module.written(jobs.work, ({"__model__": name, "fields": {}},)) is None
    assert set(sys.modules) == loaded

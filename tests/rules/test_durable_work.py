"""The module that work-before-answer adds, run for real: nothing is lost, reordered or left behind."""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from swarm.rules.durably import module_text

JOBS = """\
import asyncio
import contextvars
import os
import time

from pydantic import BaseModel

request_id = contextvars.ContextVar("request_id", default="-")
seen = []


class Order(BaseModel):
    id: str
    count: int


def note(*words):
    seen.append(" ".join(map(str, words)))
    with open(os.environ["SEEN"], "a") as file:
        file.write(seen[-1] + "\\n")


async def work(data):
    note("begin", data["id"], data["n"])
    while data.get("after", seen[0]) not in seen:
        await asyncio.sleep(0.01)
    await asyncio.sleep(data.get("pause_s", 0.03))
    if data.get("fails"):
        raise ValueError("no room for " + data["id"])
    note("end", data["id"], data["n"])


async def order(model):
    note(type(model).__name__, model.id, model.count, request_id.get())


def plain(data, kind):
    time.sleep(0.05)
    note("plain", data["id"], kind)


async def coroutine_behind_a_function(data):
    note("awaited", data["id"], asyncio.get_running_loop() is loop)


def wrapped(data):
    return coroutine_behind_a_function(data)
"""
SCRIPT = """\
import asyncio
import os
import signal
import sys

import durable_work
import jobs


async def main(action, *numbers):
    durable_work.WORK.start(asyncio.get_running_loop())
    for number in numbers:
        await durable_work.submit(jobs.work, {"id": "c1", "n": int(number), "pause_s": 0.15})
    print("stored", flush=True)
    if action == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    while durable_work.WORK.pending or action == "stay":
        await asyncio.sleep(0.01)
    durable_work.WORK.stop()


asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the module and some work, importable, and its own state."""
    (tmp_path / "durable_work.py").write_text(module_text(is_wsgi=False), encoding="utf-8")
    (tmp_path / "durable_work_wsgi.py").write_text(module_text(is_wsgi=True), encoding="utf-8")
    (tmp_path / "jobs.py").write_text(JOBS, encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen.txt"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("durable_work", "durable_work_wsgi", "jobs"):
        sys.modules.pop(name, None)


def load(name: str = "durable_work") -> Any:
    return importlib.import_module(name)


def rows(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "state" / "durable_work.db")) as connection:
        return connection.execute("SELECT state, function, error FROM jobs ORDER BY number").fetchall()


async def until(condition: Callable[[], object], limit_s: float = 8.0) -> None:
    ends_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < ends_s, "it did not come"
        await asyncio.sleep(0.01)


def command(folder: Path, word: str) -> str:
    argv = [sys.executable, "durable_work.py", word]
    return subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True).stdout


def app_of(module: Any, work: Callable[[Any], Any]) -> Any:
    """An application that submits, answers 200, and hides every failure behind a 500."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = (await receive())["body"]
        status = 200
        try:
            await work(json.loads(body))
        except Exception:  # noqa: BLE001 - as careless handlers do
            status = 500
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"answered"})

    return module.DurableWork(app)


@asynccontextmanager
async def served(app: Any, **scope: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The application as a server runs it."""
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}, **scope}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
        yield client
    await inbox.put({"type": "lifespan.shutdown"})
    await life


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


def script(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "script.py", *words], cwd=folder, stdout=subprocess.PIPE, text=True)


def seen(folder: Path) -> list[str]:
    file = folder / "seen.txt"
    return file.read_text().splitlines() if file.exists() else []


def test_a_killed_process_loses_nothing(folder: Path) -> None:
    first = script(folder, "die", "1", "2", "3")
    assert first.wait(timeout=20) == -signal.SIGKILL
    assert "end c1 2" not in seen(folder)
    assert [row[0] for row in rows(folder)] == ["waiting"] * 3
    assert script(folder, "finish", "4").wait(timeout=20) == 0
    assert [line for line in seen(folder) if line.startswith("end")] == [f"end c1 {n}" for n in (1, 2, 3, 4)]
    assert rows(folder) == []


def test_processes_leave_each_other_s_jobs_alone_and_keep_the_order(folder: Path) -> None:
    first = script(folder, "stay", "1", "2", "3", "4")
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "stored\n"
        assert script(folder, "finish", "5").wait(timeout=20) == 0
    finally:
        first.kill()
        first.wait()
    assert seen(folder) == [f"{word} c1 {n}" for n in (1, 2, 3, 4, 5) for word in ("begin", "end")]


def test_what_crashes_its_process_again_and_again_is_put_aside(folder: Path) -> None:
    script(folder, "die", "1").wait(timeout=20)
    with closing(sqlite3.connect(folder / "state" / "durable_work.db")) as connection, connection:
        connection.execute("UPDATE jobs SET crashes = 5")
    assert script(folder, "finish").wait(timeout=20) == 0
    deadline = time.monotonic() + 5
    while [row[0] for row in rows(folder)] != ["failed"] and time.monotonic() < deadline:
        script(folder, "finish", "2").wait(timeout=20)
    assert [row[0] for row in rows(folder)] == ["failed"]


def test_flask_works_in_threads_where_a_server_runs_it(folder: Path) -> None:
    flask = pytest.importorskip("flask")
    module, jobs = load("durable_work_wsgi"), load("jobs")
    app = flask.Flask("desk")

    @app.post("/")
    def hook() -> Any:
        module.submit_sync(jobs.plain, flask.request.get_json(), "x")
        if module.WORK.journal is not None:
            module.submit_sync(jobs.wrapped, flask.request.get_json())
        return {"seen": len(jobs.seen)}

    jobs.loop = None
    app.wsgi_app = module.DurableWork(app.wsgi_app)
    client = app.test_client()
    assert client.post("/", json={"id": "c1"}).get_json() == {"seen": 1}
    client = app.test_client()
    client.environ_base["SERVER_SOFTWARE"] = "a server/1.0"
    try:
        assert client.post("/", json={"id": "c2"}).get_json() == {"seen": 1}
        asyncio.run(until(lambda: module.WORK.done == 2))
        assert jobs.seen[1:] == ["plain c2 x", "awaited c2 False"]
        module.MAX_PENDING = 1
        client.post("/", json={"id": "c3"})
        module.WORK.pending += 5
        full = client.post("/", json={"id": "c4"})
        assert full.status_code == 429
        assert full.headers["Retry-After"]
    finally:
        module.WORK.stop()


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
    ast.parse(module_text(is_wsgi), feature_version=(3, 9))


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

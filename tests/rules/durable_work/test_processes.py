"""The generated module durable_work in processes that are killed, share its file, or serve Flask."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.rules.durable_work.jobs import load, rows, script, seen, until


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

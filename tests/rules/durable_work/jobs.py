"""The generated module durable_work with some work to do, importable from a folder with its own state."""

from __future__ import annotations

import asyncio
import importlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx

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


def script(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "script.py", *words], cwd=folder, stdout=subprocess.PIPE, text=True)


def seen(folder: Path) -> list[str]:
    file = folder / "seen.txt"
    return file.read_text().splitlines() if file.exists() else []

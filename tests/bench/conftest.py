"""Small services that bench's tests measure, started as real processes with the tracer inside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# What swarm.target.inject.sitecustomize does, in short: these tests are about the files, not about their loading.
LOADER = """
import os
for path in os.environ.get("SWARM_INJECT", "").split(os.pathsep):
    if path:
        with open(path) as file:
            exec(compile(file.read(), path, "exec"), {"__name__": "injected", "__file__": path})
"""

FASTAPI_APP = """
import asyncio, os, queue, sqlite3, threading, time, sys
from concurrent.futures import ThreadPoolExecutor
import httpx
from fastapi import FastAPI, Request

app = FastAPI()
STUB = os.environ["STUB"]
db = sqlite3.connect(":memory:", check_same_thread=False)
db.execute("CREATE TABLE lines (id INTEGER, sku TEXT)")
db.executemany("INSERT INTO lines VALUES (?, ?)", [(n, "a") for n in range(20)])
db.commit()
pool = ThreadPoolExecutor(2)

def rows_one_by_one():
    found = []
    for n in range(10):
        query = "SELECT sku FROM lines WHERE id = 7 AND sku = 'Ada Lovelace' OR id = ?"
        found.append(db.execute(query, (n,)).fetchone())  # N+1
    return found

@app.post("/hook")
async def hook(request: Request):
    await request.json()
    rows_one_by_one()
    async with httpx.AsyncClient() as client:  # BUILD
        private = STUB + "/slow/77?email=ada@example.com"
        await asyncio.gather(client.get(private), client.get(STUB + "/slow/78"))  # GATHER
        await client.get(STUB + "/slow/79")  # SINGLE
    await asyncio.sleep(0.03)  # NAP
    return {"ok": True}

@app.post("/blocking")
async def blocking():
    time.sleep(0.03)  # SLEEP
    burn()
    return {}

def burn():
    end = time.perf_counter() + 0.12
    while time.perf_counter() < end:
        sum(range(2000))  # BURN

@app.post("/threads/{number}")
def threads(number: int):
    return {"n": pool.submit(rows_one_by_one).result() is not None}  # SUBMIT

@app.post("/event")
async def event():
    gate = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, gate.set)
    await gate.wait()  # GATE
    return {}

jobs = queue.SimpleQueue()

def work():
    while True:
        number = jobs.get()
        time.sleep(0.03)
        db.execute("SELECT sku FROM lines WHERE id = ?", (number,)).fetchone()  # BEHIND-SQL
        httpx.get(STUB + "/slow/84", trust_env=False)  # BEHIND-CALL

threading.Thread(target=work, daemon=True).start()

@app.post("/queued")
async def queued():
    jobs.put(7)
    return {}

@app.post("/raises")
async def raises():
    raise ValueError("boom")

@app.get("/slow/{n}")
async def slow(n: int):
    await asyncio.sleep(0.05)
    return {"n": n}

@app.post("/others")
async def others():
    import aiohttp, aiosqlite, urllib.request
    async with aiosqlite.connect(":memory:") as conn:
        await conn.execute("CREATE TABLE t (name TEXT)")
        await conn.execute("INSERT INTO t VALUES ('Grace Hopper')")  # ASYNC-SQL
        await conn.commit()  # ASYNC-COMMIT
    async with aiohttp.ClientSession() as session:
        async with session.get(STUB + "/slow/81?mail=grace@example.com") as answer:  # AIOHTTP
            await answer.json()
    urllib.request.urlopen(STUB + "/slow/82").read()  # URLLIB
    return {"t": await asyncio.to_thread(httpx.get, STUB + "/slow/83") is not None}  # TO-THREAD

orm = []

@app.post("/orm")
async def mapped():
    from sqlalchemy import create_engine, text
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
    if not orm:
        orm.extend([create_async_engine("sqlite+aiosqlite://"), create_engine("sqlite://")])
    async with AsyncSession(orm[0]) as session:
        await session.execute(text("CREATE TABLE IF NOT EXISTS t (name TEXT)"))
        await session.execute(text("INSERT INTO t VALUES ('Ada Lovelace')"))  # ORM-ASYNC
        await session.commit()  # ORM-COMMIT
    with orm[1].connect() as connection:
        return {"n": connection.execute(text("SELECT 1 WHERE 'x' <> 'Ada'")).scalar()}  # ORM-SYNC

@app.post("/steady")
async def steady():
    await asyncio.sleep(0.05)
    db.execute("SELECT 1").fetchone()
    await asyncio.sleep(0.05)
    return {}
"""

FLASK_APP = """
import os, sqlite3, subprocess, sys
import requests
from flask import Flask

app = Flask(__name__)
STUB = os.environ["STUB"]

class Own(sqlite3.Connection):
    def answer(self):
        return 42

def connection():
    conn = sqlite3.connect(os.environ["DB"], factory=Own)
    conn.row_factory = sqlite3.Row
    return conn

@app.post("/orders/<int:number>/events")
def events(number):
    conn = connection()
    assert conn.answer() == 42
    conn.execute("CREATE TABLE IF NOT EXISTS e (n INTEGER)")
    conn.execute("INSERT INTO e VALUES (?)", (number,))
    conn.commit()  # COMMIT
    names = [row["n"] for row in conn.execute("SELECT n FROM e")]
    requests.get(STUB + "/slow/1", params={"mail": "ada@example.com"})  # CALL
    requests.get(STUB + "/slow/2")  # CALL2
    subprocess.run([sys.executable, "-c", "pass"])  # PROGRAM
    return {"seen": len(names)}

@app.post("/fails")
def fails():
    raise KeyError("boom")

if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))  # STARTS
"""


@dataclass
class Service:
    """A started service."""

    base_url: str
    root: Path
    trace_file: Path
    pid: int
    source: str

    def line(self, marker: str) -> int:
        """The line that carries `# MARKER`."""
        return next(n for n, text in enumerate(self.source.splitlines(), 1) if text.endswith(f"# {marker}"))

    def rss_bytes(self) -> int:
        text = Path(f"/proc/{self.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self) -> float:
        parts = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Starter:
    """Starts services in a folder and ends what it started."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self, kind: str, *, inject: Sequence[Path] = (), env: dict[str, str] | None = None, stub: str = "",
        name: str = "app", source: str = "",
    ) -> Service:  # fmt: skip
        root = self.folder / name
        root.mkdir(exist_ok=True)
        source = textwrap.dedent(source or (FASTAPI_APP if kind == "fastapi" else FLASK_APP))
        module = f"{kind}_service"
        (root / f"{module}.py").write_text(source)
        loader = self.folder / "loader"
        loader.mkdir(exist_ok=True)
        (loader / "sitecustomize.py").write_text(LOADER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        trace_file = self.folder / f"{name}.trace"
        if kind == "fastapi":
            argv = [sys.executable, "-m", "uvicorn", f"{module}:app", "--port", str(port), "--no-access-log"]
        else:
            argv = [sys.executable, "-m", module, str(port)]
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join((str(loader), str(root))),
            "STUB": stub or f"http://127.0.0.1:{port}", "DB": str(self.folder / f"{name}.db"), "NO_PROXY": "*",
            "SWARM_INJECT": os.pathsep.join(str(path) for path in inject),
            "SWARM_TRACE_FILE": str(trace_file), "SWARM_TARGET_ROOT": str(root), **(env or {}),
        }  # fmt: skip
        log = (self.folder / f"{name}.log").open("wb")
        process = subprocess.Popen(argv, cwd=root, env=environment, stdout=log, stderr=log)
        log.close()
        self.started.append(process)
        _wait_for(port, process, self.folder / f"{name}.log")
        return Service(f"http://127.0.0.1:{port}", root, trace_file, process.pid, source)

    def stop(self) -> None:
        for process in self.started:
            process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"not up: {log.read_text()}")


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    own = Starter(tmp_path_factory.mktemp("services"))
    yield own
    own.stop()

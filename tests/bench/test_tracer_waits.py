"""The tracer inside services that use files, programs, threads, pools, redis and http.client: each wait once."""

from __future__ import annotations

import contextlib
import socket
import time

import httpx
import pytest

from swarm.bench.waterfall import TRACER_FILES, read_trace
from swarm.core.report import Waterfall, WaterfallSpan
from tests.bench.conftest import Service, Starter

pytestmark = pytest.mark.alone  # a wait of a moment is told only where nobody else is at work

APP = """
import asyncio, contextlib, functools, http.client, os, sqlite3, subprocess, sys, time, urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import anyio, httpx
from fastapi import FastAPI

STUB = os.environ["STUB"]
FOLDER = Path(os.environ["DB"]).parent
shared = {}
one_thread = ThreadPoolExecutor(1)


async def answer_redis(reader, writer):
    with contextlib.suppress(Exception):
        while line := await reader.readline():
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                word = await reader.readexactly(size + 2)
            await asyncio.sleep(0.02)
            writer.write(b"+OK\\r\\n")


@contextlib.asynccontextmanager
async def lifespan(app):
    server = await asyncio.start_server(answer_redis, "127.0.0.1", 0)
    shared["redis"] = server.sockets[0].getsockname()[1]
    limits = httpx.Limits(max_connections=1)
    shared["client"] = httpx.AsyncClient(limits=limits, trust_env=False)
    yield
    server.close()


app = FastAPI(lifespan=lifespan)


@app.post("/files")
async def files():
    text = "x" * 3_000_000
    path = FOLDER / "big.txt"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)  # WRITE
        file.flush()
        os.fsync(file.fileno())  # FSYNC
    assert path.read_text(encoding="utf-8") == text  # READ
    with open(path, "rb") as file:
        data = file.read()  # READ-BYTES
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file]
    assert len(data) == len(text) and lines == [text]
    with open(path, "r+b") as file:
        file.seek(5)
        file.write(b"yy")
    with open(path, "ab", buffering=0) as file:
        file.write(b"z")
    assert path.read_bytes()[4:8] == b"xyyx" and path.stat().st_size == 3_000_001
    for wrong, mode in ((FOLDER / "none", "r"), (path, "x"), (path, "zz")):
        try:
            open(wrong, mode)
        except (OSError, ValueError):
            continue
        raise AssertionError(mode)
    return {}


@app.post("/programs")
async def programs():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "pass")
    await process.wait()  # ASYNC-WAIT
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.05)"])
    child.communicate()  # COMMUNICATE
    return {}


def crunch():
    end = time.perf_counter() + 0.04
    while time.perf_counter() < end:
        sum(range(500))


@app.post("/hops")
async def hops():
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, crunch)  # EXECUTOR
    await asyncio.to_thread(crunch)  # TO-THREAD
    await anyio.to_thread.run_sync(crunch)  # ANYIO
    jobs = [loop.run_in_executor(one_thread, crunch) for _ in range(2)]  # QUEUED
    await asyncio.gather(*jobs)
    return {}


@app.post("/plain")
def plain():
    crunch()
    return {}


@app.post("/redis")
async def ask_redis():
    import redis, redis.asyncio
    there = redis.asyncio.Redis(port=shared["redis"], protocol=2)
    await there.set("name:ada", "1")  # REDIS
    await there.aclose()
    await asyncio.to_thread(from_thread)
    return {}


def from_thread():
    import redis
    with redis.Redis(port=shared["redis"], protocol=2) as there:
        there.get("name:ada")  # REDIS-SYNC


@app.post("/calls")
def calls():
    import urllib.request
    url = urllib.parse.urlsplit(STUB)
    connection = http.client.HTTPConnection(url.hostname, url.port)
    connection.request("GET", "/slow/1?mail=ada@example.com")
    connection.getresponse().read()  # HTTP-CLIENT
    urllib.request.build_opener().open(STUB + "/slow/2").read()  # OPENER
    import urllib3
    urllib3.PoolManager().request("GET", STUB + "/slow/3")  # URLLIB3
    return {}


@app.post("/pool")
async def pool():
    one = functools.partial(shared["client"].get, STUB + "/slow/4")
    await asyncio.gather(one(), one())  # POOL
    return {}


def engine():
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import AsyncAdaptedQueuePool
    if "engine" not in shared:
        shared["engine"] = create_async_engine(
            "sqlite+aiosqlite:///" + str(FOLDER / "pool.db"), poolclass=AsyncAdaptedQueuePool, pool_size=1,
            max_overflow=0, pool_timeout=1.6,
        )
    return shared["engine"]


@app.post("/nested")
async def nested():
    async with engine().connect() as first:
        async with engine().connect() as second:  # NESTED
            return {"n": 1}


@app.post("/locked")
async def locked():
    path = str(FOLDER / "locked.db")
    first = sqlite3.connect(path, timeout=0.05)
    first.execute("CREATE TABLE IF NOT EXISTS t (n)")
    first.commit()
    first.execute("INSERT INTO t VALUES (1)")
    second = sqlite3.connect(path, timeout=0.05)
    try:
        second.execute("INSERT INTO t VALUES (2)")  # LOCKED
    except sqlite3.OperationalError:
        pass
    first.rollback()
    return {}


@app.post("/late")
async def late():
    time.sleep(0.2)
    return {}


@app.get("/slow/{n}")
async def slow(n: int):
    await asyncio.sleep(0.05)
    return {"n": n}
"""

FLASK_QUEUE_APP = """
import queue, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from wsgiref.simple_server import WSGIServer, make_server
from flask import Flask

app = Flask(__name__)

@app.post("/slow")
def slow():
    time.sleep(0.1)
    return {}

class Pooled(WSGIServer):
    pool = ThreadPoolExecutor(1)

    def process_request(self, request, address):
        self.pool.submit(self.handle_one, request, address)

    def handle_one(self, request, address):
        self.finish_request(request, address)
        self.shutdown_request(request)

if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), app, server_class=Pooled).serve_forever()
"""


@pytest.fixture(scope="module")
def service(starter: Starter) -> Service:
    stub = starter.start("fastapi", name="stub3")
    return starter.start("fastapi", name="waits", inject=TRACER_FILES, stub=stub.base_url, source=APP)


def ask(service: Service, path: str, status: int = 200) -> Waterfall:
    seen = len(read_trace(service.trace_file))
    answer = httpx.post(service.base_url + path, trust_env=False, timeout=20)
    assert answer.status_code == status, answer.text
    return _until(service, seen + 1)[-1]


def _until(service: Service, count: int) -> tuple[Waterfall, ...]:
    for _ in range(200):
        found = read_trace(service.trace_file)
        if len(found) >= count:
            return found
        time.sleep(0.01)
    raise AssertionError("no line in the trace")


def at_once(service: Service, path: str, requests: int) -> None:
    """Post to connections that stand already, one straight after the other: no thread has to start in between."""
    address = httpx.URL(service.base_url)
    head = f"POST {path} HTTP/1.1\r\nHost: {address.host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with contextlib.ExitStack() as connections:
        sockets = [
            connections.enter_context(socket.create_connection((address.host, address.port or 80), timeout=20))
            for _ in range(requests)
        ]
        for one in sockets:
            one.sendall(head.encode())
        for one in sockets:
            while one.recv(4096):
                pass


def at(waterfall: Waterfall, line: int, kind: str) -> list[WaterfallSpan]:
    return [span for span in waterfall.spans if span.line == line and span.kind == kind]


def test_files_stay_files_and_their_waits_are_seen(service: Service) -> None:
    waterfall = ask(service, "/files")
    (fsync,) = at(waterfall, service.line("FSYNC"), "file")
    assert (fsync.name, fsync.blocks_loop, fsync.function) == ("fsync", True, "files")
    assert at(waterfall, service.line("WRITE"), "file")[0].name == "write a file"
    assert at(waterfall, service.line("READ"), "file")[0].name == "read a file"
    assert at(waterfall, service.line("READ-BYTES"), "file")[0].name == "read a file"


def test_programs_are_timed_where_they_are_waited_for(service: Service) -> None:
    waterfall = ask(service, "/programs")
    (child,) = at(waterfall, service.line("COMMUNICATE"), "subprocess")
    assert child.duration_ms > 45 and child.blocks_loop and child.name.startswith("python")
    (waited,) = at(waterfall, service.line("ASYNC-WAIT"), "subprocess")
    assert not waited.blocks_loop and waited.name.startswith("python")


@pytest.mark.parametrize("marker", ["EXECUTOR", "TO-THREAD", "ANYIO"])
def test_work_in_threads_has_its_line_and_its_name(service: Service, marker: str) -> None:
    waterfall = ask(service, "/hops")
    (work,) = at(waterfall, service.line(marker), "thread")
    assert (work.name, work.blocks_loop) == ("crunch", False)
    assert work.duration_ms >= 38
    assert not at(waterfall, service.line(marker), "other"), "the await is explained by the thread's work"


def test_a_wait_for_a_free_thread_is_queueing(service: Service) -> None:
    waterfall = ask(service, "/hops")
    (queued,) = at(waterfall, service.line("QUEUED"), "queue")
    assert queued.name == "waits for a free thread" and queued.duration_ms > 30


def test_a_handler_of_a_thread_of_its_own_shows_its_work(service: Service) -> None:
    waterfall = ask(service, "/plain")
    (work,) = [span for span in waterfall.spans if span.kind == "thread"]
    assert (work.name, work.function, work.file) == ("work in a thread", "plain", "fastapi_service.py")


def test_redis_of_both_kinds(service: Service) -> None:
    pytest.importorskip("redis")
    waterfall = ask(service, "/redis")
    (there,) = at(waterfall, service.line("REDIS"), "redis")
    assert (there.name, there.blocks_loop) == ("SET", False) and there.duration_ms > 15
    (sync,) = at(waterfall, service.line("REDIS-SYNC"), "redis")
    assert (sync.name, sync.blocks_loop) == ("GET", False)


def test_calls_of_the_standard_library_and_urllib3_count_once(service: Service) -> None:
    waterfall = ask(service, "/calls")
    for marker in ("HTTP-CLIENT", "OPENER", "URLLIB3"):
        (call,) = at(waterfall, service.line(marker), "http")
        assert call.name.startswith("GET 127.0.0.1:") and call.duration_ms > 45
    assert "ada@" not in service.trace_file.read_text()


def test_a_wait_for_a_connection_of_the_clients_pool(service: Service) -> None:
    waterfall = ask(service, "/pool")
    (queued,) = at(waterfall, service.line("POOL"), "queue")
    assert queued.name == "waits for a connection of the HTTP client's pool" and queued.duration_ms > 30


def test_a_request_that_waits_for_its_own_connection_is_written_down_while_it_hangs(service: Service) -> None:
    pytest.importorskip("greenlet")
    waterfall = ask(service, "/nested", 500)
    (queued,) = at(waterfall, service.line("NESTED"), "queue")
    assert queued.name == "waits for a connection of SQLAlchemy's pool" and queued.duration_ms > 1500
    stuck = [line for line in service.trace_file.read_text().splitlines() if '"stuck"' in line]
    assert len(stuck) == 1 and '"held":1' in stuck[0] and "nested" in stuck[0]


def test_a_locked_database_is_told_in_the_name(service: Service) -> None:
    waterfall = ask(service, "/locked")
    (statement,) = at(waterfall, service.line("LOCKED"), "sql")
    assert statement.name == "INSERT INTO t VALUES (?) (database is locked)" and statement.duration_ms >= 45


def test_a_request_that_comes_while_the_loop_is_held_up_waits_for_its_turn(service: Service) -> None:
    seen = len(read_trace(service.trace_file))
    at_once(service, "/late", 4)
    found = _until(service, seen + 4)[seen:]
    queued = [span for one in found for span in one.spans if span.kind == "queue"]
    assert queued and max(span.duration_ms for span in queued) > 100
    assert [(s.name, s.start_ms) for s in queued] == [("waits until the service begins with it", 0)] * len(queued)


def test_a_wsgi_request_that_waits_for_a_thread_of_its_server(starter: Starter) -> None:
    service = starter.start("flask", name="pooled", inject=TRACER_FILES, source=FLASK_QUEUE_APP)
    at_once(service, "/slow", 2)
    found = _until(service, 2)
    queued = [span for one in found for span in one.spans if span.kind == "queue"]
    assert max(span.duration_ms for span in queued) > 50


def test_what_a_library_runs_in_its_own_thread_counts_once(starter: Starter, service: Service) -> None:
    ask(service, "/nested", 500)
    waterfall = read_trace(service.trace_file)[-1]
    assert not [span for span in waterfall.spans if span.behind_answer]

"""The concurrency sweep against services that have one thing each that fills up, and one that has none."""

from __future__ import annotations

import asyncio

import pytest

from swarm.bench.sweep import CENSUS_FILE, Swept, sweep
from swarm.bench.waterfall import TRACER_FILES
from swarm.config.schema import Target
from swarm.core.sweep import Resource, Sweep
from swarm.target.traffic import Traffic
from tests.bench.conftest import Service, Starter

APP = """
import asyncio, collections, functools, os, sqlite3, time
from concurrent.futures import ThreadPoolExecutor
from fastapi import FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

app = FastAPI()
PATH = os.environ["DB"]
two_threads = ThreadPoolExecutor(2)
seen = []
recent = collections.deque(maxlen=5)
bounded = {}
sync_engine = create_engine("sqlite:///" + PATH, poolclass=QueuePool, pool_size=2, max_overflow=0)
async_engine = create_async_engine(
    "sqlite+aiosqlite:///" + PATH, poolclass=AsyncAdaptedQueuePool, pool_size=2, max_overflow=0
)

class Known:
    def __init__(self):
        self.ids = {}

known = Known()

@functools.lru_cache(maxsize=None)
def kept(number):
    return number

@app.get("/health")
async def health():
    return {}

@app.post("/none")
async def none():
    await asyncio.sleep(0.05)
    return {}

@app.post("/loop")
async def loop():
    time.sleep(0.02)  # LOOP
    return {}

@app.post("/cpu")
async def cpu():
    end = time.process_time() + 0.02
    while time.process_time() < end:
        sum(range(300))  # CPU
    return {}

@app.post("/threads")
async def threads():
    await asyncio.get_running_loop().run_in_executor(two_threads, time.sleep, 0.02)  # THREADS
    return {}

@app.post("/pool")
def pool():
    with sync_engine.connect() as connection:  # POOL
        time.sleep(0.03)
    return {}

@app.post("/async-pool")
async def async_pool():
    async with async_engine.connect() as connection:  # ASYNC-POOL
        await asyncio.sleep(0.03)
    return {}

@app.post("/nested")
async def nested():
    async with async_engine.connect() as connection:
        await asyncio.sleep(0.02)
        async with async_engine.connect() as other:  # NESTED
            await asyncio.sleep(0)
    return {}

@app.post("/grows")
async def grows():
    seen.append(1)
    recent.append(1)
    known.ids[len(known.ids)] = 1
    kept(len(seen))
    if len(bounded) < 8:
        bounded[len(bounded)] = 1
    await asyncio.sleep(0.01)
    return {}
"""

FLASK = """
import os, sqlite3, sys, time
from flask import Flask

app = Flask(__name__)

@app.get("/health")
def health():
    return {}

@app.post("/writes")
def writes():
    connection = sqlite3.connect(os.environ["DB"], timeout=0.6)
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS t (n)")
        connection.execute("INSERT INTO t VALUES (1)")  # WRITES
        time.sleep(0.06)
        connection.commit()
    finally:
        connection.close()
    return {}

@app.post("/none")
def none():
    time.sleep(0.05)
    return {}

if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), threaded=True)
"""


@pytest.fixture(scope="module")
def service(starter: Starter) -> Service:
    return start(starter, "fastapi", "swept", APP)


@pytest.fixture(scope="module")
def flask_service(starter: Starter) -> Service:
    return start(starter, "flask", "swept-flask", FLASK)


def start(starter: Starter, kind: str, name: str, source: str) -> Service:
    census = starter.folder / f"{name}.census"
    return starter.start(
        kind, name=name, inject=(*TRACER_FILES, CENSUS_FILE), source=source, env={"SWARM_CENSUS_FILE": str(census)}
    )


def swept(service: Service, path: str, levels: tuple[int, ...] = (1, 4, 12)) -> Sweep:
    webhook = {"path": path, "payloads": [{"id": "{{uuid}}"}], "sign": {"scheme": "none"}}
    target = Target.model_validate({"path": ".", "start": "x --port {port}", "webhooks": [webhook]})
    census = service.trace_file.with_name(service.trace_file.stem + ".census")
    under = Swept(service.base_url, service.trace_file, census, "/health", service.cpu_s, lambda: (), {})
    return asyncio.run(sweep(under, Traffic(target, service.root, 1), levels=levels))


@pytest.mark.alone
@pytest.mark.parametrize(
    ("path", "resource", "marker"),
    [
        ("/loop", "event loop", "LOOP"),
        ("/cpu", "cpu", "CPU"),
        ("/threads", "threads", "THREADS"),
        ("/pool", "connection pool", "POOL"),
        ("/async-pool", "connection pool", "ASYNC-POOL"),
    ],
)
def test_the_resource_that_is_full_is_named_with_its_line(
    service: Service, path: str, resource: Resource, marker: str
) -> None:
    found = swept(service, path)
    assert (found.resource, found.words) == (resource, found.words)
    assert found.knee in (1, 4)
    assert abs(found.line - service.line(marker)) <= 1 and found.file == "fastapi_service.py"


@pytest.mark.alone
def test_what_scales_has_no_knee(service: Service) -> None:
    found = swept(service, "/none", (1, 4, 8))
    assert (found.knee, found.resource) == (None, None), found
    assert found.levels[-1].rps > 3 * found.levels[0].rps
    assert found.health_idle_ms is not None and found.levels[-1].health_ms is not None
    assert found.levels[-1].health_ms < 1000 and not found.hanging and not found.locked


def test_a_health_check_waits_while_handlers_hold_the_loop(service: Service) -> None:
    found = swept(service, "/loop", (1, 12))
    assert found.levels[-1].health_ms is not None and found.levels[-1].health_ms > 100


def test_requests_that_hold_one_connection_and_want_another_are_told_to_hang(service: Service) -> None:
    found = swept(service, "/nested", (1, 4))
    assert found.levels[-1].failed > 0
    (hanging,) = [one for one in found.hanging if one.held]
    assert (hanging.function, hanging.line, hanging.held) == ("nested", service.line("NESTED"), 1)


def test_containers_that_grow_with_every_event_are_named_and_bounded_ones_are_not(starter: Starter) -> None:
    service = start(starter, "fastapi", "growing", APP)
    found = swept(service, "/grows", (1, 4, 8))
    assert {one.name for one in found.growing} == {"seen", "known.ids", "kept"}
    for one in found.growing:
        (first_events, first), (last_events, last) = one.sizes[0], one.sizes[-1]
        assert 0.8 < (last - first) / (last_events - first_events) < 1.2  # one entry an event
        assert one.file == "fastapi_service.py"


@pytest.mark.alone
def test_writers_that_lock_each_other_out_of_sqlite(flask_service: Service) -> None:
    found = swept(flask_service, "/writes", (1, 4, 16))
    assert found.resource == "database", found
    assert found.file == "flask_service.py"
    assert found.locked and found.locked[0][0] == "flask_service.py"


@pytest.mark.alone
def test_a_sync_service_that_scales_has_no_knee(flask_service: Service) -> None:
    found = swept(flask_service, "/none", (1, 4, 8))
    assert (found.knee, found.resource) == (None, None), found

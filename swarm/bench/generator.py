"""The load generator, a process of its own: open loop at a fixed rate, latency from the due time.

`python -m swarm.bench.generator` reads commands as JSON lines on stdin and answers each with one JSON line:

    {"base_url", "target": {…}, "payload_root", "rate", "seconds", "seed", "first_number", "timeout_s", "numbers"}
    → {"samples": [[due_s, latency_ms, status, error], …], "behind_ms", "worst_behind_ms", "on_schedule"}

It lives through many runs, so that slices don't pay for its start, and ends with its stdin: it cannot outlive
the swarm that started it. While one run goes on it neither logs nor collects garbage.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarm.bench.statistics import percentile
from swarm.config.schema import Target
from swarm.target.traffic import Traffic
from swarm.target.wire import Client, WireError

LATE_MS = 5.0  # a send is late when it is this much behind its due time
HOPELESS_MS = 50.0  # one send that is this late makes the run invalid
LATE_SHARE = 0.01  # so does a larger share of late ones, though one is always forgiven


@dataclass(frozen=True, slots=True)
class Order:
    """One run of load."""

    base_url: str
    target: dict[str, Any]
    payload_root: str
    rate: float
    seconds: float
    seed: int
    first_number: int = 0
    timeout_s: float = 10.0
    numbers: tuple[int, ...] | None = None  # which requests to send, in place of a run of numbers


@dataclass(slots=True)
class _Tally:
    """What came back, by order of due time."""

    samples: list[tuple[float, float, int, str]] = field(default_factory=list)
    lags_ms: list[float] = field(default_factory=list)


async def offer(order: Order) -> dict[str, Any]:
    """Send one run's requests at their due times and wait for the last answer (or its timeout)."""
    traffic = Traffic(Target.model_validate(order.target), Path(order.payload_root), order.seed)
    client, loop, tally = Client(order.base_url), asyncio.get_running_loop(), _Tally()
    total = max(1, round(order.rate * order.seconds))
    numbers = order.numbers or range(order.first_number, order.first_number + total)
    tasks: set[asyncio.Task[None]] = set()
    begin_s = loop.time() + 0.05
    wall_s = time.time() + 0.05

    async def one(due_s: float, method: str, message: bytes) -> None:
        tally.lags_ms.append((loop.time() - begin_s - due_s) * 1000.0)
        status, error = 0, ""
        try:
            status = (await client.send(method, message, order.timeout_s)).status
        except WireError as failure:
            error = str(failure)
        latency_ms = (loop.time() - begin_s - due_s) * 1000.0
        tally.samples.append((round(due_s, 6), round(latency_ms, 3), status, error))

    for place, number in enumerate(numbers):
        due_s = place / order.rate
        # built ahead of its due time: signing must not make the send late
        request = traffic.request(number, wall_s + due_s)
        message = client.encode(request.method, request.path, request.headers, request.body)
        wait_s = begin_s + due_s - loop.time()
        await asyncio.sleep(max(0.0, wait_s))
        task = asyncio.create_task(one(due_s, request.method, message))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    while tasks:
        await asyncio.wait(set(tasks))
    client.close()
    return _answer(tally)


def _answer(tally: _Tally) -> dict[str, Any]:
    lags = sorted(tally.lags_ms)
    late = sum(lag > LATE_MS for lag in lags)
    return {
        "samples": sorted(tally.samples),
        "behind_ms": round(percentile(lags, 99), 3),
        "worst_behind_ms": round(lags[-1], 3),
        "on_schedule": late <= max(1, int(len(lags) * LATE_SHARE)) and lags[-1] <= HOPELESS_MS,
    }


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, line)
        os._exit(0)  # whoever gave orders is gone, in the middle of a run too

    threading.Thread(target=read, daemon=True).start()
    _reply({"ready": True})
    while True:
        line = await orders.get()
        gc.collect()
        gc.disable()
        try:
            _reply(await offer(Order(**json.loads(line))))
        except Exception as error:  # noqa: BLE001 - the other side raises it; this process stays for the next order
            _reply({"failed": f"{type(error).__name__}: {error}"})
        finally:
            gc.enable()


def _reply(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer, separators=(",", ":")) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve())

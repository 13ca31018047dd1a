"""The concurrency sweep: more and more senders at once against a traced server, until more bring nothing.

Each level is closed-loop: a sender sends its next request when the answer to the last one has come. A health check
is asked meanwhile, and what the target's containers hold is counted between levels.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from swarm.bench.mix import Mix
from swarm.bench.saturation import (
    LevelSeen,
    TracedRequest,
    growing_names,
    judge,
    knee_of,
    loop_held,
    waits_of,
)
from swarm.bench.statistics import percentile
from swarm.bench.watched import Watched
from swarm.bench.waterfall import span_of
from swarm.core.sweep import Growing, Hanging, Sweep, SweepLevel
from swarm.target.traffic import Traffic
from swarm.target.upstream.calls import UpstreamCall
from swarm.target.upstream.view import renamed
from swarm.target.wire import Client, WireError

CENSUS_FILE = Path(__file__).parent / "inject" / "census.py"
LEVELS = (1, 2, 4, 8, 16, 32, 64)
PAST_THE_KNEE = 2  # levels that must confirm it
LEVEL_S = 0.35  # in which each sender sends one request at least
SLOW_S = 0.3
TIMEOUT_S = 3.0
TOTAL_S = 6.0
HEALTH_EVERY_S = 0.05
BUSY = 0.8  # of a core, for the sender itself: then its figures are its own
FIRST_NUMBER = 850_000


@dataclass(frozen=True, slots=True)
class Swept:
    """The server under the sweep: its trace and census files, CPU seconds so far, calls of upstreams so far."""

    base_url: str
    trace_file: Path
    census_file: Path | None
    health: str | None
    cpu_s: Callable[[], float]
    calls: Callable[[], Sequence[UpstreamCall]]
    names: Mapping[str, str]


def swept_of(watched: Watched, trace_file: Path, census_file: Path | None, health: str | None) -> Swept:
    """A traced server as the sweep looks at it."""
    server, view = watched.server, watched.view
    return Swept(
        server.base_url, trace_file, census_file, health, server.cpu_s, lambda: view.calls, renamed(view.ports)
    )


def census_env(census_file: Path) -> dict[str, str]:
    """What the census needs in the target's environment."""
    return {"SWARM_CENSUS_FILE": str(census_file)}


async def sweep(
    swept: Swept, traffic: Traffic, *, first_number: int = FIRST_NUMBER, levels: Sequence[int] = LEVELS
) -> Sweep:
    """Raise the number of senders level by level; bounded by TOTAL_S."""
    client, mix = Client(swept.base_url), Mix(traffic, first_number)
    seen: list[LevelSeen] = []
    censuses: list[tuple[int, Mapping[str, int]]] = []
    ends_s, began_at = time.monotonic() + TOTAL_S, _size(swept.trace_file)
    idle_ms = await _health(client, swept.health)
    sent, usual_s, own_busy = 0, 0.0, 0.0
    try:
        censuses += await _census(swept.census_file, sent)
        for place, at_once in enumerate(levels):
            if place % 2 and usual_s > SLOW_S:
                continue  # of a slow service every other level, else the time is up before anything is full
            if seen and time.monotonic() + LEVEL_S + usual_s > ends_s:
                break
            one, busy = await _level(swept, client, traffic, mix, at_once, LEVEL_S)
            seen.append(one)
            own_busy = max(own_busy, busy)
            sent += one.level.requests
            usual_s = one.level.mean_ms / 1000
            censuses += await _census(swept.census_file, sent)
            if one.level.failed * 2 > one.level.requests or _settled(seen):
                break
    finally:
        client.close()
    found = replace(judge(seen), health_idle_ms=idle_ms, hanging=_hanging(swept.trace_file, began_at))
    if own_busy > BUSY and found.resource is None:
        found = replace(found, knee=None, words="the sender itself was busy: nothing is said of the service")
    growing = growing_names(censuses)
    return replace(found, growing=tuple(_growing(name, sizes) for name, sizes in sorted(growing.items())))


def _settled(seen: Sequence[LevelSeen]) -> bool:
    place = knee_of([one.level for one in seen])
    return place is not None and len(seen) - place > PAST_THE_KNEE


async def _level(
    swept: Swept, client: Client, traffic: Traffic, mix: Mix, at_once: int, seconds: float
) -> tuple[LevelSeen, float]:
    """One level, and the share of a core that sending it took."""
    offset = _size(swept.trace_file)
    calls_before, cpu_s, own_s = len(swept.calls()), swept.cpu_s(), time.process_time()
    began_s = time.monotonic()
    until_s = began_s + seconds
    answers: list[tuple[float, bool]] = []

    async def sender() -> None:
        while time.monotonic() < until_s:
            request = traffic.request(mix.next_numbers(1)[0], time.time())
            message = client.encode(request.method, request.path, request.headers, request.body)
            sent_s, status = time.monotonic(), 0
            try:
                status = (await client.send(request.method, message, TIMEOUT_S)).status
            except WireError:
                status = 0
            answers.append((1000 * (time.monotonic() - sent_s), 200 <= status < 300))

    worst: list[float] = []
    asking = asyncio.create_task(_ask_health(client, swept.health, worst))
    try:
        await asyncio.gather(*(sender() for _ in range(at_once)))
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    ended_s = time.monotonic()
    used_s, busy = swept.cpu_s() - cpu_s, (time.process_time() - own_s) / (ended_s - began_s)
    await _trace_settled(swept.trace_file)
    traced = read_requests(swept.trace_file, offset, swept.names, swept.health)
    calls = swept.calls()[calls_before:]
    latencies = sorted(latency for latency, _ in answers)
    mean_ms, good = sum(latencies) / len(latencies), sum(ok for _, ok in answers)
    workers = max(1, len({request.pid for request in traced}))
    level = SweepLevel(
        at_once=at_once,
        requests=len(answers),
        failed=len(answers) - good,
        rps=round(at_once * 1000 / mean_ms * good / len(answers), 2),
        mean_ms=round(mean_ms, 2),
        p95_ms=round(percentile(latencies, 95), 2),
        cpu=round(used_s / (ended_s - began_s) / workers, 3),
        loop_held=round(loop_held(traced, began_s, ended_s), 3),
        waits_ms=waits_of(traced) if traced else (),
        health_ms=round(max(worst), 1) if worst else None,
    )
    upstream_ms = 1000 * sum(call.end_s - call.start_s for call in calls) / len(calls) if calls else None
    return LevelSeen(level, traced, upstream_ms), busy


async def _health(client: Client, path: str | None) -> float | None:
    """The best of three answers of an idle service, or None where it has no health check."""
    if path is None:
        return None
    took = [await _asked(client, path) for _ in range(3)]
    return round(min(took), 2)


async def _ask_health(client: Client, path: str | None, worst: list[float]) -> None:
    while path is not None:
        began_s = time.monotonic()
        worst.append(0.0)  # grows while it is waited for, should the level end before its answer
        asked = asyncio.create_task(_asked(client, path))
        try:
            worst[-1] = await asked
        except asyncio.CancelledError:
            worst[-1] = 1000 * (time.monotonic() - began_s)
            asked.cancel()
            raise
        await asyncio.sleep(HEALTH_EVERY_S)


async def _asked(client: Client, path: str) -> float:
    began_s = time.monotonic()
    with contextlib.suppress(WireError):
        await client.send("GET", client.encode("GET", path, {}, b""), TIMEOUT_S)
    return 1000 * (time.monotonic() - began_s)


async def _trace_settled(trace_file: Path) -> None:
    size_bytes = -1
    for _ in range(10):
        now_bytes = _size(trace_file)
        if now_bytes == size_bytes:
            return
        size_bytes = now_bytes
        await asyncio.sleep(0.03)


def _size(trace_file: Path) -> int:
    return trace_file.stat().st_size if trace_file.exists() else 0


def read_requests(
    trace_file: Path, offset: int, names: Mapping[str, str], health: str | None
) -> tuple[TracedRequest, ...]:
    """The requests whose lines stand after `offset` of a trace, those of the health check left out."""
    found = []
    for entry in _entries(trace_file, offset):
        is_health = entry.get("method") == "GET" and entry.get("path") == health
        if "spans" in entry and "at_ms" in entry and not is_health:
            spans = tuple(span_of(span, names) for span in entry["spans"])
            found.append(TracedRequest(entry["pid"], entry["at_ms"] / 1000, entry["duration_ms"], spans))
    return tuple(found)


def _hanging(trace_file: Path, offset: int) -> tuple[Hanging, ...]:
    found: dict[tuple[str, str, int, str], int] = {}
    for entry in _entries(trace_file, offset):
        if "stuck" in entry:
            _, name, _, _, file, line, function, *_ = entry["stuck"]
            key = (name, file, line, function)
            found[key] = max(found.get(key, 0), int(entry.get("held", 0)))
    return tuple(Hanging(*key, held) for key, held in sorted(found.items()))


def _entries(trace_file: Path, offset: int) -> list[dict[str, Any]]:
    if not trace_file.is_file():
        return []
    with trace_file.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode("utf-8", "replace").splitlines()
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # of a process that was killed while it wrote
        if isinstance(entry, dict) and "pid" in entry:
            found.append(entry)
    return found


async def _census(census_file: Path | None, events: int) -> list[tuple[int, Mapping[str, int]]]:
    """What the containers hold now; nothing where the target does not answer soon."""
    if census_file is None:
        return []
    question = census_file.with_name(census_file.name + ".ask")
    census_file.unlink(missing_ok=True)
    question.touch()
    for _ in range(20):
        await asyncio.sleep(0.02)
        if census_file.exists() and not question.exists():
            return [(events, json.loads(census_file.read_text(encoding="utf-8")))]
    question.unlink(missing_ok=True)
    return []


def _growing(name: str, sizes: tuple[tuple[int, int], ...]) -> Growing:
    file, _, dotted = name.partition(":")
    return Growing(dotted, file, sizes)

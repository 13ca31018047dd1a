"""From the traces of a sweep's levels: which resource was full at the knee, and where. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from swarm.core.report import WaterfallSpan
from swarm.core.sweep import Resource, Sweep, SweepLevel

SCALES = 1.3  # twice as many senders that bring less than so many times the answers: something is full
FULL_CPU = 0.8  # of one core: a Python process has no more than one for its own code
BUSY_CPU = 0.35  # is enough where the event loop is held up by code that computes
FULL_LOOP = 0.5
SHARE = 0.4  # of the time that a request takes longer than alone, for one resource to be named
LOCKED = "(database is locked)"
_WAITED: tuple[Resource, ...] = ("connection pool", "client pool", "threads", "database", "redis", "upstream")
_FULL: dict[Resource, str] = {
    "connection pool": "waiting for a free database connection",
    "client pool": "waiting for a free connection of an HTTP client's pool",
    "threads": "waiting for a free thread",
    "database": "in database statements",
    "redis": "in redis commands",
    "upstream": "in calls that an upstream itself answers more slowly",
    "server": "before the service begins with it",
}


@dataclass(frozen=True, slots=True)
class TracedRequest:
    """One request of a trace: when it began (seconds on the machine's monotonic clock) and its waits."""

    pid: int
    start_s: float
    duration_ms: float
    spans: tuple[WaterfallSpan, ...]


@dataclass(frozen=True, slots=True)
class LevelSeen:
    """A level and the traces of its requests; `upstream_ms` is a call's mean time by the upstreams' own clock."""

    level: SweepLevel
    traced: tuple[TracedRequest, ...]
    upstream_ms: float | None


def resource_of(span: WaterfallSpan) -> Resource | None:
    """What a span waits for; None where it is for nothing that can be full."""
    if span.behind_answer:
        return None
    if span.blocks_loop or span.kind == "blocked":
        return "event loop"
    if span.kind == "queue":
        if "thread" in span.name:
            return "threads"
        if "HTTP client" in span.name:
            return "client pool"
        return "connection pool" if "connection" in span.name else "server"
    kinds: dict[str, Resource] = {"sql": "database", "redis": "redis", "http": "upstream"}
    return kinds.get(span.kind)


def waits_of(traced: Sequence[TracedRequest]) -> tuple[tuple[Resource, float], ...]:
    """Mean milliseconds of a request in waits for each resource, overlapping ones counted once."""
    sums: dict[Resource, float] = defaultdict(float)
    for request in traced:
        by_resource: dict[Resource, list[tuple[float, float]]] = defaultdict(list)
        for span in request.spans:
            resource = resource_of(span)
            if resource is not None:
                by_resource[resource].append((span.start_ms, span.start_ms + span.duration_ms))
        for resource, intervals in by_resource.items():
            sums[resource] += union(intervals)
    return tuple(sorted((resource, round(total / len(traced), 3)) for resource, total in sums.items()))


def loop_held(traced: Sequence[TracedRequest], from_s: float, until_s: float) -> float:
    """The share of the time in which a worker's loop was held up, the mean of its processes."""
    by_process: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for request in traced:
        for span in request.spans:
            if resource_of(span) == "event loop":
                start_s = request.start_s + span.start_ms / 1000
                end_s = min(until_s, start_s + span.duration_ms / 1000)
                by_process[request.pid].append((max(from_s, start_s), max(from_s, end_s)))
    processes = len({request.pid for request in traced})
    held_s = sum(union(intervals) for intervals in by_process.values())
    return min(1.0, held_s / (processes * (until_s - from_s))) if processes and until_s > from_s else 0.0


def held_by_code(traced: Sequence[TracedRequest]) -> float:
    """The share of the time for which the loop was held that no known blocking call explains: code that computes."""
    spent: dict[bool, float] = {True: 0.0, False: 0.0}
    for request in traced:
        for span in request.spans:
            if resource_of(span) == "event loop":
                spent[span.kind == "blocked"] += span.duration_ms
    return spent[True] / (spent[True] + spent[False]) if any(spent.values()) else 0.0


def union(intervals: Iterable[tuple[float, float]]) -> float:
    """The length that intervals cover together."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def knee_of(levels: Sequence[SweepLevel]) -> int | None:
    """The place of the first level that no later one outdoes by enough; None where answers grew to the end."""
    for place, level in enumerate(levels[:-1]):
        if all(later.rps < level.rps * _expected(level, later) for later in levels[place + 1 :]):
            return place
    return None


def _expected(level: SweepLevel, later: SweepLevel) -> float:
    doublings = math.log2(later.at_once / level.at_once)
    return float(SCALES**doublings)


def judge(seen: Sequence[LevelSeen]) -> Sweep:
    """Knee, resource, evidence and place; what is not in the traces is for the caller to lay in."""
    levels = tuple(one.level for one in seen)
    place = knee_of(levels)
    if place is None:
        most = levels[-1]
        words = f"answers still grew at {most.at_once} at once ({most.rps:.0f}/s)"
        return Sweep(levels, words=words, locked=_locked(seen))
    alone, full = seen[0], seen[place + 1]
    resource, why = _resource(alone, full)
    knee = levels[place]
    words = (
        f"{knee.at_once} at once give {knee.rps:.0f} answers/s, {full.level.at_once} at once {full.level.rps:.0f}/s"
    )
    words = f"{words}: {why}" if why else f"{words}; what is full then was not seen"
    sweep = Sweep(levels, knee.at_once, resource, words, locked=_locked(seen))
    return _placed(sweep, full.traced)


def _resource(alone: LevelSeen, full: LevelSeen) -> tuple[Resource | None, str]:
    level = full.level
    # a machine that others use too gives less than a whole core: then what holds the loop up tells
    computes = level.loop_held >= FULL_LOOP and held_by_code(full.traced) >= 0.5
    if level.cpu is not None and level.cpu >= (BUSY_CPU if computes else FULL_CPU):
        return "cpu", f"a worker process uses {level.cpu:.0%} of a core"
    if level.loop_held >= FULL_LOOP:
        used = "" if level.cpu is None else f" while it uses {level.cpu:.0%} of a core"
        return "event loop", f"the event loop is held up {level.loop_held:.0%} of the time{used}"
    longer_ms = level.mean_ms - alone.level.mean_ms
    if longer_ms <= 0:
        return None, ""
    grew: dict[Resource, float] = {name: level.waiting(name) - alone.level.waiting(name) for name in _WAITED}
    grew["upstream"] = _slower_upstream(alone, full, grew["upstream"])
    grew["database"] -= max(0.0, grew["connection pool"])  # a driver's statement may include the wait for its pool
    served_ms = sum(one.duration_ms for one in full.traced) / max(1, len(full.traced))
    if full.traced:
        grew["server"] = max(0.0, level.mean_ms - served_ms) + level.waiting("server")
    most = max(grew, key=lambda name: grew[name])
    if grew[most] < SHARE * longer_ms:
        return None, ""
    return most, (
        f"of {level.mean_ms:.0f} ms a request spends {grew[most]:.0f} ms more than alone {_FULL[most]}"
        + (" (writes, for the most part)" if most == "database" and _mostly_writes(full.traced) else "")
    )


def _slower_upstream(alone: LevelSeen, full: LevelSeen, grew_ms: float) -> float:
    """Calls that take longer count for the upstream only as far as its own clock says so."""
    if alone.upstream_ms is None or full.upstream_ms is None or alone.upstream_ms <= 0:
        return 0.0
    slower = full.upstream_ms / alone.upstream_ms - 1.0
    return min(grew_ms, max(0.0, slower) * alone.level.waiting("upstream"))


def _mostly_writes(traced: Sequence[TracedRequest]) -> bool:
    spent: dict[bool, float] = {True: 0.0, False: 0.0}
    for request in traced:
        for span in request.spans:
            if resource_of(span) == "database":
                first = span.name.partition(" ")[0].upper().rstrip(";")
                writes = first in ("INSERT", "UPDATE", "DELETE", "REPLACE", "COMMIT", "BEGIN", "MERGE")
                spent[writes] += span.duration_ms
    return spent[True] > 2 * spent[False]


def _placed(sweep: Sweep, traced: Sequence[TracedRequest]) -> Sweep:
    """With the line that spent most in the resource; for the processor, the one that held the loop up longest."""
    wanted: Resource | None = "event loop" if sweep.resource == "cpu" else sweep.resource
    spent: dict[tuple[str, int, str], float] = defaultdict(float)
    for request in traced:
        for span in request.spans:
            if span.file and resource_of(span) == wanted:
                spent[span.file, span.line, span.function] += span.duration_ms
    if not spent:
        return sweep
    file, line, function = max(spent, key=lambda place: spent[place])
    return replace(sweep, file=file, line=line, function=function)


def _locked(seen: Sequence[LevelSeen]) -> tuple[tuple[str, int, int], ...]:
    counts: dict[tuple[str, int], int] = defaultdict(int)
    for one in seen:
        for request in one.traced:
            for span in request.spans:
                if span.kind == "sql" and LOCKED in span.name:
                    counts[span.file, span.line] += 1
    return tuple((file, line, count) for (file, line), count in sorted(counts.items()))


def growing_names(censuses: Sequence[tuple[int, Mapping[str, int]]]) -> dict[str, tuple[tuple[int, int], ...]]:
    """The containers that took an entry from at least every second event, in every stretch: (events, size) each.

    What fills to its bound and stays there, or holds what is under way, does not grow in each stretch.
    """
    if len(censuses) < 3 or censuses[-1][0] - censuses[0][0] < 20:
        return {}
    found = {}
    for name in censuses[-1][1]:
        sizes = tuple((events, counted.get(name, 0)) for events, counted in censuses)
        if all(after - before >= 0.5 * (then - now) > 0 for (now, before), (then, after) in pairwise(sizes)):
            found[name] = sizes
    return found

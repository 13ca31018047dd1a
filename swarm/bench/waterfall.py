"""The await waterfall: which wait ran when, in which request, from which line of the target.

The files of TRACER_FILES run inside the target (nothing of it is edited) and write a trace; here it is read.
"""

from __future__ import annotations

import asyncio
import bisect
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from swarm.bench.watched import Watched, send_to_the_end
from swarm.config.schema import Target
from swarm.core.place import TargetPlace
from swarm.core.report import SpanKind, Waterfall, WaterfallSpan
from swarm.target.traffic import Traffic
from swarm.target.tree.copies import Copy
from swarm.target.upstream.view import renamed

_INJECT = Path(__file__).parent / "inject"
_TRACERS = ("tracer", "trace_requests", "trace_threads", "trace_calls", "trace_files", "trace_sql", "trace_pools")
TRACER_FILES: tuple[Path, ...] = tuple(_INJECT / f"{name}.py" for name in _TRACERS)
WARM_UP = 1
FOLD_FROM = 3  # this many spans alike become one with a count
_KINDS = frozenset(get_args(SpanKind))


def tracer_env(trace_file: Path, target_root: Path) -> dict[str, str]:
    """What the tracer needs in the target's environment."""
    return {"SWARM_TRACE_FILE": str(trace_file), "SWARM_TARGET_ROOT": str(target_root)}


def read_trace(path: Path, names: Mapping[str, str] | None = None, start: int = 0) -> tuple[Waterfall, ...]:
    """The requests of a trace that ended after its byte `start`, in order of their end.

    Broken lines (of a killed process) are left out. `names` renames `host:port` in the names of calls, such as
    {"127.0.0.1:40123": "crm"}. Spans that came after an answer, or outside of every request, belong to the last
    request that had begun by then: the trace is of requests one after another.
    """
    if not path.is_file():
        return ()
    requests: dict[tuple[int, int], dict[str, Any]] = {}
    later: list[tuple[tuple[int, int], list[Any]]] = []
    wanted: list[tuple[int, int]] = []
    place = 0
    for line in path.read_bytes().splitlines(keepends=True):
        begins, place = place, place + len(line)
        try:
            entry = json.loads(line)
            key = (int(entry["pid"]), int(entry["request"]))
        except (ValueError, KeyError, TypeError):
            continue
        later += [(key, span) for span in (*entry.get("late", ()), *entry.get("background", ()))]
        if "spans" in entry:
            requests[key] = entry
            wanted += [key] if begins >= start else []
    behind = _attributed(requests, later)
    return tuple(_waterfall(requests[key], behind.get(key, []), names or {}) for key in wanted)


def _attributed(
    requests: Mapping[tuple[int, int], dict[str, Any]], later: Iterable[tuple[tuple[int, int], list[Any]]]
) -> dict[tuple[int, int], list[list[Any]]]:
    """Spans by the request in whose time they began, their starts counted from its start."""
    begun = sorted((float(entry.get("at_ms", 0.0)), key) for key, entry in requests.items())
    found: dict[tuple[int, int], list[list[Any]]] = defaultdict(list)
    for key, span in later:
        own = requests.get(key)
        if own is None and key[1]:
            continue  # of a request whose line was lost
        at_ms = span[2] + (float(own.get("at_ms", 0.0)) if own else 0.0)
        place = bisect.bisect_right(begun, at_ms, key=lambda item: item[0]) - 1
        if place >= 0:
            start_ms, owner = begun[place]
            found[owner].append([*span[:2], round(at_ms - start_ms, 3), *span[3:]])
    return found


def _waterfall(entry: dict[str, Any], behind: Iterable[list[Any]], names: Mapping[str, str]) -> Waterfall:
    spans = [span_of(span, names) for span in entry["spans"]]
    spans += [replace(span_of(span, names), behind_answer=True) for span in behind]
    read = sorted(spans, key=lambda span: (span.start_ms, -span.duration_ms))
    request = f"{entry['method']} {entry['path']}"
    return Waterfall(request, int(entry["status"]), float(entry["duration_ms"]), tuple(read))


def span_of(span: list[Any], names: Mapping[str, str]) -> WaterfallSpan:
    """A span as the tracer writes it."""
    kind, name, start_ms, duration_ms, file, line, function, path, blocks = span
    for address, meaning in names.items():
        name = name.replace(address, meaning)
    return WaterfallSpan(
        kind if kind in _KINDS else "other", name, start_ms, duration_ms, file, line, function, tuple(path), blocks
    )


def typical(waterfalls: Sequence[Waterfall], request: str | None = None) -> Waterfall | None:
    """The request of median duration, its repeated spans folded.

    Of the good answers alone where there are any, and of the route that was called most (or of `request`):
    a median over different routes would show a chance mix.
    """
    chosen = [w for w in waterfalls if request is None or w.request == request]
    chosen = [w for w in chosen if 200 <= w.status < 300] or chosen
    if not chosen:
        return None
    routes = [w.request for w in chosen]
    busiest = max(sorted(set(routes)), key=routes.count)
    ordered = sorted((w for w in chosen if w.request == busiest), key=lambda w: w.duration_ms)
    return fold(ordered[(len(ordered) - 1) // 2])


def fold(waterfall: Waterfall) -> Waterfall:
    """Spans of one line and name that come FOLD_FROM times or more as one: first start, summed duration, count."""
    groups: dict[tuple[str, str, str, int, bool], list[WaterfallSpan]] = defaultdict(list)
    for span in waterfall.spans:
        groups[span.kind, span.name, span.file, span.line, span.behind_answer].append(span)
    folded: list[WaterfallSpan] = []
    for spans in groups.values():
        if len(spans) < FOLD_FROM:
            folded += spans
            continue
        summed = sum(span.duration_ms for span in spans)
        folded.append(replace(spans[0], duration_ms=round(summed, 3), count=sum(span.count for span in spans)))
    return replace(waterfall, spans=tuple(sorted(folded, key=lambda span: span.start_ms)))


@asynccontextmanager
async def traced_server(
    place: TargetPlace, copy: Copy, target: Target, *, seed: int, tmp: Path, inject: Sequence[Path] = (),
    extra_env: Mapping[str, str] = {},
) -> AsyncIterator[tuple[Watched, Path]]:  # fmt: skip
    """A traced server of a copy with upstreams of its own, and the file of its trace."""
    from swarm.target.running.server import start_server
    from swarm.target.upstream.upstreams import Upstreams

    tmp.mkdir(parents=True, exist_ok=True)
    trace_file = tmp / "waterfall.jsonl"
    upstreams = await Upstreams.start(place, copy, target, tmp=tmp / "upstreams", seed=seed)
    try:
        view = await upstreams.view()
        server = await start_server(
            place, copy, target, upstream_env=view.env, inject=(*view.inject, *TRACER_FILES, *inject),
            extra_env={**tracer_env(trace_file, copy.path), **extra_env}, tmp=tmp / "server",
        )  # fmt: skip
        try:
            yield Watched(server, view), trace_file
        finally:
            await server.stop()
    finally:
        await upstreams.stop()


@dataclass(frozen=True, slots=True)
class Traced:
    """Requests that a traced server has had since its trace was `start` bytes long.

    To read them takes a while, and others may be measured meanwhile.
    """

    file: Path
    start: int
    names: Mapping[str, str]

    def waterfalls(self) -> tuple[Waterfall, ...]:
        """What each of them waited for."""
        return read_trace(self.file, self.names, self.start)


async def trace_in_turn(
    watched: Watched, trace_file: Path, traffic: Traffic, first_number: int, requests: int
) -> Traced:
    """Some requests to a traced server, each sent when the one before it is over altogether.

    Statements may go on when the last upstream call has ended: the trace itself must have come to rest, too.
    """
    start = 0
    for number in range(first_number - WARM_UP, first_number + requests):
        if number == first_number:
            start = _size(trace_file)
        await send_to_the_end(watched, traffic, (number,))
        await _at_rest(trace_file)
    return Traced(trace_file, start, renamed(watched.view.ports))


async def _at_rest(trace_file: Path) -> None:
    """Wait until the trace has stopped growing: a request's line follows its answer, what comes later its work."""
    size_bytes = -1
    for _ in range(40):
        now_bytes = _size(trace_file)
        if now_bytes == size_bytes:
            break
        size_bytes = now_bytes
        await asyncio.sleep(0.05)


def _size(trace_file: Path) -> int:
    return trace_file.stat().st_size if trace_file.exists() else 0

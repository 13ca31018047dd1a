"""Sends the same requests to a tree against deterministic upstreams, and keeps what it answered and caused."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from swarm.config.schema import Target
from swarm.core.place import TargetPlace
from swarm.target.replay.behind_answer import kept_in, settled, wait_for_work
from swarm.target.replay.observation import Exchange, ExchangeKind, Observation
from swarm.target.replay.stored_state import StoredState, read_stored
from swarm.target.running.environment import CONTROL
from swarm.target.running.server import RunningServer, start_server
from swarm.target.traffic import Traffic, WebhookRequest
from swarm.target.tree.copies import Copy
from swarm.target.upstream.calls import FaultPoint, path_shape
from swarm.target.upstream.known_work import known_work
from swarm.target.upstream.tape import PlannedFault, Tape
from swarm.target.upstream.upstreams import Upstreams
from swarm.target.volatile import parse_body

ANSWER_DEADLINE_S = 20.0
FAULT_STATUS = 500
_FAULT_SEARCH = 40
_CHOICE = 6
_MOST_FAULTS = 5
_FAULT_ATTEMPTS = 3
_MOST_MISSES = 4  # every look at a candidate repeats them

OnNormal = Callable[[Sequence[Exchange]], None]


@dataclass(slots=True)
class _Session:
    """One observation under way."""

    server: RunningServer
    upstreams: Upstreams
    traffic: Traffic
    client: aiohttp.ClientSession
    tape: Tape | None
    recording: bool
    exchanges: list[Exchange] = field(default_factory=list)

    async def send(
        self, request: WebhookRequest, label: str, kind: ExchangeKind = "normal", upstream: str = ""
    ) -> Exchange:
        """Send one request and wait until what it caused is over."""
        seen = len(self.upstreams.calls)
        self.upstreams.mark(label)
        started_s, now_s = time.monotonic(), time.time()
        status, content_type, body, error = 0, "", b"", ""
        try:
            async with self.client.request(
                request.method, self.server.base_url + request.path, data=request.body, headers=request.headers,
                skip_auto_headers=("Content-Type",), allow_redirects=False,
            ) as answer:  # fmt: skip
                body = await answer.read()
                status, content_type = answer.status, answer.content_type
        except (aiohttp.ClientError, TimeoutError) as problem:
            error = f"{type(problem).__name__}: {problem}".rstrip(": ")
        answered_s = time.monotonic()
        duration_s = answered_s - started_s
        known = self.tape.work.get(label) if self.tape is not None and not self.recording else None
        quiet = await wait_for_work(self.upstreams, known, lambda: self.upstreams.calls[seen:], started_s, status)
        calls = tuple(self.upstreams.calls[seen:])
        if self.tape is not None and self.recording:
            known = self.tape.work[label] = known_work(calls, started_s, duration_s, status)
        kept: frozenset[str] = frozenset()
        if known is not None and known.status >= 500:
            kept = await asyncio.to_thread(kept_in, self.server.tmp, request.body, (CONTROL,))
        exchange = Exchange(
            label, kind, upstream, status, content_type, body, calls, duration_s, now_s, error, quiet,
            answered_s, kept,
        )  # fmt: skip
        self.exchanges.append(exchange)
        return exchange

    async def stored(self) -> StoredState:
        """What lies in the target's {tmp} when nothing there changes any more."""
        await settled(self.server.tmp, (CONTROL,))
        return await asyncio.to_thread(read_stored, self.server.tmp, time.time(), (CONTROL,))


async def observe(
    place: TargetPlace,
    copy: Copy,
    target: Target,
    *,
    requests: int,
    seed: int,
    tape: Tape | None,
    tmp: Path,
    payload_root: Path | None = None,
    on_normal: OnNormal = lambda exchanges: None,
) -> Observation:
    """One look at the tree in `copy`: `requests` webhooks, one badly signed, and some whose
    upstream calls fail (each kind of call once, six at most).

    Raises TargetError where the tree does not start. `tmp` must be fresh. `payload_root` is the folder of
    agents.yaml; the tape's where there is one. `on_normal` is told of the webhooks before upstreams begin to fail.
    """
    return await _observe(
        place, copy, target, requests, seed, tape, tmp, payload_root, recording=False, on_normal=on_normal
    )


async def record_first(
    place: TargetPlace,
    copy: Copy,
    target: Target,
    *,
    requests: int,
    seed: int,
    tmp: Path,
    payload_root: Path | None = None,
) -> tuple[Observation, Tape]:
    """The first look at the original, which makes the tape; `observe` with that tape is the second."""
    tape = Tape(payload_root=payload_root)
    first = await _observe(place, copy, target, requests, seed, tape, tmp, payload_root, recording=True)
    return first, tape


async def _observe(
    place: TargetPlace, copy: Copy, target: Target, requests: int, seed: int, tape: Tape | None, tmp: Path,
    payload_root: Path | None, *, recording: bool, on_normal: OnNormal = lambda exchanges: None,
) -> Observation:  # fmt: skip
    started_s = time.monotonic()
    root = payload_root or (tape.payload_root if tape else None) or place.path
    upstreams = await Upstreams.start(
        place, copy, target, tmp=tmp / "upstreams", seed=seed, tape=tape, latency="fixed", recording=recording
    )
    try:
        server = await start_server(
            place, copy, target, upstream_env=upstreams.env, inject=upstreams.inject, tmp=tmp / "data"
        )
        try:
            start_log = server.log_text()
            # a connection of its own for each request: one that the server drops must not fail the next
            connector = aiohttp.TCPConnector(force_close=True)
            timeout = aiohttp.ClientTimeout(total=ANSWER_DEADLINE_S)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
                session = _Session(server, upstreams, Traffic(target, root, seed), client, tape, recording)
                stored = await _normal_requests(session, requests)
                on_normal(tuple(session.exchanges))
                await _badly_signed(session, requests)
                faults = await _faults(session, requests, tape.faults if tape else None)
                stored_at_end = await session.stored()
        finally:
            await server.stop()
    finally:
        await upstreams.stop()
    if tape is not None and recording:
        tape.faults = faults
    return Observation(
        tuple(session.exchanges), stored, stored_at_end, tuple(upstreams.refused),
        time.monotonic() - started_s, start_log,
    )  # fmt: skip


async def _normal_requests(session: _Session, requests: int) -> StoredState:
    for place, number in enumerate(chosen_numbers(session.traffic, requests)):
        request = session.traffic.request(number, time.time())
        await session.send(request, f"request {place + 1} {request.method} {request.path}")
    return await session.stored()


def chosen_numbers(traffic: Traffic, requests: int) -> list[int]:
    """A traffic number, then always the one least like those chosen: few requests, all kinds of events."""
    traits = {number: _traits(traffic.request(number, 0.0)) for number in range(requests * _CHOICE)}
    chosen: list[int] = []
    closeness = dict.fromkeys(traits, 0.0)
    while len(chosen) < requests:
        number = min((n for n in traits if n not in chosen), key=lambda n: (closeness[n], n))
        chosen.append(number)
        for other in traits:
            closeness[other] = max(closeness[other], _likeness(traits[number], traits[other]))
    return chosen


async def _badly_signed(session: _Session, requests: int) -> None:
    """A body that the signature does not cover: whatever the scheme, it must stay refused."""
    signed_paths = {hook.path for hook in session.traffic.webhooks if hook.sign.scheme != "none"}
    for number in range(requests * _CHOICE, requests * _CHOICE + _FAULT_SEARCH):
        request = session.traffic.request(number, time.time())
        if request.path.partition("?")[0] in signed_paths:
            tampered = replace(request, body=request.body + b"\n")
            await session.send(tampered, f"badly signed {request.method} {request.path}", "badly signed")
            return


async def _faults(
    session: _Session, requests: int, planned: tuple[PlannedFault, ...] | None
) -> tuple[PlannedFault, ...]:
    """Let the calls that were seen fail, each kind once, under a request that makes it; what was tried, in order."""
    if planned is not None:
        for at, fault in enumerate(planned):
            exchange = await _fault(session, fault.point, fault.number, _attempt(fault.point, planned[:at]))
            if not fault.met:
                session.exchanges.remove(exchange)
        return planned
    plan: list[PlannedFault] = []
    for point in _fault_points(session, requests):
        used = {fault.number for fault in plan}
        for number in _likely_numbers(session, point, requests, used)[:_FAULT_ATTEMPTS]:
            if sum(not fault.met for fault in plan) >= _MOST_MISSES:
                break
            exchange = await _fault(session, point, number, _attempt(point, plan))
            met = any(point.hits(call.upstream, call.method, call.path) for call in exchange.calls)
            plan.append(PlannedFault(point, number, met))
            if met:
                break
            session.exchanges.remove(exchange)  # it never met the failure, so it says nothing
    return tuple(plan)


def _attempt(point: FaultPoint, before: Sequence[PlannedFault]) -> int:
    return 1 + sum(fault.point == point for fault in before)


def _fault_points(session: _Session, requests: int) -> list[FaultPoint]:
    """The kinds of calls that the normal requests made: one of each upstream first, then the others."""
    seen: dict[FaultPoint, None] = {}
    for exchange in session.exchanges[:requests]:
        for call in sorted(exchange.calls, key=lambda call: call.start_s):
            if call.upstream in session.upstreams.names:
                seen[FaultPoint(call.upstream, call.method, path_shape(call.path))] = None
    ranks: Counter[str] = Counter()
    ranked: list[tuple[int, FaultPoint]] = []
    # the last call of a request first: what came before it has happened already when it fails
    for point in reversed(seen):
        ranked.append((ranks[point.upstream], point))
        ranks[point.upstream] += 1
    return [point for _, point in sorted(ranked)][:_MOST_FAULTS]


async def _fault(session: _Session, point: FaultPoint, number: int, attempt: int) -> Exchange:
    request = session.traffic.request(number, time.time())
    label = f"upstream {point.upstream} fails with {FAULT_STATUS} at {point.method} {point.shape}"
    if attempt > 1:
        label += f", attempt {attempt}"
    session.upstreams.fail(point, FAULT_STATUS)
    try:
        return await session.send(request, label, "upstream fails", point.upstream)
    finally:
        session.upstreams.fail(None)


def _likely_numbers(session: _Session, point: FaultPoint, requests: int, used: set[int]) -> list[int]:
    """Fresh traffic numbers, those first whose requests resemble one that made the call.

    Fresh ones, since a target may rightly ignore an event that it has had already.
    """
    numbers = chosen_numbers(session.traffic, requests)
    callers = [
        number for number, exchange in zip(numbers, session.exchanges, strict=False)
        if any(point.hits(call.upstream, call.method, call.path) for call in exchange.calls)
    ]  # fmt: skip
    fresh = requests * _CHOICE + _FAULT_SEARCH
    models = [_traits(session.traffic.request(number, 0.0)) for number in callers]
    likeness: dict[int, float] = {}
    for number in range(fresh, fresh + _FAULT_SEARCH):
        if number not in used:
            traits = _traits(session.traffic.request(number, 0.0))
            likeness[number] = max(_likeness(traits, model) for model in models)
    return sorted(likeness, key=lambda number: (-likeness[number], number))


def _likeness(one: set[str], two: set[str]) -> float:
    return len(one & two) / max(1, len(one | two))


def _traits(request: WebhookRequest) -> set[str]:
    """The path and the body's leaves, to tell kinds of events apart."""
    return {request.path, *_leaves(parse_body(request.body), "")}


def _leaves(value: Any, path: str) -> Iterable[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}.{key}"
            yield from _leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, f"{path}[]")
    else:
        yield f"{path}={value}"

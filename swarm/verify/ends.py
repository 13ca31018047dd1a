"""The two ends side by side, the original and the patched tree: answers, work until its end, errors, capacity."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from swarm.bench.capacity import CALM_S, CapacityResult, find_capacity, settled
from swarm.bench.load import LoadRun, error_rate
from swarm.bench.mix import EveryChoice, Mix
from swarm.bench.scrape import Samples, cache_figures, scrape, since
from swarm.bench.sidebyside import compare, measure_alternating, pooled, resources
from swarm.bench.watched import Watched, Whole, send_in_waves, send_to_the_end, warm_up
from swarm.bench.waterfall import TRACER_FILES, Traced, trace_in_turn
from swarm.bench.wholes import WritesByKind, compare_wholes, failing_share, successful_writes
from swarm.core.metrics import ANSWER, END_TO_END, Comparison
from swarm.core.report import CacheUse, Capacity, ErrorRates, ResourceUse, Side, UpstreamUse, Waterfall, WorkDone
from swarm.target.traffic import Traffic
from swarm.target.upstream.calls import UpstreamCall
from swarm.verify.candidate import Stack
from swarm.verify.standing import Standing, Tree, end

BEFORE, BEFORE_TWIN, BEFORE_TRACED = "before", "before, a second server", "before, traced"
AFTER, AFTER_TWIN, AFTER_TRACED = "after", "after, a second server", "after, traced"
ROUNDS = 3
WHOLES = 16  # requests of each side that are seen to their end
ENOUGH_WHOLES = 80  # of the patched side, where time allows: the 95th of 16 would be the slowest one
SPARE_S = 2.0  # how much longer the patched side may go on for them
TRACED_BEFORE = 12
TRACED_AFTER = 22  # the 95th of fewer is the slowest one
WARM_S = 4.0  # at least: imports, connections
WARM_AT_MOST_S = 15.0
WARM_AT_ONCE = 8
ORIGINALS_AT_ONCE = (
    4  # they only need what they can take meanwhile, and shall leave the processor to the patched ones
)
FIRST_WARM_UP = 850_000
OPENED_AGAIN_BY = 4
FIRST_OPENED_AGAIN = 865_000
FIRST_WHOLE = 870_000
FIRST_TRACED = 860_000
DRAIN_S = 20.0
STEP_S = 1.0
SLOWER_AT_MOST = 2.0  # times the original's median alone, where capacity ends
MAX_STEPS = 9
AGAIN_STEPS = 2


@dataclass(frozen=True, slots=True)
class SeenWhole:
    """What serial requests showed; the waterfalls are those of traced servers beside."""

    before: tuple[Whole, ...]
    after: tuple[Whole, ...]
    comparison: Comparison
    waterfalls_before: tuple[Waterfall, ...]
    waterfalls_after: tuple[Waterfall, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the open-loop load showed."""

    before: tuple[LoadRun, ...]
    after: tuple[LoadRun, ...]
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Ends:
    """Everything that is told of the two ends but for their capacity."""

    whole: SeenWhole
    loaded: Loaded
    errors: ErrorRates
    resources: tuple[ResourceUse, ResourceUse]
    sides: tuple[Side, Side]


@dataclass(frozen=True, slots=True)
class UnderLoad:
    """What one end did while loaded: its upstream calls, what its caches counted, how long work went on after."""

    calls: tuple[UpstreamCall, ...]
    drain_s: float | None
    scraped: tuple[Samples | None, Samples | None]


async def measure_ends(standing: Standing, stack: Stack) -> Ends:
    """Open-loop load, then serial requests to warm services; afterwards only the two ends run on.

    What a service keeps is filled by the load: requests that repeat others find it, as they do in operation.
    """
    lab = standing.lab
    traces = {name: lab.folder("traced") / "waterfall.jsonl" for name in (BEFORE_TRACED, AFTER_TRACED)}
    trees = {
        BEFORE: end(lab.original),
        BEFORE_TWIN: Tree(lab.original, role="twin"),
        BEFORE_TRACED: _traced(lab.original, traces[BEFORE_TRACED]),
        AFTER: end(stack),
        AFTER_TWIN: Tree(stack, role="twin"),
        AFTER_TRACED: _traced(stack, traces[AFTER_TRACED]),
    }
    servers = await standing.run(trees)
    await standing.keep(*trees.values())
    traffic = Traffic(lab.target, lab.payload_root, lab.seed)
    patched, originals = (AFTER, AFTER_TWIN, AFTER_TRACED), (BEFORE, BEFORE_TWIN, BEFORE_TRACED)
    warmed = await _warm(traffic, [servers[name] for name in patched], [servers[name] for name in originals])
    ends = servers[BEFORE], servers[AFTER]
    began_s, scraped = time.monotonic(), await _scraped(ends)
    loaded = await _load(standing, ends)
    drains = await asyncio.gather(*(_drained(one, time.monotonic()) for one in ends))
    now = await _scraped(ends)
    under = [
        UnderLoad(ends[at].calls_since(began_s), drains[at], (scraped[at], now[at])) for at in range(len(ends))
    ]  # fmt: skip
    idle = [server for server in servers.values() if server not in ends]  # what they kept open was closed meanwhile
    await asyncio.gather(*(warm_up(one, traffic, FIRST_OPENED_AGAIN, OPENED_AGAIN_BY) for one in idle))
    whole = await see_whole(standing, servers, traces, warmed)
    await standing.keep(trees[BEFORE], trees[AFTER])
    same = frozenset(one.number for one in whole.before)
    before = _side(traffic, whole.before, same, loaded.before, under[0])
    after = _side(traffic, whole.after, same, loaded.after, under[1])
    return Ends(
        whole,
        loaded,
        ErrorRates(error_rate(loaded.before), error_rate(loaded.after)),
        (resources(loaded.before), resources(loaded.after)),
        (before, after),
    )


def _traced(stack: Stack, trace_file: Path) -> Tree:
    return Tree(stack, "traced", TRACER_FILES, (("SWARM_TRACE_FILE", str(trace_file)),))


async def _warm(traffic: Traffic, patched: Sequence[Watched], originals: Sequence[Watched]) -> str:
    """Requests to all sides until the patched ones have had every value that payloads choose among; tells how many.

    A service that keeps answers has those that repeat, as it has them in operation. The originals get the same
    sequence for the same time: as much of it as each can take.
    """
    began_s, over = time.monotonic(), asyncio.Event()

    async def warm(one: Watched, leads: bool) -> tuple[int, bool]:
        choices = EveryChoice(traffic, FIRST_WARM_UP)

        def enough(_: int) -> bool:
            passed_s = time.monotonic() - began_s
            return over.is_set() or (leads and choices.through and passed_s >= WARM_S) or passed_s >= WARM_AT_MOST_S

        at_once = WARM_AT_ONCE if leads else ORIGINALS_AT_ONCE
        return await send_in_waves(one, choices.next_requests, at_once, enough), choices.through

    async def lead() -> tuple[int, bool]:
        sent = min(await asyncio.gather(*(warm(one, True) for one in patched)))
        over.set()
        return sent

    (after, through), *others = await asyncio.gather(lead(), *(warm(one, False) for one in originals))
    values = "with every value" if through else "with a part of the values"
    before = min(sent for sent, _ in others)
    return (
        f"warmed for the same time by {before} and {after} requests, the latter {values} that payloads choose among"
    )


async def see_whole(
    standing: Standing, servers: Mapping[str, Watched], traces: Mapping[str, Path], warmed: str
) -> SeenWhole:
    """The same requests to both ends, one after another; those of each side are shared out to two servers.

    All wait for upstreams most of the time, and so do the traced trees beside them. The patched side goes on with
    more of the same mix while the others are not through, and for a moment after.
    """
    lab = standing.lab
    traffic = Traffic(lab.target, lab.payload_root, lab.seed)
    lab.say(f"benchmark: {WHOLES} requests a side, each seen to the end of all that it causes")
    mix = Mix(traffic, FIRST_WHOLE)
    numbers = mix.next_numbers(WHOLES)

    async def traced(name: str, requests: int) -> Traced:
        return await trace_in_turn(servers[name], traces[name], traffic, FIRST_TRACED, requests)

    others = asyncio.gather(
        _shared_out([servers[BEFORE], servers[BEFORE_TWIN]], traffic, numbers),
        traced(BEFORE_TRACED, TRACED_BEFORE),
        traced(AFTER_TRACED, TRACED_AFTER),
    )
    try:
        patched = [servers[AFTER], servers[AFTER_TWIN]]
        after = list(await _shared_out(patched, traffic, numbers))
        await asyncio.gather(*(_further(one, traffic, mix, after, others) for one in patched))
    except BaseException:
        others.cancel()
        raise
    before, *both = await others
    comparison = compare_wholes(END_TO_END, before, after, lab.seed)
    comparison = replace(comparison, note=f"{comparison.note}; {warmed}")
    return SeenWhole(before, tuple(after), comparison, *(one.waterfalls() for one in both))


async def _shared_out(servers: Sequence[Watched], traffic: Traffic, numbers: Sequence[int]) -> tuple[Whole, ...]:
    """Each server sees its share of the requests, one after another; in the order of `numbers`."""
    several = len(servers)
    shares = await asyncio.gather(
        *(send_to_the_end(one, traffic, numbers[place::several]) for place, one in enumerate(servers))
    )
    place = {number: at for at, number in enumerate(numbers)}
    return tuple(sorted((one for share in shares for one in share), key=lambda one: place[one.number]))


async def _further(
    watched: Watched, traffic: Traffic, mix: Mix, seen: list[Whole], others: asyncio.Future[Any]
) -> None:
    """More requests of the mix, added to those seen, until there are enough or the others have long been through."""
    ends_s = math.inf
    while len(seen) < ENOUGH_WHOLES and time.monotonic() < ends_s:
        seen += await send_to_the_end(watched, traffic, mix.next_numbers(1))
        ends_s = min(ends_s, time.monotonic() + SPARE_S) if others.done() else math.inf


async def _load(standing: Standing, ends: tuple[Watched, Watched]) -> Loaded:
    """Open-loop load at the target's own rate, A B B A."""
    lab, load = standing.lab, standing.lab.target.load
    lab.say(f"benchmark: before and after side by side at {load.rate:g}/s")
    runs = await measure_alternating(
        {BEFORE: ends[0].server, AFTER: ends[1].server}, lab.target, lab.payload_root,
        rate=load.rate, slice_s=load.seconds / ROUNDS, rounds=ROUNDS, seed=lab.seed,
        warmup=0, lent=await standing.load_generator(),
    )  # fmt: skip
    return Loaded(runs[BEFORE], runs[AFTER], compare(ANSWER, runs[BEFORE], runs[AFTER], lab.seed))


async def measure_capacity(standing: Standing, stack: Stack, ends: Ends) -> Capacity:
    """How many requests per second each of the two ends takes and finishes; both are held to the same bound.

    The run at the target's own rate is the original's first step; the patched tree begins at what the original held.
    Neither begins while something is left of an overload before. Less than the original is believed when seen twice.
    """
    lab = standing.lab
    lab.say("capacity: raising the rate until it fails")
    servers = await standing.run({BEFORE: end(lab.original), AFTER: end(stack)})
    bound_ms, loaded = latency_bound_ms(ends.whole.before), list[Watched]()

    async def found(name: str, rate: float, known: LoadRun | None, max_steps: int = MAX_STEPS) -> CapacityResult:
        for one in loaded:
            await settled(one)
        loaded.append(servers[name])
        return await find_capacity(
            servers[name], lab.target, lab.payload_root,
            start_rate=rate, step_s=STEP_S, max_steps=max_steps, seed=lab.seed,
            p95_bound_ms=bound_ms, known=known, lent=await standing.load_generator(),
        )  # fmt: skip

    rate = lab.target.load.rate
    before = await found(BEFORE, rate, pooled(ends.loaded.before))
    known = pooled(ends.loaded.after) if before.rps is None else None
    after = await found(AFTER, before.rps or rate, known)
    if before.rps and (after.rps or 0.0) < before.rps:
        again = await found(AFTER, before.rps, None, AGAIN_STEPS)
        after = again if (again.rps or 0.0) > (after.rps or 0.0) else after
    lower = after if before.rps and (after.rps or 0.0) < before.rps else before
    return Capacity(before.rps, after.rps, lower.criterion)


def latency_bound_ms(alone: Sequence[Whole]) -> float:
    """How late an answer may come where capacity is sought: a multiple of what the original takes with one request at
    a time. At a rate that is too much for it everything is late, and nothing would be too late."""
    usual_ms = median(good) if (good := [one.answer_ms for one in alone if one.ok]) else 0.0
    return max(1000.0, 100.0 * round(usual_ms * SLOWER_AT_MOST / 100.0))


async def _drained(watched: Watched, answered_s: float) -> float | None:
    """Seconds from the last answer to the end of the last upstream call; None where calls go on and on."""
    if not await watched.view.quiet(CALM_S, DRAIN_S):
        return None
    last_s = max((call.end_s for call in watched.view.calls[-50:]), default=answered_s)
    return max(0.0, last_s - answered_s)


async def _scraped(ends: tuple[Watched, Watched]) -> list[Samples | None]:
    return list(await asyncio.gather(*(scrape(one.server.base_url) for one in ends)))


def _side(
    traffic: Traffic, wholes: Sequence[Whole], same: Collection[int], runs: Sequence[LoadRun], under: UnderLoad
) -> Side:
    """Work done, upstream calls and caches of one end.

    Calls a webhook are counted of the requests that both ends had (`same`): others make more calls, or fewer.
    """
    learned = WritesByKind.learned([(traffic.kind(one.number), one) for one in wholes])
    return Side(
        _work_done(traffic, learned, runs, under.calls, under.drain_s),
        _use(
            [one for one in wholes if one.number in same],
            (*under.calls, *(call for one in wholes for call in one.calls)),
        ),
        _cache(*under.scraped),
        tuple(sorted({name for name, _ in under.scraped[1] or ()})),
    )


def _work_done(
    traffic: Traffic, learned: WritesByKind, runs: Sequence[LoadRun], calls: Sequence[UpstreamCall],
    drain_s: float | None,
) -> WorkDone:  # fmt: skip
    """Whether every request that was answered well has its writes. The nth sample of all slices is request n."""
    samples = [sample for run in runs for sample in run.samples]
    kinds = [traffic.kind(number) for number, sample in enumerate(samples) if sample.ok]
    expected, seen = learned.expected(kinds), successful_writes(calls)
    return WorkDone(len(kinds), drain_s, expected, seen, max(0, expected - seen))


def _use(wholes: Sequence[Whole], calls: Sequence[UpstreamCall]) -> UpstreamUse:
    good = [one for one in wholes if one.ok]
    each = sum(len(one.calls) for one in good) / len(good) if good else None
    return UpstreamUse(each, failing_share(calls))


def _cache(before: Samples | None, after: Samples | None) -> CacheUse:
    """The caches' figures of the load alone, once they were warm."""
    if after is None:
        return CacheUse(reason="the service serves no metrics")
    figures = cache_figures(since(before, after))
    if figures is None:
        return CacheUse(reason="the service's metrics tell of no cache (cache_requests_total)")
    kinds = tuple((one.kind, one.hits, one.asked) for one in figures.kinds)
    reason = "" if figures.hit_rate is not None else "no cache was asked during the load"
    return CacheUse(kinds, figures.hit_rate, figures.slowest_operation_ms, reason)

"""Measures trees by bursts: a few requests at the same moment, and the next burst when all is over.

At a fixed rate near its capacity a service queues, and the queue drowns the effect of a single patch. A burst
meets an idle service each time; and because its requests come together, work that holds up the event loop shows as
well. What makes a request wait less shows best in requests that come one by one: no other is in their way, and a
few percent are seen after a few. So both are sent.

Services mostly wait, so several are burst at together, as many as leave the processor room. What shares the
processor with others is slower than what has it alone, so only those that were burst at together are compared.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean

from swarm.bench.mix import Mix
from swarm.bench.statistics import Pair, kinds_ratio, paired_ratio
from swarm.bench.watched import Watched, send
from swarm.core.metrics import Ratio
from swarm.target.traffic import Traffic
from swarm.target.wire import Client

SIZE = 4  # requests of a burst: with fewer, chance decides which of them waits for the other
MIN_ROUNDS = 2
SLICE_S = 0.2  # quick services are burst at several times a round
MAX_BURSTS = 8
ROOM = 0.65  # the share of the processor that servers measured together may need


@dataclass(frozen=True, slots=True)
class Burst:
    """One burst: latency in ms of each request (None without a good answer), and until all was over.

    `kinds` tells requests that do the same work. `cpu_ms` is the server's CPU time, for work behind answers too;
    `calls` is how often it called an upstream.
    """

    latencies_ms: tuple[float | None, ...]
    kinds: tuple[Hashable, ...]
    whole_ms: float
    cpu_ms: float
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """One server's bursts of one round. `latencies_ms` has one for each request, `kinds` says of which kind it was.

    None where it was not answered well. `whole_ms` is the mean time until a burst was over, `cpu_ms` the server's
    CPU time per request, `calls` the upstream calls per request.
    """

    latencies_ms: tuple[float | None, ...]
    kinds: tuple[Hashable, ...]
    cpu_ms: float
    whole_ms: float
    calls: float = 0.0


Pairing = tuple[tuple[Slice, ...], tuple[Slice, ...]]


@dataclass(frozen=True, slots=True)
class Sides:
    """What two neighbours showed: the nth slices of both sent the same requests at the same time.

    `together` are bursts, a slice for each round; `alone` are requests one by one, a slice for each request. In each
    the lower side comes first.
    """

    together: Pairing
    alone: Pairing

    @property
    def all(self) -> Pairing:
        """Every slice of both."""
        return self.together[0] + self.alone[0], self.together[1] + self.alone[1]


class Bursts:
    """Bursts at several servers, given by name in the order in which neighbours are compared."""

    def __init__(
        self, servers: Mapping[str, Watched], traffic: Traffic, first_number: int, keeping: Collection[str] = ()
    ) -> None:
        """`keeping` are the last of the servers, which keep answers: each gets what the others of them get."""
        self._keeping = frozenset(keeping)
        self._servers = servers
        self._clients = {name: Client(watched.server.base_url) for name, watched in servers.items()}
        self._traffic = traffic
        self._mix = Mix(traffic, first_number)
        self._cores = os.cpu_count() or 1

    async def measure(self, bursts: int, alone: int) -> dict[tuple[str, str], Sides]:
        """The slices of each server and of the next one, by the names of both: in so many rounds of bursts, and in so
        many of requests one by one.

        A round goes in waves, whose order turns; a first burst of each server, for which nothing counts, tells how
        many may run together.
        """
        pilots = await self._pilots()
        together = await self._rounds(bursts, SIZE, pilots)
        apart = await self._rounds(alone, 1, {name: _one_of(burst) for name, burst in pilots.items()})
        return {pair: Sides(sides, apart[pair]) for pair, sides in together.items()}

    async def _rounds(self, rounds: int, size: int, pilots: Mapping[str, Burst]) -> dict[tuple[str, str], Pairing]:
        """Rounds of bursts of one size; SIZE requests at least in each."""
        slices: dict[tuple[int, str], list[Slice]] = {}
        slowest_s = max(burst.whole_ms for burst in pilots.values()) / 1000.0
        least = SIZE // size
        repeats = min(MAX_BURSTS, least * math.ceil(SLICE_S / max(slowest_s * least, 0.001)))
        waves = list(enumerate(waves_of(pilots, self._cores, self._keeping)))

        async def slice_of(wave: int, name: str, plan: Sequence[Sequence[int]], late_s: float) -> None:
            await asyncio.sleep(late_s)
            bursts = [await self._burst(name, numbers) for numbers in plan]
            several = [bursts] if size > 1 else [[one] for one in bursts]  # who comes alone depends on no other
            slices.setdefault((wave, name), []).extend(map(_slice, several))

        for number in range(rounds):
            turn = number // 2 % len(waves)
            turned = [*waves[turn:], *waves[:turn]]
            for place, wave in turned if number % 2 == 0 else reversed(turned):
                plan = [self._mix.next_numbers(size) for _ in range(repeats)]
                # all at the same moment would want the processor at the same moment
                late_s = 0.0 if size > 1 else slowest_s / len(wave)
                await asyncio.gather(*(slice_of(place, name, plan, at * late_s) for at, name in enumerate(wave)))
        return {
            (below, here): (tuple(slices.get((place, below), ())), tuple(slices.get((place, here), ())))
            for place, wave in waves
            for below, here in pairwise(wave)
        }

    async def _pilots(self) -> dict[str, Burst]:
        """A first burst at each server, the same, for which nothing counts.

        Two begin; how busy they kept the processor tells how many of the next may go together.
        """
        found: dict[str, Burst] = {}
        numbers, left, together = self._mix.next_numbers(SIZE), list(self._servers), max(2, self._cores)
        while left:
            group, left = left[:together], left[together:]
            bursts = await asyncio.gather(*(self._burst(name, numbers) for name in group))
            found |= dict(zip(group, bursts, strict=True))
            most = max(map(_busy, bursts))
            together = max(2, self._cores, int(ROOM * self._cores / max(most, 0.01)))
        return found

    async def _burst(self, name: str, numbers: Sequence[int]) -> Burst:
        return await _burst(self._servers[name], self._clients[name], self._traffic, numbers)

    def close(self) -> None:
        """End the connections to the servers."""
        for client in self._clients.values():
            client.close()


def _one_of(burst: Burst) -> Burst:
    """What one request of a burst would have been without the others: none waits for the processor."""
    cpu_ms = burst.cpu_ms / SIZE
    return replace(burst, cpu_ms=cpu_ms, whole_ms=max(cpu_ms, burst.whole_ms - burst.cpu_ms + cpu_ms))


def waves_of(
    pilots: Mapping[str, Burst], cores: int, keeping: Collection[str] = frozenset()
) -> list[tuple[str, ...]]:
    """Neighbours together, while what they keep the processor busy with leaves room: each its share of the time that
    its own burst takes.

    As many as there are cores go together always: a server of one process keeps no more than one core busy. Each
    wave begins with the last of the one before, so that every two neighbours meet: it gets twice as many requests,
    so none of those that keep answers may be it.
    """
    busy = {name: _busy(burst) for name, burst in pilots.items()}
    waves: list[tuple[str, ...]] = []
    wave: list[str] = []
    for name in pilots:
        grown = [*wave, name]
        crowd = {*grown, *keeping} if name in keeping else {*grown}  # they stay together
        is_full = len(crowd) > max(2, cores) and sum(busy[one] for one in crowd) > ROOM * cores
        if is_full and len(wave) > 1 and wave[-1] not in keeping:
            waves.append(tuple(wave))
            grown = [wave[-1], name]
        wave = grown
    return [*waves, tuple(wave)] if wave else waves


def _busy(burst: Burst) -> float:
    """The share of a core that a server needs while it is burst at."""
    return burst.cpu_ms / max(burst.whole_ms, 1.0)


async def _burst(watched: Watched, client: Client, traffic: Traffic, numbers: Sequence[int]) -> Burst:
    requests = [traffic.request(number, time.time()) for number in numbers]
    cpu_s, began_s = watched.server.cpu_s(), time.monotonic()
    ends_s: list[float] = []

    async def one(place: int) -> float | None:
        status = await send(client, requests[place])
        ends_s.append(time.monotonic())
        return 1000.0 * (ends_s[-1] - began_s) if 200 <= status < 300 else None

    latencies = await asyncio.gather(*(one(place) for place in range(len(requests))))
    over_s = await watched.over(began_s, max(ends_s))
    kinds = tuple(traffic.kind(number) for number in numbers)
    cpu_ms, calls = 1000.0 * (watched.server.cpu_s() - cpu_s), len(watched.calls_since(began_s))
    return Burst(tuple(latencies), kinds, 1000.0 * (over_s - began_s), cpu_ms, calls)


def _slice(bursts: Sequence[Burst]) -> Slice:
    latencies = tuple(latency for burst in bursts for latency in burst.latencies_ms)
    kinds = tuple(kind for burst in bursts for kind in burst.kinds)
    cpu_ms = sum(burst.cpu_ms for burst in bursts) / len(latencies)
    calls = sum(burst.calls for burst in bursts) / len(latencies)
    return Slice(latencies, kinds, cpu_ms, fmean(burst.whole_ms for burst in bursts), calls)


Measured = tuple[Ratio, float, float]


def latency_ratio(before: Sequence[Slice], after: Sequence[Slice], seed: int) -> Measured | None:
    """The ratio of mean latencies, and both in ms; None with too few rounds.

    A request counts where both sides answered it well. Requests are compared within their kind, where kinds came
    often enough for that; rounds are compared as wholes where they did not.
    """
    pairs = [
        Pair(kind, number, b, a)
        for number, (one, two) in enumerate(zip(before, after, strict=False))
        for kind, b, a in zip(one.kinds, one.latencies_ms, two.latencies_ms, strict=True)
        if b is not None and a is not None
    ]
    if len({pair.round for pair in pairs}) < MIN_ROUNDS or not all(pair.before > 0 for pair in pairs):
        return None
    means = fmean(pair.before for pair in pairs), fmean(pair.after for pair in pairs)
    try:
        return (kinds_ratio(pairs), *means)
    except ValueError:
        rounds: dict[int, list[Pair]] = {}
        for pair in pairs:
            rounds.setdefault(pair.round, []).append(pair)
        whole = [(fmean(p.before for p in some), fmean(p.after for p in some)) for some in rounds.values()]
        return _paired(whole, seed)


def whole_ratio(before: Sequence[Slice], after: Sequence[Slice], seed: int) -> Measured | None:
    """The ratio of the times until a burst, or a request alone, was over with all that it caused, and both in ms."""
    return _paired([(one.whole_ms, two.whole_ms) for one, two in _good_rounds(before, after)], seed)


def cpu_ratio(before: Sequence[Slice], after: Sequence[Slice], seed: int) -> Measured | None:
    """The ratio of CPU time per request, and both in ms; None with too few rounds."""
    return _paired([(one.cpu_ms, two.cpu_ms) for one, two in zip(before, after, strict=False)], seed)


def calls_ratio(before: Sequence[Slice], after: Sequence[Slice], seed: int) -> Measured | None:
    """The ratio of upstream calls per request, and both; None with too few rounds, or rounds without a call."""
    return _paired([(one.calls, two.calls) for one, two in _good_rounds(before, after)], seed)


def _good_rounds(before: Sequence[Slice], after: Sequence[Slice]) -> list[tuple[Slice, Slice]]:
    """The rounds in which both sides answered every request well."""
    return [
        (one, two)
        for one, two in zip(before, after, strict=False)
        if None not in one.latencies_ms and None not in two.latencies_ms
    ]


def _paired(pairs: Sequence[tuple[float, float]], seed: int) -> Measured | None:
    if len(pairs) < MIN_ROUNDS or not all(before > 0 and after > 0 for before, after in pairs):
        return None

    def mean(drawn: Sequence[int], side: int) -> float:
        return sum(pairs[number][side] for number in drawn) / len(drawn)

    everything = range(len(pairs))
    ratio = paired_ratio(len(pairs), lambda drawn: (mean(drawn, 0), mean(drawn, 1)), seed)
    return ratio, mean(everything, 0), mean(everything, 1)

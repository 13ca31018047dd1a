"""Warms a server before it is measured: imports, connections, and what it keeps of answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from swarm.bench.mix import Mix
from swarm.bench.watched import Watched, send
from swarm.target.traffic import Traffic
from swarm.target.wire import Client

WINDOW = 64  # requests whose upstream calls are compared with those of as many before
STILL_FALLING = 0.9  # times the calls of the window before: less means that there is more to be kept


async def warm_up(
    watched: Watched, traffic: Traffic, first_number: int, seconds: float, at_once: int = 1, *,
    at_most_s: float | None = None,
) -> int:  # fmt: skip
    """Requests for so long (one wave at least), `at_once` together; how many were sent.

    Two sides that get the same time get as much of the same sequence as each can take. The next wave waits until
    all is over that the last one caused: what answers early would have a queue when it is measured. With `at_most_s`
    it goes on until then while the upstream calls a request still fall: a service that keeps answers has seen what
    repeats, as it has in operation.
    """
    clients = [Client(watched.server.base_url) for _ in range(at_once)]
    mix, calls = Mix(traffic, first_number), list[int]()
    start_s = time.monotonic()

    def goes_on() -> bool:
        spent_s = time.monotonic() - start_s
        if not calls or spent_s < seconds:
            return True
        return at_most_s is not None and spent_s < at_most_s and not steady(calls, at_once)

    while goes_on():
        began_s = time.monotonic()
        requests = [traffic.request(number, time.time()) for number in mix.next_numbers(at_once)]
        await asyncio.gather(*(send(client, one) for client, one in zip(clients, requests, strict=True)))
        await watched.over(began_s, time.monotonic())
        calls.append(len(watched.calls_since(began_s)))
    for client in clients:
        client.close()
    return at_once * len(calls)


def steady(calls: Sequence[int], at_once: int) -> bool:
    """Whether upstream calls, counted by wave of `at_once` requests, have stopped falling."""
    waves = max(1, WINDOW // at_once)
    if len(calls) < 2 * waves:
        return False
    before, last = sum(calls[-2 * waves : -waves]), sum(calls[-waves:])
    return last >= STILL_FALLING * before

"""Fills what servers keep before they are measured: a cache is worth what it is worth once it is not empty."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from swarm.bench.mix import Mix
from swarm.bench.watched import CALM_S, LIMIT_S, Watched, send
from swarm.target.traffic import Traffic
from swarm.target.wire import Client

REQUESTS = 24
AT_ONCE = 4


async def fill(servers: Sequence[Watched], traffic: Traffic, first_number: int) -> None:
    """Send the same requests to each server, a few at once, the next when all is over that they caused.

    Those without a cache get them too: their databases must have grown as much.
    """
    numbers = Mix(traffic, first_number).next_numbers(REQUESTS) if servers else ()

    async def one(watched: Watched) -> None:
        client = Client(watched.server.base_url)
        for start in range(0, REQUESTS, AT_ONCE):
            requests = [traffic.request(number, time.time()) for number in numbers[start : start + AT_ONCE]]
            await asyncio.gather(*(send(client, request) for request in requests))
            await watched.view.quiet(CALM_S, LIMIT_S)
        client.close()

    await asyncio.gather(*(one(watched) for watched in servers))

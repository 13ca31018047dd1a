"""Fills what servers keep before they are measured: a cache is worth what it is worth once it is not empty."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from swarm.bench.mix import Mix
from swarm.bench.watched import Watched, send_in_waves
from swarm.target.traffic import Traffic

REQUESTS = 24
AT_ONCE = 4


async def fill(servers: Sequence[Watched], traffic: Traffic, first_number: int) -> None:
    """Send the same requests to each server, a few at once, the next when all is over that they caused.

    Those without a cache get them too: their databases must have grown as much.
    """

    async def one(watched: Watched) -> None:
        await send_in_waves(watched, Mix(traffic, first_number).next_requests, AT_ONCE, lambda sent: sent >= REQUESTS)

    await asyncio.gather(*(one(watched) for watched in servers))

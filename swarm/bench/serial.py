"""Sends webhooks one after another: for waterfalls and profiles, where requests must not disturb each other."""

from __future__ import annotations

import time
from collections.abc import Iterable

from swarm.bench.load import Sample
from swarm.target.traffic import Traffic
from swarm.target.wire import Client, WireError


async def send_in_turn(
    base_url: str, traffic: Traffic, numbers: Iterable[int], *, timeout_s: float = 10.0
) -> tuple[Sample, ...]:
    """The requests of these numbers, each after the answer of the one before; `due_s` is when it was sent."""
    client, samples = Client(base_url), []
    began_s = time.monotonic()
    for number in numbers:
        request = traffic.request(number, time.time())
        message = client.encode(request.method, request.path, request.headers, request.body)
        sent_s = time.monotonic()
        status, error = 0, ""
        try:
            status = (await client.send(request.method, message, timeout_s)).status
        except WireError as failure:
            error = str(failure)
        latency_ms = (time.monotonic() - sent_s) * 1000.0
        samples.append(Sample(sent_s - began_s, latency_ms, status, 200 <= status < 300, error))
    client.close()
    return tuple(samples)

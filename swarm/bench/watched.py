"""A server under measurement and the record of what it asks of upstreams: when is all over that a request caused?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from swarm.bench.mix import Mix
from swarm.target.running.server import RunningServer
from swarm.target.traffic import Traffic, WebhookRequest
from swarm.target.upstream.calls import UpstreamCall
from swarm.target.upstream.view import View
from swarm.target.wire import Client, WireError

NextRequests = Callable[[int, float], Sequence[WebhookRequest]]  # of how many, and the Unix time in them
CALM_S = 0.06  # with no call for so long, no more is expected
RETRY_CALM_S = 0.45  # after a call that failed in passing: it may be made again after a pause
LIMIT_S = 10.0
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Whole:
    """One request seen to its end: `answer_ms` to its answer, `whole_ms` to the end of all that it caused.

    `calls` are the upstream calls in it. `whole_ms` is never less than `answer_ms`.
    """

    number: int
    status: int
    ok: bool
    answer_ms: float
    whole_ms: float
    calls: tuple[UpstreamCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Watched:
    """One running server and its own view of the upstreams."""

    server: RunningServer
    view: View

    async def over(self, began_s: float, answered_s: float) -> float:
        """Wait until the upstreams are quiet; when the last call since `began_s` ended, or the answer came.

        Work that asks nothing of an upstream is not seen here.
        """
        waited_for: UpstreamCall | None = None
        while True:
            await self.view.quiet(CALM_S if waited_for is None else RETRY_CALM_S, LIMIT_S)
            last = next((call for call in reversed(self.view.calls) if call.start_s >= began_s), None)
            if last is None or last is waited_for or not last.failed_in_passing:
                return max(answered_s, last.end_s if last else answered_s)
            waited_for = last

    def calls_since(self, began_s: float) -> tuple[UpstreamCall, ...]:
        """The calls that began since then and have ended, in the order of their ends."""
        return tuple(call for call in self.view.calls if call.start_s >= began_s)


async def send(client: Client, request: WebhookRequest) -> int:
    """The status of the answer; 0 where no complete one came."""
    message = client.encode(request.method, request.path, request.headers, request.body)
    try:
        return (await client.send(request.method, message, TIMEOUT_S)).status
    except WireError:
        return 0


async def send_to_the_end(watched: Watched, traffic: Traffic, numbers: Iterable[int]) -> tuple[Whole, ...]:
    """The requests of these numbers, each after everything that the one before caused."""
    client, wholes = Client(watched.server.base_url), []
    for number in numbers:
        request = traffic.request(number, time.time())
        began_s = time.monotonic()
        status = await send(client, request)
        answered_s = time.monotonic()
        over_s = await watched.over(began_s, answered_s)
        wholes.append(
            Whole(
                number, status, 200 <= status < 300, 1000.0 * (answered_s - began_s), 1000.0 * (over_s - began_s),
                watched.calls_since(began_s),
            )
        )  # fmt: skip
    client.close()
    return tuple(wholes)


async def warm_up(watched: Watched, traffic: Traffic, first_number: int, at_once: int = 1) -> None:
    """One wave, seen to its end: imports, connections."""
    await send_in_waves(watched, Mix(traffic, first_number).next_requests, at_once, lambda _: True)


async def send_in_waves(watched: Watched, requests: NextRequests, at_once: int, enough: Callable[[int], bool]) -> int:
    """Requests, `at_once` together, one wave at least, until so many are `enough`; how many were sent.

    The next wave waits until all is over that the last one caused: what answers early would have a queue when it is
    measured.
    """
    clients = [Client(watched.server.base_url) for _ in range(at_once)]
    sent = 0
    while not sent or not enough(sent):
        began_s = time.monotonic()
        wave = requests(at_once, time.time())
        await asyncio.gather(*(send(client, one) for client, one in zip(clients, wave, strict=True)))
        await watched.over(began_s, time.monotonic())
        sent += at_once
    for client in clients:
        client.close()
    return sent

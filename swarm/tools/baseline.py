"""The unpatched service, running with its upstreams, and one request to it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swarm.config.schema import Target
from swarm.core.errors import SwarmError, ToolFailed
from swarm.core.place import TargetPlace

if TYPE_CHECKING:
    from swarm.target.running.server import RunningServer
    from swarm.target.traffic import Traffic
    from swarm.target.tree.copies import Copy
    from swarm.target.upstream.upstreams import Upstreams

ANSWER_S = 20.0
_BODY_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Baseline:
    """The running service, the systems that it calls, and who sends it webhooks."""

    server: RunningServer
    upstreams: Upstreams
    traffic: Traffic

    async def stop(self) -> None:
        """Stop both; one that fails to stop must not keep the other running."""
        try:
            await self.server.stop()
        finally:
            await self.upstreams.stop()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. `status` is 0 where no answer came, and `body` says why."""

    method: str
    path: str
    status: int
    duration_ms: float
    headers: dict[str, str]
    body: bytes


async def start_baseline(
    place: TargetPlace, copy: Copy, target: Target, payload_root: Path, *, tmp: Path, seed: int
) -> Baseline:
    """Start upstreams, then the service. Raises ToolFailed where one does not; nothing is left then."""
    from swarm.target.running.server import start_server
    from swarm.target.traffic import Traffic
    from swarm.target.upstream.upstreams import Upstreams

    started: list[Callable[[], Awaitable[None]]] = []
    try:
        traffic = Traffic(target, payload_root, seed)
        upstreams = await Upstreams.start(place, copy, target, tmp=tmp / "upstreams", seed=seed)
        started.append(upstreams.stop)
        server = await start_server(
            place,
            copy,
            target,
            upstream_env=upstreams.env,
            inject=upstreams.inject,
            tmp=tmp / "server",
        )
    except BaseException as error:
        for stop in started:
            await stop()
        if isinstance(error, SwarmError):
            raise ToolFailed(f"the service does not start: {error}") from error
        raise
    return Baseline(server, upstreams, traffic)


async def exchange(base_url: str, method: str, path: str, headers: dict[str, str], body: bytes) -> Exchange:
    """One request to `path` below `base_url`; redirects are not followed, proxies not used."""
    import httpx

    url = httpx.URL(base_url).copy_with(raw_path=path.encode("ascii", "replace"))
    began_s = time.perf_counter()
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_S) as client:
            answer = await client.request(method, url, headers=headers, content=body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = f"{type(error).__name__}: {error}".encode()
        return Exchange(method, path, 0, (time.perf_counter() - began_s) * 1000, {}, reason)
    took_ms = (time.perf_counter() - began_s) * 1000
    content = answer.content[:_BODY_BYTES]
    return Exchange(method, path, answer.status_code, took_ms, dict(answer.headers), content)

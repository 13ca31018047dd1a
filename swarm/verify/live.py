"""A candidate that runs: its server beside its own upstreams, stopped again whatever happens."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from swarm.analysis.index import Index
from swarm.probes.probe import ProbeContext, ProbeResult, probe_client
from swarm.probes.routes import headers_of, routes_of
from swarm.probes.run import run_probes
from swarm.probes.second_start import SecondStart
from swarm.target.running.server import RunningServer, start_server
from swarm.target.traffic import Traffic
from swarm.target.tree.copies import Copy
from swarm.target.upstream.upstreams import Upstreams
from swarm.verify.lab import Lab

# Numbers of requests that no other sender of the run uses.
FIRST_PROBE = 700_000
FIRST_PROBE_AGAIN = 750_000  # a server that was probed already would take the same events for repeated ones


@dataclass(frozen=True, slots=True)
class Live:
    """A running tree."""

    server: RunningServer
    upstreams: Upstreams
    copy: Copy


@asynccontextmanager
async def running(lab: Lab, copy: Copy, name: str) -> AsyncIterator[Live]:
    """Start the tree in `copy` with upstreams of its own. Raises TargetError where it does not start."""
    folder = lab.folder(name)
    upstreams = await Upstreams.start(lab.place, copy, lab.target, tmp=folder / "upstreams", seed=lab.seed)
    try:
        server = await start_server(
            lab.place,
            copy,
            lab.target,
            upstream_env=upstreams.env,
            inject=upstreams.inject,
            tmp=folder / "tmp",
        )
        try:
            yield Live(server, upstreams, copy)
        finally:
            await server.stop()
    finally:
        await upstreams.stop()


async def probe_live(
    lab: Lab, live: Live, index: Index, only: Collection[str] = (), fresh_copy: Callable[[], Copy] | None = None
) -> tuple[ProbeResult, ...]:
    """All live probes (or `only` some) against a running tree; the routes that its code names are probed too.

    With `fresh_copy`, which makes one more copy of the same tree, probes go side by side.
    """
    again = SecondStart(
        lab.place, live.copy, lab.target, live.upstreams, lab.seed, lambda: lab.folder("again"),
        fresh_copy or (lambda: live.copy),
    )  # fmt: skip
    async with probe_client(20.0) as client:
        context = ProbeContext(
            base_url=live.server.base_url,
            target=lab.target,
            traffic=Traffic(lab.target, lab.payload_root, lab.seed),
            client=client,
            server=live.server,
            upstreams=live.upstreams,
            number=itertools.count(FIRST_PROBE_AGAIN if only else FIRST_PROBE),
            routes=routes_of(index),
            header_names=headers_of(index),
            index=index,
            start_again=again.service,
            fresh_upstreams=again.upstreams,
            place=lab.place,
            start_apart=again.apart if fresh_copy else None,
        )
        return await run_probes(context, only)

"""A candidate that runs: its server beside its own upstreams, stopped again whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from swarm.target.copies import Copy
from swarm.target.server import RunningServer, start_server
from swarm.target.upstreams import Upstreams
from swarm.verify.lab import Lab


@dataclass(frozen=True, slots=True)
class Live:
    """A running tree."""

    server: RunningServer
    upstreams: Upstreams


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
            yield Live(server, upstreams)
        finally:
            await server.stop()
    finally:
        await upstreams.stop()

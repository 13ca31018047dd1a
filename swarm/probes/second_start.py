"""The same tree, and what it calls, started once more beside the server that is probed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from swarm.config.schema import Target
from swarm.core.place import TargetPlace
from swarm.probes.probe import Apart
from swarm.target.running.server import RunningServer, start_server
from swarm.target.tree.copies import Copy
from swarm.target.upstream.upstreams import Upstreams

_STARTS_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class SecondStart:
    """What is probed, and where it may be started again: `fresh` gives a new folder each time, `fresh_copy` another
    copy of the same tree, untouched by any server.

    Its methods are what a ProbeContext calls `start_again`, `fresh_upstreams` and `start_apart`.
    """

    place: TargetPlace
    copy: Copy
    target: Target
    session: Upstreams
    seed: int
    fresh: Callable[[], Path]
    fresh_copy: Callable[[], Copy]

    @asynccontextmanager
    async def service(
        self, env: Mapping[str, str], tmp: Path | None = None, upstreams: Upstreams | None = None
    ) -> AsyncIterator[RunningServer]:
        """As `swarm.probes.probe.StartAgain` says."""
        beside = upstreams or self.session
        server = await start_server(
            self.place,
            self.copy,
            self.target,
            upstream_env=beside.env,
            inject=beside.inject,
            extra_env=env,
            tmp=tmp or self.fresh(),
            deadline_s=max(_STARTS_WITHIN_S, self.target.start_seconds),
        )
        try:
            yield server
        finally:
            await server.stop()

    @asynccontextmanager
    async def upstreams(self) -> AsyncIterator[Upstreams]:
        """As `swarm.probes.probe.FreshUpstreams` says."""
        started = await Upstreams.start(self.place, self.copy, self.target, tmp=self.fresh(), seed=self.seed)
        try:
            yield started
        finally:
            await started.stop()

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Apart]:
        """As `swarm.probes.probe.StartApart` says."""
        copy = await asyncio.to_thread(self.fresh_copy)
        try:
            async with self.upstreams() as upstreams:
                own = replace(self, copy=copy, session=upstreams)
                async with own.service({}) as server:
                    yield Apart(server, upstreams, own.service, own.upstreams)
        finally:
            await asyncio.to_thread(shutil.rmtree, copy.workspace, ignore_errors=True)

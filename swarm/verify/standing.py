"""Trees of the target that run side by side over one set of upstreams: started once, kept from phase to phase."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from swarm.bench.load import LoadGenerator
from swarm.bench.watched import Watched
from swarm.core.errors import TargetError
from swarm.core.patches import FileChange
from swarm.target.running.server import start_server
from swarm.target.upstream.steady import Steady
from swarm.target.upstream.upstreams import Upstreams
from swarm.verify.candidate import Stack
from swarm.verify.lab import Lab, Trial


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree to run. Trees with the same changes and role are one; `inject` and `env` are of a traced one.

    One whose memory is told is `exact`: started without a fork.
    """

    stack: Stack
    role: str = ""
    inject: tuple[Path, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    exact: bool = False

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.role, self.exact, self.stack.combined()


def end(stack: Stack) -> Tree:
    """One of the two ends of the benchmark: the original, or the tree with all patches."""
    return Tree(stack, exact=True)


Key = tuple[str, bool, tuple[FileChange, ...]]


@dataclass(frozen=True, slots=True)
class _Kept:
    watched: Watched
    trial: Trial


class Standing:
    """Use as `async with Standing(lab) as standing`; nothing runs before it is asked for."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.generator = LoadGenerator()
        self.steady = Steady()
        self._stack = AsyncExitStack()
        self._upstreams: Upstreams | None = None
        self._loaded = False
        self._kept: dict[Key, _Kept] = {}
        self._one = asyncio.Lock()  # the upstreams are started by the first who asks
        self._at_once = asyncio.Semaphore(os.cpu_count() or 1)

    async def __aenter__(self) -> Standing:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.keep()
        finally:
            await self._stack.aclose()

    async def load_generator(self) -> LoadGenerator:
        """The one load generator, started when first needed."""
        if not self._loaded:
            self._loaded = True
            await self._stack.enter_async_context(self.generator)
        return self.generator

    async def run(self, trees: Mapping[str, Tree]) -> dict[str, Watched]:
        """Every tree's server; those that don't run yet are started. Raises TargetError where one does not start."""
        upstreams = await self._running_upstreams()

        async def start(name: str, tree: Tree) -> None:
            async with self._at_once:
                if tree.key not in self._kept:
                    self._kept[tree.key] = await self._start(name, tree, upstreams)

        tasks = [start(*item) for item in {tree.key: (name, tree) for name, tree in trees.items()}.values()]
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return {name: self._kept[tree.key].watched for name, tree in trees.items()}

    async def keep(self, *trees: Tree) -> None:
        """Stop all but these."""
        wanted = {tree.key for tree in trees}
        ending = [self._kept.pop(key) for key in list(self._kept) if key not in wanted]
        await asyncio.gather(*(one.watched.server.stop() for one in ending))
        for one in ending:
            await one.watched.view.close()
        await asyncio.gather(*(asyncio.to_thread(one.trial.discard) for one in ending))

    async def _running_upstreams(self) -> Upstreams:
        async with self._one:
            if self._upstreams is None:
                lab = self.lab
                base = lab.trial(lab.original, ())
                self._stack.callback(base.discard)
                self._upstreams = await Upstreams.start(
                    lab.place, base.copy, lab.target, tmp=lab.folder("standing") / "upstreams", seed=lab.seed
                )
                self._stack.push_async_callback(self._upstreams.stop)
        return self._upstreams

    async def _start(self, name: str, tree: Tree, upstreams: Upstreams) -> _Kept:
        lab = self.lab
        trial = await asyncio.to_thread(lab.trial, tree.stack, ())
        view = await upstreams.view(self.steady)
        try:
            server = await start_server(
                lab.place, trial.copy, lab.target, upstream_env=view.env, inject=(*view.inject, *tree.inject),
                extra_env=dict(tree.env), tmp=lab.folder("server"), exact=tree.exact,
            )  # fmt: skip
        except BaseException as error:
            await view.close()
            trial.discard()
            if isinstance(error, TargetError):
                raise TargetError(f"{name} did not start for the benchmark: {error}") from error
            raise
        return _Kept(Watched(server, view), trial)

"""The lab: what the gates know of the original, and where they try candidates."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from swarm.config.schema import Target
from swarm.core.events import Progress
from swarm.core.patches import Patch
from swarm.core.place import TargetPlace
from swarm.core.ports import EventSink, Sandbox
from swarm.probes.probe import ProbeResult
from swarm.rules.rule import Rule
from swarm.target.replay.observation import Recording
from swarm.target.tree.copies import Copy, apply_changes
from swarm.target.tree.pristine import Pristine
from swarm.target.upstream.tape import Tape
from swarm.verify.candidate import Stack
from swarm.verify.testrun import TestRun


@dataclass(frozen=True, slots=True)
class Lab:
    """Everything that a gate needs. `scratch` is a folder of this run's that nothing else writes to."""

    place: TargetPlace
    target: Target
    payload_root: Path
    sandbox: Sandbox
    scratch: Path
    rules: Mapping[str, Rule]
    original: Stack
    tests_before: TestRun | None
    tape: Tape
    recording: asyncio.Future[Recording]
    probes_before: tuple[ProbeResult, ...]
    start_log_before: str
    emit: EventSink
    pristine: Pristine
    seed: int = 7
    requests: int = 6
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def folder(self, name: str) -> Path:
        """A fresh folder below scratch."""
        folder = self.scratch / f"{name}-{next(self.numbers)}"
        folder.mkdir(parents=True)
        return folder

    def fresh_copy(self, name: str) -> Copy:
        """One more copy of the original."""
        return self.pristine.another(self.folder(name) / "tree")

    def trial(self, stack: Stack, judged: tuple[Patch, ...], below: Stack | None = None) -> Trial:
        """A copy of the target with the whole stack applied; `judged` are the patches that `below` has not."""
        copy = self.patched(stack, self.folder("trial") / "tree")
        return Trial(stack, judged, copy, below or self.original)

    def patched(self, stack: Stack, destination: Path) -> Copy:
        """A copy of the target at `destination`, with the whole stack applied."""
        copy = self.pristine.another(destination)
        apply_changes(copy, stack.combined())
        return copy

    def say(self, message: str) -> None:
        """Tell the user about a step."""
        self.emit(Progress(message))


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate on disk: `below` and the patches that are judged."""

    stack: Stack
    judged: tuple[Patch, ...]
    copy: Copy
    below: Stack

    def discard(self) -> None:
        """Remove the copy."""
        shutil.rmtree(self.copy.workspace.parent, ignore_errors=True)

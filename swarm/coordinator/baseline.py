"""The baseline: what the target is before anything is changed."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.config.schema import Target
from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace
from swarm.core.ports import CommandLimits, Sandbox
from swarm.target.copies import Copy, make_copy
from swarm.target.environment import child_environment, command_line
from swarm.target.observation import Observation, Recording
from swarm.target.place import resolve_place
from swarm.target.replay import observe, record_first
from swarm.target.tape import Tape
from swarm.tools.lease import Lease
from swarm.verify.testrun import TestRun, run_tests


@dataclass(frozen=True, slots=True)
class Baseline:
    """The original: where it lies, its index, its tests' outcome, its recorded behaviour."""

    place: TargetPlace
    copy: Copy
    index: Index
    tests: TestRun | None
    first_look: Observation
    tape: Tape
    commit: str | None

    async def recording(self, target: Target, lease: Lease, *, requests: int, seed: int, tmp: Path) -> Recording:
        """The second look, beside whatever else is at work: what differs from the first is volatile."""
        async with lease.working():
            second = await observe(
                self.place, self.copy, target, requests=requests, seed=seed, tape=self.tape, tmp=tmp
            )
        return Recording(self.first_look, second, self.tape)


async def take_baseline(
    name: str,
    target: Target,
    folder: Path,
    sandbox: Sandbox,
    scratch: Path,
    *,
    requests: int,
    seed: int,
) -> Baseline:
    """Copy, index, test, start and record the target.

    Raises TargetError where it does not start or its own tests are red.
    """
    place = resolve_place(name, target, folder)
    copy = await asyncio.to_thread(make_copy, place, scratch / "baseline" / "tree")
    await run_setup(place, copy, target, sandbox, scratch / "baseline" / "setup")
    async with cancelled_together() as group:
        indexing = group.create_task(asyncio.to_thread(lambda: build_index(SourceTree.load(copy.path))))
        recording = group.create_task(
            record_first(place, copy, target, requests=requests, seed=seed, tmp=scratch / "baseline" / "record")
        )
        testing = group.create_task(run_tests(place, copy, target, sandbox, scratch / "baseline" / "tests"))
    tests = testing.result()
    if tests is not None and not tests.green:
        raise TargetError(red_tests(name, tests))
    first_look, tape = recording.result()
    return Baseline(place, copy, indexing.result(), tests, first_look, tape, commit_of(place.path))


@asynccontextmanager
async def cancelled_together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises the first error itself, not a group of it."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except* Exception as errors:  # noqa: BLE001 - raised again
        raise errors.exceptions[0] from None


async def run_setup(place: TargetPlace, copy: Copy, target: Target, sandbox: Sandbox, tmp: Path) -> None:
    """Run the target's `setup` in a copy. Raises TargetError where it fails."""
    if not target.setup:
        return
    tmp.mkdir(parents=True, exist_ok=True)
    argv = command_line(target.setup, place, tmp=tmp, port=None)
    env = child_environment(place, copy, target, tmp, None, {})
    result = await sandbox.run(argv, copy.cwd, env, CommandLimits(timeout_s=120.0))
    if result.exit_code != 0:
        tail = " | ".join(result.output.strip().splitlines()[-2:])
        raise TargetError(f"target {place.name!r}: setup failed ({target.setup}): {tail}")


def red_tests(name: str, tests: TestRun) -> str:
    """One or two lines on tests that fail before any patch."""
    failing = ", ".join(tests.failing[:3]) or (tests.tail.splitlines() or ["no output"])[-1]
    why = f"ended by {tests.ended_by}" if tests.ended_by else f"{tests.counts.failed} failing: {failing}"
    return (
        f"target {name!r}: its own tests fail before any patch ({why}).\n"
        "Mend them first, or take the `tests` key out of agents.yaml to let replay alone carry the proof."
    )


def commit_of(path: Path) -> str | None:
    """The commit that the user's tree stands at, or None outside git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(path), "rev-parse", "--short=12", "HEAD"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None

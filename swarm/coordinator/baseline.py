"""The baseline: what the target is before anything is changed."""

from __future__ import annotations

import asyncio
import re
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
from swarm.core.ports import Sandbox
from swarm.target.replay.look import observe, record_first
from swarm.target.replay.observation import Exchange, Observation, Recording
from swarm.target.replay.stored_state import StoredState
from swarm.target.tree.copies import Copy
from swarm.target.tree.place import resolve_place
from swarm.target.tree.pristine import Pristine
from swarm.target.upstream.tape import Tape
from swarm.tools.lease import Lease
from swarm.verify.testrun import TestRun, run_tests

_NETWORK = re.compile(r"no network but loopback: (\S+)")


@dataclass(frozen=True, slots=True)
class Original:
    """The original: where it lies, a copy of it, where further ones come from, its index, its commit."""

    place: TargetPlace
    pristine: Pristine
    copy: Copy
    index: Index
    commit: str | None


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the original does: its own tests' outcome, and its recorded behaviour.

    `recording` is under way: a second look is taken beside the specialists. Await it where it is needed, cancel it
    where not.
    """

    tests: TestRun | None
    first_look: Observation
    tape: Tape
    recording: asyncio.Future[Recording]


@dataclass(frozen=True, slots=True)
class Tested:
    """What a journal may hold of a baseline: the target's own tests (None: it has none), and what there is to say."""

    tests: TestRun | None
    notes: tuple[str, ...] = ()


def not_recorded() -> Baseline:
    """In place of the baseline of a run whose proof was whole before it was cut off: the rest needs no recording."""
    gone: asyncio.Future[Recording] = asyncio.get_running_loop().create_future()
    gone.set_exception(RuntimeError("a proof was begun that has no recording to go by"))
    gone.exception()  # looked at: whoever awaits it gets it all the same
    nothing = StoredState({}, 0.0)
    return Baseline(None, Observation((), nothing, nothing, (), 0.0), Tape(), gone)


async def look_at(name: str, target: Target, folder: Path, scratch: Path) -> Original:
    """Copy and index the target. Raises TargetError where it cannot be found or copied."""
    place = resolve_place(name, target, folder)
    pristine = Pristine(place, scratch / "pristine")
    copy = await asyncio.to_thread(pristine.another, scratch / "baseline" / "tree")
    index = await asyncio.to_thread(lambda: build_index(SourceTree.load(copy.path)))
    return Original(place, pristine, copy, index, commit_of(place.path))


async def take_baseline(
    original: Original,
    target: Target,
    sandbox: Sandbox,
    scratch: Path,
    lease: Lease,
    *,
    requests: int,
    seed: int,
    known: Tested | None = None,
) -> Baseline:
    """Run the target's own tests and record its behaviour, beside other work but never beside a measurement.

    Tests that are `known` to pass are not run again. Raises TargetError where it does not start or its tests are red.
    """
    place, copy = original.place, original.copy

    async def tested() -> TestRun | None:
        if known is not None:
            return known.tests
        async with lease.working():
            tests = await run_tests(place, copy, target, sandbox, scratch / "baseline" / "tests")
        if tests is not None and not tests.green:
            raise TargetError(red_tests(place.name, tests))
        return tests

    async def looked_at() -> tuple[Observation, Tape]:
        async with lease.working():
            return await record_first(
                place, copy, target, requests=requests, seed=seed, tmp=scratch / "baseline" / "first"
            )

    async with cancelled_together() as group:
        testing, looking = group.create_task(tested()), group.create_task(looked_at())
    first, tape = looking.result()

    async def recorded() -> Recording:
        async with lease.working():
            second = await observe(
                place, copy, target, requests=requests, seed=seed, tape=tape, tmp=scratch / "baseline" / "second"
            )
        return Recording(first, second, tape)

    return Baseline(testing.result(), first, tape, asyncio.create_task(recorded()))


@asynccontextmanager
async def cancelled_together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises the first error itself, not a group of it."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except* Exception as errors:  # noqa: BLE001 - raised again
        raise errors.exceptions[0] from None


def red_tests(name: str, tests: TestRun) -> str:
    """One or two lines on tests that fail before any patch."""
    failing = ", ".join(tests.failing[:3]) or (tests.tail.splitlines() or ["no output"])[-1]
    why = f"ended by {tests.ended_by}" if tests.ended_by else f"{tests.counts.failed} failing: {failing}"
    if calls := _NETWORK.search(tests.tail):
        why += f"; they call {calls[1]}, and nothing leaves this machine"
    return (
        f"target {name!r}: its own tests fail before any patch ({why}).\n"
        "Mend them first, leave them out by name (`swarm init` writes how), or take the `tests` key out "
        "of agents.yaml to let replay alone carry the proof."
    )


def bad_answers(look: Observation) -> tuple[str, ...]:
    """A line where some declared requests get no good answer: what they should show cannot be proven.

    Raises TargetError where none does: then nothing can.
    """
    good = [exchange for exchange in look.exchanges if exchange.kind == "normal"]
    bad = [exchange for exchange in good if not 200 <= exchange.status < 400]
    if not bad:
        return ()
    if len(bad) == len(good):
        raise TargetError(nothing_good(bad[0]))
    answers = ", ".join(sorted({str(exchange.status or exchange.error) for exchange in bad}))
    return (
        f"{len(bad)} of {len(good)} requests, correct as agents.yaml declares them, get no good answer "
        f"({answers}; first: {bad[0].label}): look at payloads, sign, env and what upstreams answer",
    )


def nothing_good(exchange: Exchange) -> str:
    """One or two lines on a target that refuses whatever agents.yaml declares as correct."""
    words = exchange.error or exchange.body.decode("utf-8", "replace")[:120].replace("\n", " ")
    return (
        f"no request that agents.yaml declares gets a good answer (first: {exchange.label}: "
        f"{exchange.status or 'no answer'} {words})\n"
        "Mend its webhooks' payloads or sign, env, or what its upstreams answer: nothing can be proven without one."
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

"""Judges a stack: every gate but the benchmark, side by side where neither needs the other, told in their order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from swarm.core.errors import TargetError
from swarm.core.events import GateFinished
from swarm.core.masking import without_keys
from swarm.core.patches import GateName, GateResult, Patch
from swarm.core.report import ReplayOutcome, TestCounts
from swarm.probes.probe import ProbeResult
from swarm.probes.run import all_probes
from swarm.rules.looking import found_by
from swarm.target.replay.observation import Exchange
from swarm.verify.candidate import Stack
from swarm.verify.free_form import refusal
from swarm.verify.gates import durable, gone, parses, probes, protects, replay, starts, tests
from swarm.verify.lab import Lab, Trial
from swarm.verify.live import Live, probe_live, running


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gates say of a stack, up to the first that fails; `probes` is what the live probes saw of it."""

    gates: tuple[GateResult, ...]
    tests: TestCounts | None = None
    replay: ReplayOutcome | None = None
    probes: tuple[ProbeResult, ...] = ()

    @property
    def failed(self) -> GateResult | None:
        """The gate that failed, if one did."""
        return next((gate for gate in self.gates if gate.passed is False), None)


async def judge(lab: Lab, stack: Stack, judged: tuple[Patch, ...], below: Stack | None = None) -> Judgement:
    """Every gate but the benchmark, in order, up to the first that fails; `below` is the stack without `judged`."""
    trial, told = lab.trial(stack, judged, below), _Told(lab, judged)
    try:
        if not (told.passes(await parses.check(lab, trial)) and told.passes(_protects(lab, trial))):
            return Judgement(told.results)
        scanned = asyncio.ensure_future(asyncio.to_thread(gone.check, lab, trial))
        try:
            slow, tested, replayed, probed = await _tests_beside_live(lab, trial)
            if all(told.passes(result) for result in slow):
                told.passes(await scanned)
            return Judgement(told.results, tested, replayed, probed)
        finally:
            await asyncio.gather(scanned, return_exceptions=True)  # it reads the copy
    finally:
        trial.discard()


async def ask(lab: Lab, stack: Stack, judged: tuple[Patch, ...], below: Stack, gate: GateName) -> Judgement:
    """One gate with what it needs and what costs nothing: to find who fails it. Nothing else runs beside it."""
    trial, told = lab.trial(stack, judged, below), _Told(lab, judged)
    try:
        if told.passes(await parses.check(lab, trial)) and told.passes(_protects(lab, trial)):
            all(told.passes(result) for result in await _asked(lab, trial, gate))
        return Judgement(told.results)
    finally:
        trial.discard()


async def _asked(lab: Lab, trial: Trial, gate: GateName) -> list[GateResult]:
    match gate:
        case "tests":
            return [(await tests.check(lab, trial))[0]]
        case "replay":
            return [(await replay.check(lab, trial))[0]]
        case "durable":
            return (await _replayed(lab, trial))[0]
        case "gone":
            return [await asyncio.to_thread(gone.check, lab, trial)]
        case "starts" | "probes":
            started = time.monotonic()
            try:
                async with running(lab, trial.copy, "starts") as live:
                    start = _started(lab, live, started)
                    if gate == "starts" or start.passed is False:
                        return [start]
                    return [start, (await _probe(lab, trial, live))[0]]
            except TargetError as error:
                return [_not_started(error, started)]
        case _:
            return []


class _Told:
    """The results so far, each told as it comes."""

    def __init__(self, lab: Lab, judged: tuple[Patch, ...]) -> None:
        self.results: tuple[GateResult, ...] = (GateResult("applies", True, "fits on the patches before it"),)
        self._lab, self._names = lab, tuple(patch.id for patch in judged)

    def passes(self, result: GateResult) -> bool:
        """Take a result, without keys that the code holds; whether the next gate may be asked."""
        result = replace(result, detail=without_keys(result.detail))
        self.results += (result,)
        self._lab.emit(GateFinished(result.name, self._names, result.passed, result.detail, result.duration_s))
        return result.passed is not False


def _started(lab: Lab, live: Live, since_s: float) -> GateResult:
    result = starts.check(lab.start_log_before, live.server.log_text())
    return replace(result, duration_s=time.monotonic() - since_s)


def _not_started(error: TargetError, since_s: float) -> GateResult:
    return GateResult("starts", False, str(error), time.monotonic() - since_s)


def _protects(lab: Lab, trial: Trial) -> GateResult:
    """Files that may not be touched; of a patch that a model wrote also what it may not do."""
    result = protects.check_all(trial.judged, lab.target.protect)
    for patch in trial.judged:
        wrong = refusal(patch.changes, trial.below.index.tree, lab.target) if patch.model else ""
        if wrong and result.passed:
            return GateResult("protects", False, wrong)
    return result


async def _tests_beside_live(
    lab: Lab, trial: Trial
) -> tuple[list[GateResult], TestCounts | None, ReplayOutcome | None, tuple[ProbeResult, ...]]:
    """The tests beside the gates that need the service (neither waits for the other), in the gates' order."""
    testing = asyncio.ensure_future(tests.check(lab, trial))
    living = asyncio.ensure_future(_starts_replays_probes(lab, trial))
    try:
        first, counts = await testing
        if first.passed is False:
            return [first], counts, None, ()
        gates, replayed, probed = await living
        return [first, *gates], counts, replayed, probed
    finally:
        testing.cancel()
        living.cancel()
        await asyncio.gather(testing, living, return_exceptions=True)


async def _starts_replays_probes(
    lab: Lab, trial: Trial
) -> tuple[list[GateResult], ReplayOutcome | None, tuple[ProbeResult, ...]]:
    """The gates that need the service to run; the replay goes on beside the probes, on a server of its own."""
    replaying = asyncio.ensure_future(_replayed(lab, trial))
    started = time.monotonic()
    try:
        async with running(lab, trial.copy, "starts") as live:
            start = _started(lab, live, started)
            if start.passed is False:
                return [start], None, ()
            probing = asyncio.ensure_future(_probe(lab, trial, live))
            try:
                await asyncio.wait({replaying, probing}, return_when=asyncio.FIRST_COMPLETED)
                if replaying.done() and any(gate.passed is False for gate in replaying.result()[0]):
                    replayed, outcome = replaying.result()
                    return [start, *replayed], outcome, ()  # refused: what the probes would say decides nothing
                probed, seen = await probing
            finally:
                probing.cancel()
                await asyncio.gather(probing, return_exceptions=True)
        replayed, outcome = await replaying
        return [start, *replayed, probed], outcome, seen
    except TargetError as error:
        return [_not_started(error, started)], None, ()
    finally:
        replaying.cancel()
        await asyncio.gather(replaying, return_exceptions=True)


async def _replayed(lab: Lab, trial: Trial) -> tuple[list[GateResult], ReplayOutcome | None]:
    """The replay, and the gate that needs to know what it saw: begun while the replay lets upstreams fail."""
    undisturbed: asyncio.Future[Sequence[Exchange]] = asyncio.get_running_loop().create_future()

    async def worked_on() -> GateResult:
        return await durable.check(lab, trial, await undisturbed)

    working = asyncio.ensure_future(worked_on())
    try:
        replayed, outcome = await replay.check(lab, trial, undisturbed.set_result)
        if replayed.passed is False:
            return [replayed], outcome
        return [replayed, await working], outcome
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _probe(lab: Lab, trial: Trial, live: Live) -> tuple[GateResult, tuple[ProbeResult, ...]]:
    started = time.monotonic()
    # what is asked beside others depends on their timing: the scores tell it, no patch is refused for it
    alone = {probe.id for probe in all_probes() if not probe.together}
    before = tuple(result for result in lab.probes_before if result.probe in alone)
    after: tuple[ProbeResult, ...] = ()
    if lab.probes_before:
        after = await probe_live(
            lab, live, trial.stack.index, fresh_copy=lambda: lab.trial(trial.stack, ()).copy
        )  # fmt: skip
        doubted = {*probes.lost(lab.probes_before, after), *(one.probe for one in probes.worsened(before, after))}
        if doubted:  # once more by themselves: a crowded session is no patch's fault
            again = {one.probe: one for one in await probe_live(lab, live, trial.stack.index, only=doubted)}
            after = tuple(_second(result, again.get(result.probe, result)) for result in after)
        worse = {one.probe for one in probes.worsened(before, after)}
        if worse:
            before = await _asked_again(lab, worse, before)
    result = probes.check(before, [result for result in after if result.probe in alone], _closed(lab, trial))
    return replace(result, duration_s=time.monotonic() - started), after


def _second(first: ProbeResult, second: ProbeResult) -> ProbeResult:
    """What a second look says; that it could not be taken unsays no failure."""
    return first if first.outcome == "failed" and second.outcome == "skipped" else second


async def _asked_again(
    lab: Lab, doubted: Collection[str], before: tuple[ProbeResult, ...]
) -> tuple[ProbeResult, ...]:
    """What was seen of the original, with what it fails when it is asked once more: what passed there by chance (a
    race, say) and fails on a candidate is no patch's fault."""
    copy = await asyncio.to_thread(lab.fresh_copy, "doubted")
    try:
        async with running(lab, copy, "doubted") as live:
            seen = await probe_live(lab, live, lab.original.index, only=doubted)
    except TargetError:
        return before
    failed = {one.probe: one for one in seen if one.outcome == "failed"}
    return tuple(failed.get(one.probe, one) for one in before)


def _closed(lab: Lab, trial: Trial) -> frozenset[str]:
    """The probes of rules that a judged patch mends and that find nothing more in the candidate's code."""
    mended = {patch.rule for patch in trial.judged}
    left = {
        rule for rule in mended
        if rule not in lab.rules or found_by(lab.rules[rule], trial.stack.index)
    }  # fmt: skip
    return frozenset(probe.id for probe in all_probes() if set(probe.proves) & (mended - left))

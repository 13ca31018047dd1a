"""A run: baseline, specialists, plan, verify, benchmark, monitoring, one phase after the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from swarm.agents.conversation.surroundings import Surroundings
from swarm.bench.profile import Profile
from swarm.coordinator import outcome
from swarm.coordinator.baseline import (
    Baseline,
    Original,
    Tested,
    bad_answers,
    cancelled_together,
    look_at,
    not_recorded,
    take_baseline,
)
from swarm.coordinator.benchmark import Weighed, benchmark_and_settle, weigh
from swarm.coordinator.checkpoints import Checkpoints, ProvenPhase
from swarm.coordinator.edits import Trials, try_edits
from swarm.coordinator.merge import join_findings
from swarm.coordinator.patterns import Team, chosen_specialists, specialists_at_work, surroundings
from swarm.coordinator.planning import make_plan
from swarm.coordinator.scoring import Look, look_at_final, plant_and_look, score_run
from swarm.coordinator.state import Parts, RunRequest, RunState
from swarm.core.errors import BudgetExceeded, Interrupted, SwarmError, TargetError, ToolFailed
from swarm.core.events import Note, PhaseFinished, PhaseName, PhaseStarted, RunStarted
from swarm.core.findings import Finding
from swarm.core.report import PhaseTime, PlantedFault, Report, Waterfall
from swarm.probes.probe import ProbeResult
from swarm.rules.looking import blind_rules
from swarm.scores.looking import COUNTED
from swarm.target.replay.observation import Recording
from swarm.target.running.starts import fork_servers
from swarm.target.tree.digest import tree_digest
from swarm.target.upstream.intercept import one_authority
from swarm.tools.lease import Lease
from swarm.tools.measurements import Measurements
from swarm.tools.workbench import Workbench
from swarm.verify.candidate import empty_stack
from swarm.verify.fixes import Fix
from swarm.verify.lab import Lab
from swarm.verify.standing import Standing
from swarm.verify.verifier import prove

REPLAYED_REQUESTS = 4
TRACE_WITHIN_S = 8.0


class Run:
    """One run from its request to its report. `execute` may be called once."""

    def __init__(self, request: RunRequest, parts: Parts) -> None:
        self.request = request
        self.parts = parts
        self.state = RunState()
        self.checkpoints = Checkpoints(request, parts)
        self._recording: asyncio.Future[Recording] | None = None
        self._around: Surroundings | None = None

    async def execute(self) -> Report:
        """Go through the phases; whatever ends them early, return the report of what was done.

        `state.early` then says what ended it. TargetError and UsageError of the baseline are raised.
        """
        state, parts, request = self.state, self.parts, self.request
        state.started, state.started_s = parts.clock.wall(), parts.clock.now_s()
        parts.emit(
            RunStarted(
                request.run_id, request.target_name, request.swarm_name, request.pattern,
                request.provider, request.provider_reason,
            )
        )  # fmt: skip
        try:
            with one_authority(parts.scratch / "authorities"):
                async with fork_servers(parts.scratch / "forks"), asyncio.timeout(request.deadline_s):
                    await self._phases()
        except TimeoutError:
            self._end_early(BudgetExceeded(f"the deadline of {request.deadline_s:g} s ended the run early"))
        except BudgetExceeded as error:
            self._end_early(error)
        except (asyncio.CancelledError, KeyboardInterrupt):
            self._end_early(Interrupted("interrupted; what was done is kept"))
        finally:
            self._account()
            if self._recording is not None:
                self._recording.cancel()
                await asyncio.gather(self._recording, return_exceptions=True)
        return outcome.build_report(request, parts, state)

    def _account(self) -> None:
        """What agents took that had no end, and what is to be said of the counting."""
        if self._around is not None:
            self.state.agents += self._around.cut_off
            self.state.cut_off = bool(self._around.cut_off)
            for line in self._around.budget.notes:
                self.note(line)

    def _end_early(self, error: SwarmError) -> None:
        self.state.early = error
        self.state.degraded = True
        self.note(str(error))

    def note(self, message: str) -> None:
        """Tell the user, and keep it for the report."""
        self.state.notes.append(message)
        self.parts.emit(Note(message))

    @asynccontextmanager
    async def phase(self, name: PhaseName) -> AsyncIterator[list[str]]:
        """Time a phase; what its body appends to the list is its summary."""
        self.parts.emit(PhaseStarted(name))
        began = self.parts.clock.now_s()
        summary: list[str] = []
        try:
            yield summary
        finally:
            took = self.parts.clock.now_s() - began
            self.state.phases.append(PhaseTime(name, round(took, 3)))
            self.parts.journal.append("phase", {"phase": name, "duration_s": took, "summary": summary})
            self.parts.emit(PhaseFinished(name, took, "; ".join(summary)))

    async def _phases(self) -> None:
        async with self.phase("baseline") as summary:
            original = await look_at(
                self.request.target_name, self.request.target, self.request.folder, self.parts.scratch
            )
            self._keep_original(original)
            digest = await asyncio.to_thread(tree_digest, original.copy)
            self.checkpoints.same_tree(digest, original.index.tree)
            files, routes = len(original.index.tree.modules), len(original.index.routes)
            summary.append(f"{files} file{'s' * (files != 1)}, {routes} route{'s' * (routes != 1)}")
        workbench = self._workbench(original)
        try:
            around = surroundings(self.request, self.parts, workbench, self.state)
            self._around = around
            await self._measured_before(workbench)
            async with self.phase("specialists") as summary:
                baseline, team = await self._baseline_beside_specialists(original, workbench, around)
                summary.append(f"{len(team.findings)} findings, {len(team.wanted)} to be mended")
                if self.state.tests_before is not None:
                    summary.append(f"{self.state.tests_before.passed} tests of the target pass")
            self.state.waterfalls_before = workbench.waterfalls
            self.state.profile, self.state.sweep = workbench.profile_lines, workbench.sweep
            self.state.alerts = tuple(workbench.alerts)
            async with self.phase("plan") as summary:
                plan = await make_plan(self.request, self.parts, around, self.state, team)
                self.state.findings = plan.findings
                summary.append(f"{len(plan.fixes)} fixes in order")
            done: ProvenPhase | None = None
            if baseline is None:
                first = empty_stack(original.index)
                done = await asyncio.to_thread(self.checkpoints.proven, plan.fixes, first, self.state)
            if baseline is None and done is None:
                baseline = await self._baseline(original, workbench)
            probes_before = await self._probes_before(workbench)
            scanned = await self._scanned(workbench)
        finally:
            reported = [*self.state.findings, *workbench.findings.all()]
            self.state.findings = join_findings(reported)  # none that was reported is lost to an early end
            await workbench.close()
        before = Look(original.index, scanned, probes_before)
        lab = self._lab(original, baseline, probes_before)
        async with Standing(lab) as standing:
            done = await self._proof(plan.fixes, standing, around, done)
            async with self.phase("benchmark") as summary:
                await benchmark_and_settle(self.parts, self.state, standing, done.proven, done.weighed, summary)
                after = await look_at_final(lab, before, self.state.settled)
                score_run(self.state, before, after, done.planted)
        if self.checkpoints.reused:
            self.note(f"taken from the journal, the target being the same: {', '.join(self.checkpoints.reused)}")
        spent = around.budget.ended_by
        if spent:
            raise BudgetExceeded(f"{spent}; what the agents had found by then was worked on to the end")

    async def _proof(
        self, planned: Sequence[Fix], standing: Standing, around: Surroundings, done: ProvenPhase | None
    ) -> ProvenPhase:
        """Weigh and prove, where an earlier attempt has not `done` so; its servers serve the next phase."""
        if done is not None:
            for name in ("weigh", "verify"):
                async with self.phase(name) as summary:
                    summary.append("taken from the journal")
            return done
        lab = standing.lab
        fixes = [fix for fix in planned if not fix.edits]
        edits = [fix for fix in planned if fix.edits]
        planting: asyncio.Task[tuple[PlantedFault, ...]] | None = None
        try:
            async with self.phase("weigh") as summary:
                weighed = await self._weighed(planned, fixes, standing)
                summary.append(f"{len(weighed.kept)} of {len(fixes)} fixes are worth a proof")
            planting = asyncio.create_task(plant_and_look(lab))
            async with self.phase("verify") as summary:
                earlier, said, agents = len(self.state.patches), len(self.state.notes), list(self.state.agents)
                proven = await prove(lab, weighed.kept)
                planted = await planting
                self.state.patches += proven.rejected
                trials = Trials(self.request, self.parts, self.state, around, standing)
                proven, weighed = await try_edits(trials, edits, proven, weighed)
                for unbuilt in proven.unbuilt:
                    self.note(f"{unbuilt.fix.rule} in {unbuilt.fix.file}: {unbuilt.reason}")
                lost = len(self.state.patches) - earlier
                summary.append(f"{len(proven.stack.patches)} proven, {lost} rejected")
                done = ProvenPhase(proven, weighed, planted)
                self.checkpoints.keep_proven(planned, done, self.state, self.state.notes[said:], agents)
                return done
        finally:
            if planting is not None:
                planting.cancel()
                await asyncio.gather(planting, return_exceptions=True)

    async def _weighed(self, planned: Sequence[Fix], fixes: Sequence[Fix], standing: Standing) -> Weighed:
        """What the ladder says, or said."""
        known = self.checkpoints.weighed(planned, self.state)
        if known is not None:
            return known
        said = len(self.state.notes)
        weighed = await weigh(self.parts, self.state, standing, fixes)
        self.checkpoints.keep_weighed(planned, weighed, self.state, self.state.notes[said:])
        return weighed

    async def _baseline_beside_specialists(
        self, original: Original, workbench: Workbench, around: Surroundings
    ) -> tuple[Baseline | None, Team]:
        """The target's tests and recording go on beside the specialists, once the first has traced undisturbed.

        No baseline where an earlier attempt may have come past the proof: what that needs is known, and no more.
        """
        request = self.request
        if not any("Performance-Analysis" in one.tools for one in chosen_specialists(request).values()):
            workbench.traced.set()
        tested = self.checkpoints.tested()
        if tested is not None and self.checkpoints.may_hold("verify"):
            self._keep_tested(tested)
            return None, await specialists_at_work(request, self.parts, around, self.state)
        async with cancelled_together() as group:
            taking = group.create_task(self._baseline(original, workbench))
            working = group.create_task(specialists_at_work(request, self.parts, around, self.state))
        return taking.result(), working.result()

    async def _baseline(self, original: Original, workbench: Workbench) -> Baseline:
        """Tests and recording of the original; tests that an earlier attempt has seen pass are not run again."""
        request, known = self.request, self.checkpoints.tested()
        try:
            await workbench.baseline()
        except ToolFailed as error:
            raise TargetError(str(error)) from error
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(workbench.traced.wait(), TRACE_WITHIN_S)
        taken = await take_baseline(
            original, request.target, self.parts.sandbox, self.parts.scratch, workbench.lease,
            requests=REPLAYED_REQUESTS, seed=request.seed, known=known,
        )  # fmt: skip
        self._recording = taken.recording
        tested = Tested(taken.tests, bad_answers(taken.first_look))
        self.checkpoints.keep_tested(tested)
        self._keep_tested(tested)
        return taken

    def _keep_tested(self, tested: Tested) -> None:
        if tested.tests is None:
            self.note("the target has no tests: replay and probes carry the weight of the proof")
        else:
            self.state.tests_before = tested.tests.counts
        for line in tested.notes:
            self.note(line)
        self.state.workable = True

    async def _probes_before(self, workbench: Workbench) -> tuple[ProbeResult, ...]:
        """What the live probes see of the original; nothing where there is no webhook to probe."""
        return await workbench.probe_results() if self.request.target.webhooks else ()

    async def _scanned(self, workbench: Workbench) -> tuple[Finding, ...]:
        """What rules and bandit say of the original, for the scores; mostly said already."""
        other = [finding for name in COUNTED if name != "security" for finding in await workbench.scan(name)]
        scanned = (*await workbench.security_scan(), *other)
        for rule, why in blind_rules(workbench.index).items():
            self.note(f"{rule} broke down over this code and may have missed something ({why}): a mistake of swarm's")
        return scanned

    async def _measured_before(self, workbench: Workbench) -> None:
        """Lay what an earlier attempt measured on the workbench: its tools were not called again."""
        if workbench.measurements.known("waterfall", tuple[Waterfall, ...]):
            await workbench.waterfall()
        if workbench.measurements.known("profile", Profile):
            await workbench.profile()

    def _keep_original(self, original: Original) -> None:
        self.state.target_commit = original.commit
        self.state.unparsed = tuple(f"{path}: {reason}" for path, reason in original.index.tree.unparsed)
        for name in self.state.unparsed:
            self.note(f"not analysed: {name}")

    def _workbench(self, original: Original) -> Workbench:
        return Workbench(
            place=original.place,
            target=self.request.target,
            payload_root=original.place.path,
            copy=original.copy,
            index=original.index,
            sandbox=self.parts.sandbox,
            scratch=self.parts.scratch / "workbench",
            emit=self.parts.emit,
            clock=self.parts.clock,
            lease=Lease(),
            seed=self.request.seed,
            measurements=Measurements(self.parts.journal, self.parts.records, self.parts.mask),
            mask=self.parts.mask,
            fresh_copy=original.pristine.another,
        )

    def _lab(self, original: Original, baseline: Baseline | None, probes_before: tuple[ProbeResult, ...]) -> Lab:
        baseline = baseline or not_recorded()
        return Lab(
            place=original.place,
            target=self.request.target,
            payload_root=original.place.path,
            sandbox=self.parts.sandbox,
            scratch=self.parts.scratch / "lab",
            rules=self.parts.rules,
            original=empty_stack(original.index),
            tests_before=baseline.tests,
            tape=baseline.tape,
            recording=baseline.recording,
            probes_before=probes_before,
            start_log_before=baseline.first_look.start_log,
            emit=self.parts.emit,
            pristine=original.pristine,
            seed=self.request.seed,
            requests=REPLAYED_REQUESTS,
        )

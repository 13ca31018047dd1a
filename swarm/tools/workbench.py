"""What the tools of a run share: the copy, its index, one running baseline, measurements, findings."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from swarm.config.schema import Target
from swarm.core.alerts import AlertDraft
from swarm.core.errors import ToolFailed
from swarm.core.events import Progress
from swarm.core.findings import Category, Finding
from swarm.core.place import TargetPlace
from swarm.core.ports import Clock, EventSink, Sandbox
from swarm.core.report import ProfileLine, Waterfall
from swarm.core.sweep import Sweep
from swarm.tools.baseline import ANSWER_S, Baseline, Exchange, exchange, start_baseline
from swarm.tools.finding_store import FindingStore
from swarm.tools.lease import Lease
from swarm.tools.measurements import Measurements
from swarm.tools.once import Once
from swarm.tools.proposal_store import ProposalStore

if TYPE_CHECKING:
    from swarm.analysis.index import Index
    from swarm.bench.load import LoadRun
    from swarm.bench.profile import Profile
    from swarm.probes.probe import ProbeResult
    from swarm.target.tree.copies import Copy

# Numbers of requests, kept apart so that no two senders repeat each other's ids.
_SAMPLE_FROM, _SENT_FROM, _PROBE_FROM, _LOAD_FROM = 500_000, 600_000, 700_000, 800_000
_SAMPLES, _TRACED, _PROFILED = 3, 3, 3
MAX_STARTS = 3


class Workbench:
    """Built by the coordinator for one run; `close` ends whatever it started.

    Whatever measures time holds the lease alone, all other heavy work shares it. `mask` blots out known secrets: a
    tool that cuts or rewrites the target's words lays it on before, for afterwards nobody would know them again.
    """

    def __init__(
        self,
        *,
        place: TargetPlace,
        target: Target,
        payload_root: Path,
        copy: Copy,
        index: Index,
        sandbox: Sandbox,
        scratch: Path,
        emit: EventSink,
        clock: Clock,
        lease: Lease,
        seed: int,
        measurements: Measurements | None = None,
        mask: Callable[[str], str] = str,
        fresh_copy: Callable[[Path], Copy],
    ) -> None:
        self.measurements = measurements or Measurements()
        self.mask = mask
        self._fresh_copy = fresh_copy
        self.place, self.target, self.payload_root = place, target, payload_root
        self.copy, self.index, self.sandbox = copy, index, sandbox
        self.scratch, self.emit, self.clock, self.lease, self.seed = scratch, emit, clock, lease, seed
        self.findings = FindingStore()
        self.proposals = ProposalStore()
        alerts = self.measurements.known("alerts", tuple[AlertDraft, ...])
        self.alerts: list[AlertDraft] = list(alerts[0]) if alerts else []
        self.sent_numbers = itertools.count(_SENT_FROM)
        self.traced = asyncio.Event()  # set when the waterfall was measured, or could not be
        self._baseline: Once[Baseline] = Once()
        self._starts = 0
        self._start_failure: ToolFailed | None = None
        self._closed = False
        self._waterfall: Once[tuple[Waterfall, ...]] = Once()
        self._sweep: Sweep | None = None
        self._profile: Once[Profile] = Once()
        self._probes: Once[tuple[ProbeResult, ...]] = Once()
        self._samples: Once[tuple[Exchange, ...]] = Once()
        self._sending = asyncio.Lock()  # probes count what their own requests do to the shared baseline
        self._command_copy: Once[Copy] = Once()
        self._loads: dict[tuple[float, float], Once[LoadRun]] = {}
        self._scans: dict[str, Once[tuple[Finding, ...]]] = {}

    async def scan(self, category: Category) -> tuple[Finding, ...]:
        """What the rules of a category find, once, in a thread."""
        from swarm.rules.scan import scan

        async def run() -> tuple[Finding, ...]:
            async with self.lease.working():
                return await asyncio.to_thread(scan, self.index, (category,))

        return await self._scans.setdefault(category, Once()).get(run)

    async def security_scan(self) -> tuple[Finding, ...]:
        """The security rules' findings joined with bandit's; what other rules say too is left to them."""
        from swarm.analysis.bandit_scan import bandit_findings, join
        from swarm.analysis.dataflow.settled import unsettled

        async def run() -> tuple[Finding, ...]:
            categories: tuple[Category, ...] = ("security", "api", "monitoring")
            own = [finding for category in categories for finding in await self.scan(category)]
            async with self.lease.working():
                others = await asyncio.to_thread(bandit_findings, self.copy.path, tuple(self.index.tree.modules))
            left = unsettled(self.index, join(own, others))
            return tuple(finding for finding in left if finding.category == "security")

        return await self._scans.setdefault("security and bandit", Once()).get(run)

    async def waterfall(self) -> tuple[Waterfall, ...]:
        """Some traced requests; their costs are laid on the findings of performance."""
        try:
            waterfalls = await self._waterfall.get(self._measure_waterfall)
        finally:
            self.traced.set()
        self.findings.measured(waterfalls)
        return waterfalls

    @property
    def waterfalls(self) -> tuple[Waterfall, ...]:
        """What `waterfall` gave; empty where it was not measured (yet)."""
        return self._waterfall.value or ()

    async def swept(self) -> Sweep:
        """What the traced server does with more and more requests at once; swept right after the waterfall."""
        await self.waterfall()
        return self._sweep or Sweep(reason="the sweep was not made")

    @property
    def sweep(self) -> Sweep | None:
        """What `swept` gave; None where it was not made (yet)."""
        return self._sweep

    async def profile(self) -> Profile:
        """Where the processor's time goes."""
        return await self._profile.get(self._measure_profile)

    @property
    def profile_lines(self) -> tuple[ProfileLine, ...]:
        """What `profile` gave; empty where it was not measured (yet)."""
        return self._profile.value.lines if self._profile.value else ()

    async def load(self, rate: float, seconds: float) -> LoadRun:
        """Open-loop load on the shared baseline."""
        once = self._loads.setdefault((rate, seconds), Once())
        return await once.get(lambda: self._measure_load(rate, seconds))

    async def probe_results(self) -> tuple[ProbeResult, ...]:
        """All live probes against the shared baseline."""
        return await self._probes.get(self._run_probes)

    async def samples(self) -> tuple[Exchange, ...]:
        """A few of the target's own webhooks, sent to the shared baseline one after another."""
        return await self._samples.get(self._send_samples)

    async def baseline(self) -> Baseline:
        """The shared baseline, started where it does not run. Ask without holding the lease exclusively."""
        running = self._baseline.value
        if running is not None and not running.server.alive():
            self._baseline.forget()
            await running.stop()
        return await self._baseline.get(self._start_baseline)

    async def command_copy(self) -> Copy:
        """A copy of its own for commands: what they write reaches neither the user's tree nor other tools."""

        async def run() -> Copy:
            return await asyncio.to_thread(self._fresh_copy, self.scratch / "commands")

        return await self._command_copy.get(run)

    def over(self, copy: Copy, index: Index, scratch: Path, fresh_copy: Callable[[Path], Copy]) -> Workbench:
        """One of its own over another copy of the same target: nothing found or measured here is taken along."""
        return Workbench(
            place=self.place,
            target=self.target,
            payload_root=self.payload_root,
            copy=copy,
            index=index,
            sandbox=self.sandbox,
            scratch=scratch,
            emit=self.emit,
            clock=self.clock,
            lease=Lease(),
            seed=self.seed,
            mask=self.mask,
            fresh_copy=fresh_copy,
        )

    async def close(self) -> None:
        """Stop the baseline; safe to call twice, and after a failure or a cancellation."""
        self._closed = True
        running = await self._baseline.settled()
        self._baseline.forget()
        if running is not None:
            await running.stop()

    async def _start_baseline(self) -> Baseline:
        if self._start_failure is not None:
            raise self._start_failure  # it would fail the same way again, after as long a wait
        self._starts += 1
        if self._starts > MAX_STARTS:
            raise ToolFailed(f"the service ended by itself {MAX_STARTS} times; work from its code alone")
        tmp = self.scratch / f"baseline-{self._starts}"
        tmp.mkdir(parents=True, exist_ok=True)
        async with self.lease.working():
            if self._closed:
                raise ToolFailed("the run is ending")
            self.emit(Progress("starting the service for live checks"))
            try:
                return await start_baseline(
                    self.place, self.copy, self.target, self.payload_root, tmp=tmp, seed=self.seed
                )
            except ToolFailed as error:
                self._start_failure = error
                raise

    async def _measure_waterfall(self) -> tuple[Waterfall, ...]:
        from swarm.bench.sweep import CENSUS_FILE, census_env, sweep, swept_of
        from swarm.bench.waterfall import WARM_UP, trace_in_turn, traced_server
        from swarm.target.traffic import Traffic

        known = self.measurements.known("waterfall", tuple[Waterfall, ...])
        swept = self.measurements.known("sweep", Sweep)
        if known is not None and swept is not None:
            self._sweep = swept[0]
            return cast("tuple[Waterfall, ...]", known[0])
        tmp = self.scratch / "waterfall"
        census_file = tmp / "census.json"
        async with self.lease.measuring():
            self.emit(Progress("tracing requests"))
            async with traced_server(
                self.place, self.copy, self.target, seed=self.seed, tmp=tmp, inject=(CENSUS_FILE,),
                extra_env=census_env(census_file),
            ) as (watched, trace_file):  # fmt: skip
                traffic = Traffic(self.target, self.payload_root, self.seed)
                traced = await trace_in_turn(watched, trace_file, traffic, WARM_UP, _TRACED)
                waterfalls = traced.waterfalls()
                self.emit(Progress("sending more and more requests at once"))
                self._sweep = await sweep(swept_of(watched, trace_file, census_file, self.target.health), traffic)
        self.measurements.keep("sweep", self._sweep)
        return self.measurements.keep("waterfall", waterfalls)

    async def _measure_profile(self) -> Profile:
        from swarm.bench.profile import Profile, profile_target

        known = self.measurements.known("profile", Profile)
        if known is not None:
            return cast(Profile, known[0])
        # Shares of time, not times: others may work beside it.
        async with self.lease.working():
            self.emit(Progress("profiling requests"))
            profile = await profile_target(
                self.place,
                self.copy,
                self.target,
                requests=_PROFILED,
                seed=self.seed,
                tmp=self.scratch / "profile",
                payload_root=self.payload_root,
            )
        return self.measurements.keep("profile", profile)

    async def _measure_load(self, rate: float, seconds: float) -> LoadRun:
        from swarm.bench.load import run_load

        baseline = await self.baseline()
        first = _LOAD_FROM + 10_000 * len(self._loads)
        async with self.lease.measuring():
            self.emit(Progress(f"offering {rate:g} requests/s for {seconds:g} s"))
            return await run_load(
                baseline.server.base_url,
                self.target,
                self.payload_root,
                rate=rate,
                seconds=seconds,
                seed=self.seed,
                first_number=first,
            )

    async def _run_probes(self) -> tuple[ProbeResult, ...]:
        from swarm.probes.probe import ProbeContext, ProbeResult, probe_client
        from swarm.probes.routes import headers_of, routes_of
        from swarm.probes.run import run_probes
        from swarm.probes.second_start import SecondStart

        known = self.measurements.known("probes", tuple[ProbeResult, ...])
        if known is not None:
            return cast("tuple[ProbeResult, ...]", known[0])
        baseline = await self.baseline()
        starts = itertools.count(1)
        again = SecondStart(
            self.place,
            self.copy,
            self.target,
            baseline.upstreams,
            self.seed,
            lambda: self.scratch / f"again-{next(starts)}",
            lambda: self._fresh_copy(self.scratch / f"apart-{next(starts)}"),
        )

        await self._samples.settled()  # a few requests need not wait for a whole session
        async with (
            self.lease.working(),
            self._sending,
            probe_client(ANSWER_S) as client,
        ):
            context = ProbeContext(
                base_url=baseline.server.base_url,
                target=self.target,
                traffic=baseline.traffic,
                client=client,
                server=baseline.server,
                upstreams=baseline.upstreams,
                number=itertools.count(_PROBE_FROM),
                routes=routes_of(self.index),
                header_names=headers_of(self.index),
                index=self.index,
                start_again=again.service,
                fresh_upstreams=again.upstreams,
                place=self.place,
                start_apart=again.apart,
            )
            return self.measurements.keep("probes", await run_probes(context))

    async def _send_samples(self) -> tuple[Exchange, ...]:
        baseline = await self.baseline()
        if not self.target.webhooks:
            return ()
        exchanges: list[Exchange] = []
        async with self.lease.working(), self._sending:
            for number in range(_SAMPLE_FROM, _SAMPLE_FROM + _SAMPLES):
                request = baseline.traffic.request(number, time.time())
                exchanges.append(
                    await exchange(
                        baseline.server.base_url, request.method, request.path, request.headers, request.body
                    )
                )
        return tuple(exchanges)

    async def send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Exchange:
        """One request to the shared baseline and nowhere else."""
        baseline = await self.baseline()
        async with self.lease.working(), self._sending:
            return await exchange(baseline.server.base_url, method, path, headers, body)

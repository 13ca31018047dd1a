"""The Report: everything a run found, did and measured, as plain values that reporters render.

Shapes follow schema 1 of report.json. A number that was not measured is None, with a reason beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from swarm.core.alerts import AlertDraft
from swarm.core.efficiency import ContextEfficiency, TimeEfficiency
from swarm.core.findings import Finding
from swarm.core.metrics import Comparison
from swarm.core.patches import JudgedPatch
from swarm.core.sweep import Sweep

RunStatus = Literal["complete", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What ran, when, how."""

    id: str
    started: str
    finished: str
    duration_s: float
    swarm: str
    target: str
    pattern: str
    provider: str
    status: RunStatus
    notes: tuple[str, ...] = ()
    swarm_version: str = ""
    target_commit: str | None = None


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """One agent's work. Times are seconds since the run's start."""

    name: str
    role: Literal["specialist", "coordinator"]
    model: str
    provider: str
    status: Literal["done", "degraded", "failed"]
    started_s: float
    finished_s: float
    turns: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    peak_context_tokens: int
    tokens_are: Literal["reported", "estimated"]
    cost_usd: float | None
    findings: int
    focus: str = ""
    note: str = ""
    tool_spans: tuple[tuple[str, float, float], ...] = ()
    tools: tuple[str, ...] = ()
    shortened: int = 0  # results that its model saw in short, the whole beside the conversation
    cleared: int = 0  # results that left its conversation once they had served


@dataclass(frozen=True, slots=True)
class Capacity:
    """Highest rate that met the criterion, requests per second."""

    before_rps: float | None
    after_rps: float | None
    criterion: str


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Share of failed requests, 0 to 1."""

    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """Peak resident memory and mean CPU of the target's processes under load."""

    rss_mb: float | None
    cpu_percent: float | None


@dataclass(frozen=True, slots=True)
class WorkDone:
    """What became of the requests of the open-loop load that had a good answer, once the upstreams were quiet.

    `drain_s` is the time from the last answer to the last upstream call, None where it did not get quiet.
    `writes_expected` has one for each request of a kind that always wrote when sent one by one; `lost` is what is
    missing of it: a lower bound.
    """

    requests: int
    drain_s: float | None
    writes_expected: int
    writes_seen: int
    lost: int


@dataclass(frozen=True, slots=True)
class UpstreamUse:
    """The upstream calls of one side: how many a webhook makes, and the share that failed after retries (0 to 1)."""

    calls_per_webhook: float | None
    failing: float | None


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What a service's caches say of themselves after the load: hit rates (0 to 1) and operations' means."""

    kinds: tuple[tuple[str, int, int], ...] = ()
    hit_rate: float | None = None
    operation_ms: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """What was seen of one side beside its latencies; `exports` are the names of metrics that it serves."""

    work: WorkDone | None = None
    upstreams: UpstreamUse = UpstreamUse(None, None)
    cache: CacheUse = CacheUse()
    exports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadinessLine:
    """One check of the readiness section; `passed` is None where it could not be made, `value` says why."""

    name: str
    passed: bool | None
    value: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class TargetOutcome:
    """One target expression with what was measured; `met` is None where it was not, and `reason` says why."""

    expression: str
    specialist: str
    before: float | None
    after: float | None
    met: bool | None
    reason: str = ""


CheckState = Literal["proven", "static", "failed", "not run", "not applicable"]


@dataclass(frozen=True, slots=True)
class ScoreCheck:
    """One check of a score; `before` and `after` are credits from 0 to 1.

    A credit is None where the check does not apply to this target, which `evidence` then shows, or where that side
    was not looked at. The states say what each credit rests on.
    """

    id: str
    title: str
    kind: Literal["static", "live"]
    weight: float
    before: float | None
    after: float | None
    evidence: str
    before_state: CheckState | None = None
    after_state: CheckState | None = None


@dataclass(frozen=True, slots=True)
class PlantedFault:
    """A class of faults that the run planted in a scratch copy, and how many of them its checks caught.

    `twins` are harmless look-alikes planted beside them, `false_alarms` how many of those were reported as well.
    """

    name: str
    planted: int
    caught: int
    twins: int = 0
    false_alarms: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """A score from 0 to 100, with the checks that make it.

    `caps_before` and `caps_after` say what held a score down, and `earned_before` and `earned_after` what its checks
    alone would give, without caps; `run_before` and `run_after` are the shares (0 to 1) of
    the applicable weight that was really run; `registry` is the digest of the list of checks, so that two scores are
    known to be of the same list; `attested` names what only documents can show, which no figure here holds.
    """

    before: float | None
    after: float | None
    checks: tuple[ScoreCheck, ...] = ()
    reason: str = ""
    registry: str = ""
    caps_before: tuple[str, ...] = ()
    caps_after: tuple[str, ...] = ()
    earned_before: float | None = None
    earned_after: float | None = None
    run_before: float | None = None
    run_after: float | None = None
    planted: tuple[PlantedFault, ...] = ()
    attested: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ValidatedArea:
    """An area that a specialist was told to validate, and the checks of the scores that speak of it.

    `asked` counts those that apply to the target; `good_before` and `good_after` those with a credit, `open` are the
    others' ids after the patches. No checks: the scores have none for this area.
    """

    specialist: str
    area: str
    checks: tuple[str, ...] = ()
    asked: int = 0
    good_before: int = 0
    good_after: int = 0
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TestCounts:
    """The target's own tests; None of it where the target has none."""

    __test__ = False

    passed: int
    failed: int
    skipped: int


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """The replay of the accepted stack against the original."""

    requests: int
    identical: int
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """What proves that the accepted stack still is the service."""

    tests_before: TestCounts | None
    tests_after: TestCounts | None
    replay: ReplayOutcome | None
    sandbox: str = ""


@dataclass(frozen=True, slots=True)
class MonitoringFiles:
    """Files under monitoring/ and what validated them."""

    files: tuple[str, ...] = ()
    validated_by: tuple[str, ...] = ()


SpanKind = Literal[
    "http", "sql", "sleep", "redis", "file", "subprocess", "blocked", "queue", "thread", "request", "other"
]


@dataclass(frozen=True, slots=True)
class WaterfallSpan:
    """One wait inside a request: when, what, and from which line of the target.

    `start_ms` counts from the request's start; `path` is the chain of target lines from the handler down
    (`file:line function`), innermost last; `blocks_loop` says that it ran on the event loop and held it up,
    `behind_answer` that the sender did not wait for it.
    """

    kind: SpanKind
    name: str
    start_ms: float
    duration_ms: float
    file: str
    line: int
    function: str
    path: tuple[str, ...] = ()
    blocks_loop: bool = False
    count: int = 1
    behind_answer: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """One request's waits in order; `request` is `METHOD path`."""

    request: str
    status: int
    duration_ms: float
    spans: tuple[WaterfallSpan, ...]


@dataclass(frozen=True, slots=True)
class ProfileLine:
    """A place of the target with its share of sampled time, 0 to 1."""

    file: str
    line: int
    function: str
    share: float


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """Wall time of one phase."""

    phase: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a run has to say."""

    run: RunInfo
    agents: tuple[AgentInfo, ...] = ()
    findings: tuple[Finding, ...] = ()
    patches: tuple[JudgedPatch, ...] = ()
    benchmarks: tuple[Comparison, ...] = ()
    capacity: Capacity | None = None
    errors: ErrorRates = ErrorRates(None, None)
    resources_before: ResourceUse = ResourceUse(None, None)
    resources_after: ResourceUse = ResourceUse(None, None)
    targets: tuple[TargetOutcome, ...] = ()
    security_score: Score = Score(None, None, reason="the run ended before it was scored")
    compliance_score: Score = Score(None, None, reason="the run ended before it was scored")
    context: ContextEfficiency = ContextEfficiency(None, None, None, None, None, "not measured")
    time: TimeEfficiency = TimeEfficiency(None, None, None, None)
    verification: Verification = Verification(None, None, None)
    monitoring: MonitoringFiles = MonitoringFiles()
    waterfall_before: Waterfall | None = None
    waterfall_after: Waterfall | None = None
    profile_before: tuple[ProfileLine, ...] = ()
    sweep: Sweep | None = None
    phases: tuple[PhaseTime, ...] = ()
    unparsed_files: tuple[str, ...] = ()
    load_note: str = ""
    alerts: tuple[AlertDraft, ...] = ()
    side_before: Side = Side()
    side_after: Side = Side()
    readiness: tuple[ReadinessLine, ...] = ()
    areas: tuple[ValidatedArea, ...] = ()

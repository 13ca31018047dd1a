"""What a run knows so far: filled phase by phase, read once at the end, so an early end loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarm.agents.conversation.artifacts import Artifacts
from swarm.agents.conversation.loop import Outcome
from swarm.agents.conversation.surroundings import Candidate
from swarm.bench.watched import Whole
from swarm.config.schema import Swarm, Target
from swarm.core.alerts import AlertDraft
from swarm.core.errors import SwarmError
from swarm.core.findings import Finding
from swarm.core.metrics import Comparison
from swarm.core.patches import JudgedPatch
from swarm.core.ports import Clock, EventSink, Journal, Sandbox
from swarm.core.report import (
    AgentInfo,
    Capacity,
    ErrorRates,
    PhaseTime,
    ProfileLine,
    ReadinessLine,
    ReplayOutcome,
    ResourceUse,
    Score,
    Side,
    TestCounts,
    Waterfall,
)
from swarm.core.sweep import Sweep
from swarm.models.prices import Prices
from swarm.rules.rule import Rule
from swarm.verify.verifier import Proven

NOT_SCORED = Score(None, None, reason="the run ended before it was scored")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is asked of a run. `folder` is where agents.yaml lies; `deadline_s` bounds the whole run."""

    run_id: str
    swarm_name: str
    swarm: Swarm
    target_name: str
    target: Target
    folder: Path
    pattern: str
    provider: str
    provider_reason: str
    only: tuple[str, ...] = ()
    deadline_s: float | None = None
    budget_usd: float | None = None
    budget_tokens: int | None = None
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with, put together by the composition root.

    `records` are the journal's of the cut-off run that this one goes on with; none for a new run.
    """

    candidates: Callable[[str], Sequence[Candidate]]
    prices: Prices
    sandbox: Sandbox
    clock: Clock
    emit: EventSink
    journal: Journal
    scratch: Path
    rules: Mapping[str, Rule]
    mask: Callable[[str], str]
    version: str
    records: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class RunState:
    """The results of the phases that ran."""

    started: str = ""
    started_s: float = 0.0
    phases: list[PhaseTime] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    agents: list[AgentInfo] = field(default_factory=list)
    talks: list[Outcome] = field(default_factory=list)  # of the specialists, in the order in which they ended
    artifacts: Artifacts = field(default_factory=Artifacts)
    findings: tuple[Finding, ...] = ()
    patches: list[JudgedPatch] = field(default_factory=list)
    comparison: Comparison | None = None  # answers to the sender under load
    whole: Comparison | None = None  # one after another, each to the end of its work
    wholes_before: tuple[Whole, ...] = ()
    wholes_after: tuple[Whole, ...] = ()
    side_before: Side = Side()
    side_after: Side = Side()
    rollback: ReadinessLine | None = None
    capacity: Capacity | None = None
    errors: ErrorRates = ErrorRates(None, None)
    resources_before: ResourceUse = ResourceUse(None, None)
    resources_after: ResourceUse = ResourceUse(None, None)
    waterfalls_before: tuple[Waterfall, ...] = ()
    waterfalls_after: tuple[Waterfall, ...] = ()
    profile: tuple[ProfileLine, ...] = ()
    sweep: Sweep | None = None
    tests_before: TestCounts | None = None
    tests_after: TestCounts | None = None
    replay: ReplayOutcome | None = None
    unparsed: tuple[str, ...] = ()
    target_commit: str | None = None
    alerts: tuple[AlertDraft, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    settled: Proven | None = None  # what was accepted, as its last proof left it
    security_score: Score = NOT_SCORED
    compliance_score: Score = NOT_SCORED
    validation_before: float | None = None
    validation_after: float | None = None
    early: SwarmError | None = None
    degraded: bool = False
    resumed: bool = False  # parts of it are an earlier attempt's: what its agents took cannot be summed up
    cut_off: bool = False  # agents were cancelled: what they had done by then is no measure of a swarm
    workable: bool = False  # the target starts and its own tests pass: from here on a report is worth writing

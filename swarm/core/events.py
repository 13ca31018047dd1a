"""Typed events of a run: the engine emits them, console, journal and `--json` listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PhaseName = Literal["baseline", "specialists", "plan", "weigh", "verify", "benchmark", "monitoring", "report"]
PHASES: tuple[PhaseName, ...] = (
    "baseline", "specialists", "plan", "weigh", "verify", "benchmark", "monitoring", "report",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunStarted:
    """First event; `provider` is the choice that was made, `reason` why."""

    run_id: str
    target: str
    swarm: str
    pattern: str
    provider: str
    reason: str


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase begins."""

    phase: PhaseName


@dataclass(frozen=True, slots=True)
class PhaseFinished:
    """A phase ended; `summary` is one line for people."""

    phase: PhaseName
    duration_s: float
    summary: str


@dataclass(frozen=True, slots=True)
class AgentStarted:
    """A specialist or the coordinator begins."""

    agent: str
    role: str
    model: str
    provider: str


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """A model answered; `input_tokens` is all that it read, what caches held or took included.

    `cost_usd` is None where its price is not known, 0 for one that costs nothing.
    """

    agent: str
    turn: int
    input_tokens: int
    output_tokens: int
    estimated: bool
    cache_read_tokens: int = 0
    cost_usd: float | None = 0.0
    duration_s: float = 0.0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """A model gave no whole turn; it is asked again in `again_in_s`, or not at all where that is None.

    What broke off is paid for nevertheless: tokens and `cost_usd` are as those of a TurnFinished.
    """

    agent: str
    error: str
    again_in_s: float | None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = 0.0


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool begins; `detail` is its arguments in short."""

    agent: str
    tool: str
    detail: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool ended."""

    agent: str
    tool: str
    duration_s: float
    ok: bool
    summary: str


@dataclass(frozen=True, slots=True)
class FindingReported:
    """A finding came to light."""

    agent: str
    finding: str
    rule: str
    severity: str
    title: str
    place: str


@dataclass(frozen=True, slots=True)
class AgentFinished:
    """An agent ended; `status` is done, degraded or failed."""

    agent: str
    status: str
    findings: int
    duration_s: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class GateFinished:
    """A gate judged a batch of patches."""

    gate: str
    patches: tuple[str, ...]
    passed: bool | None
    detail: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class PatchJudged:
    """A patch has its verdict."""

    patch: str
    title: str
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A step inside a phase, for people."""

    message: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something the user should know; it stands in the report too."""

    message: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """Last event."""

    run_id: str
    status: str
    folder: str
    accepted: int
    rejected: int
    duration_s: float
    exit_code: int


Event = (
    RunStarted | PhaseStarted | PhaseFinished | AgentStarted | TurnFinished | TurnFailed | ToolStarted
    | ToolFinished | FindingReported | AgentFinished | GateFinished | PatchJudged | Progress | Note | RunFinished
)  # fmt: skip

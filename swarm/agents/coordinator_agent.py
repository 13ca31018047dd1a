"""The coordinator as an agent: it reads all findings and puts the fixes in order, or drops some with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from swarm.agents.accounts import Status, agent_info, settled
from swarm.agents.attempts import Attempted, attempt
from swarm.agents.charters import READ_FINDINGS, coordinator_system
from swarm.agents.conversation.artifacts import ReadArtifact
from swarm.agents.conversation.closing import Closing
from swarm.agents.conversation.loop import LoopLimits
from swarm.agents.conversation.surroundings import Candidate, Surroundings
from swarm.core.chat import Conversation, Message, Text
from swarm.core.errors import ToolFailed
from swarm.core.events import AgentFinished
from swarm.core.findings import Finding
from swarm.core.proposals import Proposal
from swarm.core.report import AgentInfo
from swarm.tools.digests import findings_answer
from swarm.tools.tool import Answer, Tool
from swarm.tools.workbench import Workbench

MAX_TURNS = 6


class Dropped(BaseModel):
    """A fix that should not be tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    finding_id: str
    reason: str = Field(min_length=5, max_length=500)


class PlanArguments(BaseModel):
    """The coordinator's plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    order: list[str] = Field(description="ids of the findings to fix, in the order of their patches")
    dropped: list[Dropped] = Field(default_factory=list)
    notes: str = Field("", max_length=6000)


@dataclass(frozen=True, slots=True)
class PlanResult:
    """`order` holds every id of the default order but the dropped ones; `dropped` is (finding id, reason)."""

    order: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...]
    notes: str
    info: AgentInfo


class ReadFindings(Tool):
    """All findings with the merge's plan; each conversation gets an instance of its own."""

    name = READ_FINDINGS
    group = ""
    description = "Gives all findings and `default_plan`, the ids of the wanted fixes in the merge's order."

    def __init__(
        self, findings: Sequence[Finding], default_order: Sequence[str], proposals: Sequence[Proposal] = ()
    ) -> None:
        self._findings = tuple(findings)
        self._more: dict[str, Any] = {"default_plan": list(default_order)}
        if proposals:
            self._more["proposed_edits"] = [
                {"finding": one.finding, "by": one.agent, "title": one.title, "files": [c.path for c in one.changes]}
                for one in proposals
            ]

    async def run(self, arguments: Any, bench: Workbench) -> Answer:
        """Digests, the worst first."""
        del arguments, bench
        answer = findings_answer(self._findings, self._more)
        return replace(answer, served={**answer.served, **self._more})


async def run_coordinator(
    name: str,
    findings: Sequence[Finding],
    default_order: Sequence[str],
    candidates: Sequence[Candidate],
    around: Surroundings,
    *,
    limits: LoopLimits | None = None,
    proposals: Sequence[Proposal] = (),
) -> PlanResult:
    """The order of the fixes: the coordinator's where it gives a valid one, else `default_order`."""
    started_s = around.since_start_s()
    conversation = Conversation(
        agent=name,
        model="",
        system=coordinator_system(name, MAX_TURNS),
        messages=(Message("user", (Text(f"{len(default_order)} fixes are wanted. Begin."),)),),
    )
    attempted = await attempt(
        "coordinator",
        conversation,
        (ReadFindings(findings, default_order, proposals), ReadArtifact(around.artifacts)),
        lambda: _closing(default_order),
        candidates,
        around,
        replace(limits or LoopLimits(), max_turns=MAX_TURNS),
    )
    return _result(name, default_order, attempted, around, started_s)


def _closing(default_order: Sequence[str]) -> Closing:
    known = set(default_order)

    def check(plan: PlanArguments) -> None:
        named = [*plan.order, *(item.finding_id for item in plan.dropped)]
        unknown = [one for one in named if one not in known]
        mistakes = []
        if unknown:
            mistakes.append(f"not in default_plan: {', '.join(unknown[:10])}; name only wanted fixes")
        if len(set(named)) != len(named):
            mistakes.append("each fix stands once: in order or in dropped")
        if mistakes:
            raise ToolFailed("; ".join(mistakes))

    return Closing("submit_plan", "Hands over the plan and ends your work.", PlanArguments, check)


def _result(
    name: str, default_order: Sequence[str], attempted: Attempted, around: Surroundings, started_s: float
) -> PlanResult:
    last, notes = attempted.last, list(attempted.notes)
    plan = last.submission if isinstance(last.submission, PlanArguments) else None
    dropped: tuple[tuple[str, str], ...] = ()
    status: Status = "done" if plan is not None and not attempted.notes else "degraded"
    if plan is None:
        order = tuple(default_order)
        notes.append("no plan was submitted: the merge's own order is taken")
    else:
        dropped = tuple((item.finding_id, around.mask(item.reason)) for item in plan.dropped)
        named = {*plan.order, *(finding_id for finding_id, _ in dropped)}
        forgotten = tuple(one for one in default_order if one not in named)
        order = (*plan.order, *forgotten)
        if forgotten:
            notes.append(f"{len(forgotten)} fixes that the plan does not name were put at its end")
    finished_s, candidate = around.since_start_s(), attempted.candidate
    note = "; ".join(notes) if status != "done" else ""
    around.emit(AgentFinished(name, status, 0, finished_s - started_s, note))
    info = agent_info(
        name,
        "coordinator",
        attempted.outcomes,
        model=candidate.model_id,
        provider=candidate.model.provider,
        status=status,
        started_s=started_s,
        finished_s=finished_s,
        findings=0,
        note=note,
    )
    words = [plan.notes] if plan is not None and plan.notes else []
    return PlanResult(order, dropped, around.mask(" ".join([*words, *notes])), settled(info, around))

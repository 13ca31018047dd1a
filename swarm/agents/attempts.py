"""Tries the models that may play an agent, in order, until one of them ends its work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from swarm.agents.accounts import Role, agent_info
from swarm.agents.conversation.closing import Closing
from swarm.agents.conversation.loop import LoopLimits, Outcome, converse
from swarm.agents.conversation.records import conversation_record
from swarm.agents.conversation.surroundings import Candidate, Surroundings
from swarm.core.chat import Conversation, TurnLimits
from swarm.core.events import AgentFinished, AgentStarted, Note
from swarm.core.report import AgentInfo
from swarm.tools.tool import Tool

_OFFLINE_TURN = TurnLimits(max_output_tokens=65_536)  # the playbook names all findings in one turn
# After these another model may do better; after a budget or a bound of turns nobody may go on.
_PASSED_ON = frozenset({"model_failed", "refusal", "context", "stuck"})


@dataclass(frozen=True, slots=True)
class Attempted:
    """All conversations that were had, the last one by `candidate`; `notes` say what went wrong on the way."""

    outcomes: tuple[Outcome, ...]
    candidate: Candidate
    notes: tuple[str, ...]

    @property
    def last(self) -> Outcome:
        """The conversation that counts."""
        return self.outcomes[-1]


async def attempt(
    role: Role,
    conversation: Conversation,
    tools: Sequence[Tool],
    closing: Callable[[], Closing],
    candidates: Sequence[Candidate],
    around: Surroundings,
    limits: LoopLimits,
) -> Attempted:
    """Each candidate begins a fresh conversation: what another model thought is of no use to it, and not allowed.

    What tools measured for an earlier one is still on the workbench, so going over it again costs little.
    Raises ValueError where there is no candidate.
    """
    outcomes: list[Outcome] = []
    notes: list[str] = []
    started_s = around.since_start_s()

    def cut(outcome: Outcome) -> None:
        had, last = (*outcomes, outcome), candidates[len(outcomes)]
        info = _cut_off(conversation.agent, role, had, last, started_s, around)
        around.cut_off.append(info)
        took_s = info.finished_s - info.started_s
        around.emit(AgentFinished(info.name, info.status, info.findings, took_s, info.note))

    for number, candidate in enumerate(candidates):
        around.emit(AgentStarted(conversation.agent, role, candidate.model_id, candidate.model.provider))
        own = replace(conversation, model=candidate.model_id)
        beginning = conversation_record(own, around.mask)
        told = around.recall.conversation(own.agent, beginning)
        if told.beginning is None:
            around.journal.append("conversation", beginning)
        bounds = limits if candidate.model.provider != "offline" else replace(limits, turn=_OFFLINE_TURN)
        outcome = await converse(candidate.model, own, tools, closing(), around, bounds, told, cut)
        outcomes.append(outcome)
        words = around.mask(outcome.note)
        ended = {"agent": own.agent, "model": own.model, "ending": outcome.ending, "note": words}
        around.journal.append("conversation_ended", ended)
        if words:
            notes.append(f"{candidate.model_id}: {words}")
        if outcome.ending not in _PASSED_ON or number == len(candidates) - 1:
            return Attempted(tuple(outcomes), candidate, tuple(notes))
        following = candidates[number + 1].model_id
        around.emit(Note(f"{own.agent}: {candidate.model_id} failed ({words}); {following} takes over"))
    raise ValueError("an agent needs at least one candidate")


def _cut_off(
    agent: str, role: Role, outcomes: Sequence[Outcome], last: Candidate, started_s: float, around: Surroundings
) -> AgentInfo:
    """What an agent had done and spent by the time that its work was cancelled."""
    return agent_info(
        agent,
        role,
        outcomes,
        model=last.model_id,
        provider=last.model.provider,
        status="degraded",
        started_s=started_s,
        finished_s=around.since_start_s(),
        findings=sum(finding.agent == agent for finding in around.bench.findings.all()),
        note=outcomes[-1].note,
    )

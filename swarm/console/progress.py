"""What is going on right now, folded from events: phases, agents, their tools and tokens. No terminal here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from swarm.core import events as e
from swarm.core.spending import UNKNOWN, money

PhaseState = str  # waiting, running, done


@dataclass(slots=True)
class AgentState:
    """One agent as the live view shows it."""

    name: str
    role: str
    model: str
    began_s: float
    status: str = "working"
    doing: str = "thinking"
    turns: int = 0
    input_tokens: int = 0  # all of it, what caches held included
    cache_read_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0  # None where a turn's price is not known
    estimated: bool = False
    findings: int = 0
    took_s: float | None = None


@dataclass(slots=True)
class RunState:
    """The run so far; `apply` takes each event with its time."""

    title: str = ""
    phases: dict[str, PhaseState] = field(default_factory=lambda: dict.fromkeys(e.PHASES, "waiting"))
    agents: dict[str, AgentState] = field(default_factory=dict)
    step: str = ""
    accepted: int = 0
    rejected: int = 0
    finished: bool = False

    @property
    def cost(self) -> str:
        """What all agents have cost so far, in words; empty where nothing costs anything."""
        costs = [agent.cost_usd for agent in self.agents.values()]
        known = sum(cost or 0.0 for cost in costs)
        if None in costs:
            return f"{money(known)} and turns of {UNKNOWN}" if known else UNKNOWN
        return money(known) if known else ""

    def apply(self, event: e.Event, now_s: float) -> None:
        """Fold one event in; agents that never started are passed over."""
        match event:
            case e.RunStarted():
                self.title = f"{event.swarm} on {event.target}"
            case e.PhaseStarted():
                self.phases[event.phase], self.step = "running", ""
            case e.PhaseFinished():
                self.phases[event.phase], self.step = "done", ""
            case e.AgentStarted():
                self.agents[event.agent] = AgentState(event.agent, event.role, event.model, now_s)
            case e.Progress():
                self.step = event.message
            case e.GateFinished():
                self.step = f"gate {event.gate}"
            case e.PatchJudged(accepted=True):
                self.accepted += 1
            case e.PatchJudged():
                self.rejected += 1
            case e.RunFinished():
                self.finished = True
            case _:
                self._apply_to_agent(event)

    def _apply_to_agent(self, event: e.Event) -> None:
        agent = self.agents.get(getattr(event, "agent", ""))
        if agent is None:
            return
        step = _STEPS.get(type(event))
        if step is not None:
            step(agent, event)


def _turn(agent: AgentState, event: e.Event) -> None:
    assert isinstance(event, e.TurnFinished)
    agent.turns = event.turn
    agent.estimated = agent.estimated or event.estimated
    _paid(agent, event)


def _turn_fails(agent: AgentState, event: e.Event) -> None:
    assert isinstance(event, e.TurnFailed)
    agent.doing = "thinking" if event.again_in_s is None else "waiting to ask again"
    _paid(agent, event)


def _paid(agent: AgentState, event: e.TurnFinished | e.TurnFailed) -> None:
    agent.input_tokens += event.input_tokens
    agent.cache_read_tokens += event.cache_read_tokens
    agent.output_tokens += event.output_tokens
    known = agent.cost_usd is not None and event.cost_usd is not None
    agent.cost_usd = (agent.cost_usd or 0.0) + (event.cost_usd or 0.0) if known else None


def _tool_starts(agent: AgentState, event: e.Event) -> None:
    assert isinstance(event, e.ToolStarted)
    agent.doing = f"{event.tool} {event.detail}".strip()


def _tool_ends(agent: AgentState, event: e.Event) -> None:
    agent.doing = "thinking"


def _found(agent: AgentState, event: e.Event) -> None:
    agent.findings += 1


def _agent_ends(agent: AgentState, event: e.Event) -> None:
    assert isinstance(event, e.AgentFinished)
    agent.status, agent.doing, agent.findings, agent.took_s = event.status, "", event.findings, event.duration_s


_STEPS: dict[type, Callable[[AgentState, e.Event], None]] = {
    e.TurnFinished: _turn,
    e.TurnFailed: _turn_fails,
    e.ToolStarted: _tool_starts,
    e.ToolFinished: _tool_ends,
    e.FindingReported: _found,
    e.AgentFinished: _agent_ends,
}

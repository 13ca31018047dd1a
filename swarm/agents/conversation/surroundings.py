"""What every agent of a run is handed beside its charter: the workbench, the purse, and who listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from swarm.agents.conversation.artifacts import Artifacts
from swarm.agents.conversation.budget import Limits, RunBudget
from swarm.agents.conversation.recall import Recall
from swarm.config.schema import Share
from swarm.core.ports import Clock, EventSink, Journal, Model
from swarm.core.report import AgentInfo
from swarm.tools.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`mask` hides known secret values in text; `run_began_s` is the clock's time when the run began.

    `recall` is what the journal of a cut-off run holds; empty for a new one. Its artifacts are the run's. `cut_off`
    takes what agents had done and spent whose work was cancelled.
    """

    bench: Workbench
    budget: RunBudget
    emit: EventSink
    journal: Journal
    clock: Clock
    mask: Callable[[str], str]
    run_began_s: float
    recall: Recall = field(default_factory=Recall)
    cut_off: list[AgentInfo] = field(default_factory=list)

    @property
    def artifacts(self) -> Artifacts:
        """Results that are kept beside the conversations."""
        return self.recall.artifacts

    def within(self, agent: str, share: Share | None) -> Surroundings:
        """The same for one agent that has a share of the run's budget; the run's own where it has none."""
        if share is None:
            return self
        limits = Limits(tokens=share.tokens, usd=share.usd, seconds=share.seconds)
        return replace(self, budget=self.budget.within(agent, limits))

    def since_start_s(self) -> float:
        """Seconds since the run began."""
        return self.clock.now_s() - self.run_began_s


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may play an agent; a list of them is tried in order."""

    model: Model
    model_id: str

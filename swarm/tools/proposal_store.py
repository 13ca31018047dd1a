"""The patches that models of a run proposed."""

from __future__ import annotations

from swarm.core.errors import ToolFailed
from swarm.core.proposals import Proposal

MOST_OF_AN_AGENT = 12


class ProposalStore:
    """Keeps one for each agent and finding: the last."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Proposal] = {}

    def check(self, agent: str, finding: str) -> None:
        """Raise ToolFailed where the agent has proposed enough: each costs a proof."""
        own = {key for key in self._kept if key[0] == agent}
        if len(own) >= MOST_OF_AN_AGENT and (agent, finding) not in own:
            raise ToolFailed(f"{len(own)} proposals are kept for you, and no more are taken; submit")

    def add(self, proposal: Proposal) -> None:
        """Take it, in the place of an earlier one of the agent's for the finding."""
        self._kept.pop((proposal.agent, proposal.finding), None)
        self._kept[proposal.agent, proposal.finding] = proposal

    def all(self) -> tuple[Proposal, ...]:
        """In the order of arrival."""
        return tuple(self._kept.values())

    def of(self, agent: str) -> tuple[Proposal, ...]:
        """Those of one agent."""
        return tuple(proposal for proposal in self._kept.values() if proposal.agent == agent)

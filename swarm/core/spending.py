"""What models took: tokens by kind and dollars, of one agent or of all of a run. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swarm.core.report import AgentInfo

UNKNOWN = "cost unknown"
_CENTS = 0.995  # dollars from which cents are shown, and no smaller parts of them


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens by kind; `input_tokens` are those that no cache held. `usd` is None where a price is not known."""

    input_tokens: int
    cache_write_tokens: int
    cache_read_tokens: int
    output_tokens: int
    usd: float | None

    @property
    def read_tokens(self) -> int:
        """The whole input."""
        return self.input_tokens + self.cache_write_tokens + self.cache_read_tokens

    @property
    def all_tokens(self) -> int:
        """Input and output."""
        return self.read_tokens + self.output_tokens

    @property
    def from_cache(self) -> float | None:
        """The share of the input that a provider's cache held; None where nothing was read."""
        return self.cache_read_tokens / self.read_tokens if self.read_tokens else None

    @property
    def words(self) -> str:
        """`12,000 in (8,000 from the cache, 2,000 written to it), 300 out`."""
        kinds = [
            f"{count:,} {what}"
            for count, what in (
                (self.cache_read_tokens, "from the cache"),
                (self.cache_write_tokens, "written to it"),
            )
            if count
        ]
        of_it = f" ({', '.join(kinds)})" if kinds else ""
        return f"{self.read_tokens:,} in{of_it}, {self.output_tokens:,} out"


def spent(agents: Iterable[AgentInfo]) -> Spending:
    """What the agents took together."""
    all_of_them = tuple(agents)
    costs = [agent.cost_usd for agent in all_of_them]
    return Spending(
        sum(agent.input_tokens for agent in all_of_them),
        sum(agent.cache_write_tokens for agent in all_of_them),
        sum(agent.cache_read_tokens for agent in all_of_them),
        sum(agent.output_tokens for agent in all_of_them),
        None if None in costs else sum(cost or 0.0 for cost in costs),
    )


def money(usd: float | None) -> str:
    """Dollars for people; a price that is not known is no 0."""
    if usd is None:
        return UNKNOWN
    return f"${usd:,.2f}" if usd >= _CENTS else f"${usd:.4f}" if usd else "$0"


def asked_a_provider(agents: Iterable[AgentInfo]) -> bool:
    """Whether any of them had a turn that costs something."""
    return any(agent.cost_usd != 0 for agent in agents)

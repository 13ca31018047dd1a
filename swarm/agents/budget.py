"""What a run may spend on its agents: money, tokens, seconds; asked before each call of a model."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.core.chat import Usage
from swarm.core.errors import BudgetExceeded
from swarm.core.ports import Clock
from swarm.models.prices import Prices


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent so far; `usd` counts the turns whose price is known."""

    usd: float
    tokens: int
    seconds: float


class RunBudget:
    """Shared by all agents of a run. None means no limit of that kind.

    It is asked before a call and charged after it: agents that are in the middle of a turn when a limit is
    reached finish that turn, and no further one begins.
    """

    def __init__(
        self,
        clock: Clock,
        prices: Prices,
        *,
        usd: float | None = None,
        tokens: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._clock, self._prices = clock, prices
        self._usd_limit, self._tokens_limit, self._seconds_limit = usd, tokens, seconds
        self._began_s = clock.now_s()
        self._usd, self._tokens = 0.0, 0
        self._unpriced: set[str] = set()

    def charge(self, provider: str, model: str, usage: Usage) -> float | None:
        """Count one turn; its dollars, 0 for an offline one, None where the model's price is not known."""
        self._tokens += usage.context_tokens + usage.output_tokens
        cost = 0.0 if provider == "offline" else self._prices.cost_usd(model, usage)
        if cost is None:
            self._unpriced.add(model)
        self._usd += cost or 0.0
        return cost

    def exceeded(self) -> str | None:
        """Why no further call may be made, or None."""
        spent = self.spent
        if self._usd_limit is not None and spent.usd >= self._usd_limit:
            return f"the budget of ${self._usd_limit:g} is spent"
        if self._tokens_limit is not None and spent.tokens >= self._tokens_limit:
            return f"the budget of {self._tokens_limit} tokens is spent"
        if self._seconds_limit is not None and spent.seconds >= self._seconds_limit:
            return f"the deadline of {self._seconds_limit:g} s has passed"
        return None

    def check(self) -> None:
        """For the top of a run. Raises BudgetExceeded where a limit was reached."""
        reason = self.exceeded()
        if reason is not None:
            raise BudgetExceeded(f"{reason}; raise it with --budget-usd, --budget-tokens or --deadline")

    @property
    def spent(self) -> Spent:
        """What was spent so far."""
        return Spent(self._usd, self._tokens, self._clock.now_s() - self._began_s)

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the deadline; None where there is none."""
        if self._seconds_limit is None:
            return None
        return max(0.0, self._seconds_limit - self.spent.seconds)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the counting."""
        return tuple(
            f"the price of {model} is not known: its turns count as tokens, not as dollars"
            for model in sorted(self._unpriced)
        )

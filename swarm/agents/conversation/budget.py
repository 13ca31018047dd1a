"""What agents may spend: turns, tokens, money, seconds, of a run and of one agent; reserved before each call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from swarm.core.chat import Usage
from swarm.core.ports import Clock
from swarm.core.spending import money
from swarm.core.wording import counted
from swarm.models.prices import Prices

LEAST_OUTPUT = 1_024  # tokens; an answer cut shorter than that hands nothing over
LEAST_S = 0.5  # seconds; no model answers sooner
_MANY = 1_000_000  # tokens of output that no model gives


@dataclass(frozen=True, slots=True)
class Limits:
    """The most of each kind; None where there is no limit."""

    turns: int | None = None
    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent so far; `usd` counts the turns whose price is known."""

    usd: float
    tokens: int
    seconds: float
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """Room that is kept for one call until it is settled: at most so many tokens and dollars."""

    provider: str
    model: str
    output_tokens: int
    tokens: int
    usd: float

    @property
    def input_tokens(self) -> int:
        """What is read at most."""
        return self.tokens - self.output_tokens


@dataclass(frozen=True, slots=True)
class Unheard:
    """A call that was under way when its run was cut off. It took so much at most; `usd` None: no price is known."""

    agent: str
    tokens: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class Refused:
    """No call may be made, because …"""

    reason: str


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that is asked for: its input at most, and what that and a token of output cost at the dearest rate."""

    input_tokens: int
    input_usd: float
    output_usd: float


class RunBudget:
    """Shared by all agents of a run; `within` gives one agent limits of its own inside of it.

    A call is made only where all that it may take (its input by a bound, its longest answer, at the dearest rate)
    fits into what is neither spent nor held for calls under way. There is one event loop, and nothing is awaited
    between looking and holding. Afterwards what the call really took is charged. A model whose price is not known is
    bounded by tokens, turns and seconds alone.
    """

    def __init__(
        self,
        clock: Clock,
        prices: Prices,
        limits: Limits = NO_LIMITS,
        *,
        whose: str = "the",
        parent: RunBudget | None = None,
    ) -> None:
        self._clock, self._prices, self._limits = clock, prices, limits
        self._whose, self._parent = whose, parent
        self._root: RunBudget = self if parent is None else parent._root
        self._line: tuple[RunBudget, ...] = (self, *(parent._line if parent else ()))
        self._began_s = clock.now_s()
        self._turns, self._tokens, self._usd = 0, 0, 0.0
        self._holds: list[Hold] = []
        self._members: dict[str, RunBudget] = {}
        self._unpriced: set[str] = set()
        self._unheard: list[Unheard] = []
        self._freed = asyncio.Event()
        self._refused: str | None = None

    def within(self, agent: str, limits: Limits) -> RunBudget:
        """The agent's share: one purse, however often it is asked for; its seconds begin anew with each time."""
        if agent not in self._members:
            whose = f"{agent}'s"
            self._members[agent] = RunBudget(self._clock, self._prices, limits, whose=whose, parent=self)
        self._members[agent]._began_s = self._clock.now_s()
        return self._members[agent]

    async def reserve(self, provider: str, model: str, input_tokens: int, output_tokens: int) -> Hold | Refused:
        """Room for a call of at most `input_tokens`, with an answer of `output_tokens` or of what there is room for.

        Waits where calls under way hold what may come back: they end by their own deadlines. Refused where no more
        than an answer of LEAST_OUTPUT tokens fits, whatever comes back; `ended_by` then says why.
        """
        call = self._call(provider, model, input_tokens)
        least = min(LEAST_OUTPUT, output_tokens)
        while True:
            freed = self._root._freed
            rooms = {one: one._room(call, held=True) for one in self._line}
            tight = [one for one in self._line if rooms[one] < output_tokens]
            hopeless = next((one for one in tight if one._room(call, held=False) < least), None)
            reason = self.exceeded() or (hopeless._no_room(call) if hopeless else None)
            if reason is not None:
                self._root._refused = self._root._refused or reason
                return Refused(reason)
            if not any(one._holds for one in tight):
                granted = min((rooms[one] for one in tight), default=output_tokens)
                usd = call.input_usd + granted * call.output_usd
                hold = Hold(provider, model, granted, input_tokens + granted, usd)
                for one in self._line:
                    one._holds.append(hold)
                return hold
            await freed.wait()

    def settle(self, hold: Hold, usage: Usage, *, turns: int = 1) -> float | None:
        """Give the room back and charge what the call took: 0 `turns` where it gave none. Gives its dollars."""
        for one in self._line:
            one._holds = [other for other in one._holds if other is not hold]
        cost = self.charge(hold.provider, hold.model, usage, turns=turns)
        freed, self._root._freed = self._root._freed, asyncio.Event()
        freed.set()
        return cost

    def charge(self, provider: str, model: str, usage: Usage, *, turns: int = 1) -> float | None:
        """Count what was spent; its dollars, 0 for an offline turn, None where the model's price is not known."""
        cost = 0.0 if provider == "offline" else self._prices.cost_usd(model, usage)
        if cost is None:
            self._root._unpriced.add(model)
        for one in self._line:
            one._turns += turns
            one._tokens += usage.context_tokens + usage.output_tokens
            one._usd += cost or 0.0
        return cost

    def unheard(self, agent: str, provider: str, model: str, input_tokens: int, output_tokens: int) -> None:
        """Count a call whose answer nobody heard as the dearest that it can have been: no limit is passed by it."""
        most_usd = 0.0 if provider == "offline" else self._prices.most_usd(model, input_tokens, output_tokens)
        for one in self._line:
            one._tokens += input_tokens + output_tokens
            one._usd += most_usd or 0.0
        self._root._unheard.append(Unheard(agent, input_tokens + output_tokens, most_usd))

    def fits(self, provider: str, model: str, input_tokens: int, output_tokens: int) -> bool:
        """Whether such a call fits whole into what is neither spent nor held."""
        call = self._call(provider, model, input_tokens)
        return all(one._room(call, held=True) >= output_tokens for one in self._line)

    def one_more(self, provider: str, model: str, input_tokens: int) -> bool:
        """Whether there is room for one call with such an input, and not for two."""
        call = self._call(provider, model, 2 * input_tokens)
        return any(one._room(call, held=True, calls=2) < 2 * LEAST_OUTPUT for one in self._line)

    def exceeded(self) -> str | None:
        """Why no further call may be made, however small, or None."""
        for one in self._line:
            spent, limits = one.spent, one._limits
            if limits.usd is not None and spent.usd >= limits.usd:
                return f"{one._whose} budget of ${limits.usd:g} is spent"
            if limits.tokens is not None and spent.tokens >= limits.tokens:
                return f"{one._whose} budget of {limits.tokens} tokens is spent"
            if limits.turns is not None and spent.turns >= limits.turns:
                return f"{one._whose} budget of {limits.turns} turns is spent"
            if limits.seconds is not None and limits.seconds - spent.seconds < LEAST_S:
                return f"{one._whose} deadline of {limits.seconds:g} s has passed"
        return None

    @property
    def ended_by(self) -> str | None:
        """Why a call of this run's was refused; None where each one that was wanted was made."""
        return self._root._refused

    @property
    def spent(self) -> Spent:
        """What was spent so far."""
        return Spent(self._usd, self._tokens, self._clock.now_s() - self._began_s, self._turns)

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the nearest deadline; None where there is none."""
        ends = [one._limits.seconds - one.spent.seconds for one in self._line if one._limits.seconds is not None]
        return max(0.0, min(ends)) if ends else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the counting."""
        root = self._root
        unpriced = sorted(root._unpriced) if root._limits.usd is not None else ()
        return (
            *(f"the price of {model} is not known: its turns count as tokens, not as dollars" for model in unpriced),
            *([_unheard_words(root._unheard)] if root._unheard else ()),
        )

    def _call(self, provider: str, model: str, input_tokens: int) -> _Call:
        if provider == "offline" or not any(one._limits.usd for one in self._line):
            return _Call(input_tokens, 0.0, 0.0)
        bare = self._prices.most_usd(model, input_tokens, 0) or 0.0
        said = self._prices.most_usd(model, input_tokens, _MANY) or 0.0
        return _Call(input_tokens, bare, (said - bare) / _MANY)

    def _room(self, call: _Call, *, held: bool, calls: int = 1) -> int:
        """Tokens of output that there is room for; below 0 where not even the input fits.

        `held` counts what calls under way hold as spent. `calls` share the input.
        """
        limits, holds = self._limits, self._holds if held else []
        room = _MANY
        if limits.turns is not None and limits.turns - self._turns - len(holds) < calls:
            return -1
        if limits.tokens is not None:
            room = min(room, limits.tokens - self._tokens - sum(one.tokens for one in holds) - call.input_tokens)
        if limits.usd is not None:
            left = limits.usd - self._usd - sum(one.usd for one in holds) - call.input_usd
            room = min(room, int(left / call.output_usd) if call.output_usd else _MANY if left >= 0 else -1)
        return room

    def _no_room(self, call: _Call) -> str:
        limits, spent = self._limits, self.spent
        short = limits.tokens is not None and limits.tokens - spent.tokens - call.input_tokens < LEAST_OUTPUT
        if short:
            return (
                f"{self._whose} budget of {limits.tokens} tokens has no room for a further turn "
                f"({spent.tokens} used, {call.input_tokens} to be read)"
            )
        return f"{self._whose} budget of ${limits.usd:g} has no room for a further turn (${spent.usd:.4g} spent)"


def _unheard_words(calls: Sequence[Unheard]) -> str:
    costs = [one.usd for one in calls]
    usd = None if None in costs else sum(cost or 0.0 for cost in costs)
    names = ", ".join(dict.fromkeys(one.agent for one in calls))
    return (
        f"{counted(len(calls), 'turn')} of {names} had no answer yet when the run was cut off: what that took was "
        f"never told. It is in no sum here, and counts against budgets as what it was at most "
        f"({sum(one.tokens for one in calls):,} tokens, {money(usd)})"
    )

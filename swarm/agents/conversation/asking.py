"""One turn of a model: room for it in the budget first, then asked, and asked again where that may help."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from swarm.agents.conversation.budget import Hold, Refused
from swarm.agents.conversation.surroundings import Surroundings
from swarm.core.chat import Conversation, ModelFailed, ToolSpec, Turn, TurnLimits, Usage
from swarm.core.chat_codec import usage_record
from swarm.core.events import TurnFailed, TurnFinished
from swarm.core.ports import Model

# A provider's count is called an estimate by itself: it may differ by a few, and by a fiftieth at most.
_COUNTED_WITHIN, _ADDED_TOKENS = 50, 64


@dataclass(frozen=True, slots=True)
class Patience:
    """Attempts at one turn, the wait after the first, and the longest wait that a provider may ask for."""

    attempts: int
    first_wait_s: float
    longest_wait_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A whole turn and its dollars; None where the model's price is not known."""

    turn: Turn
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class _Broken:
    """An attempt that gave no turn, and what it cost nevertheless."""

    failed: ModelFailed
    cost_usd: float | None


class Asking:
    """Asks `model` on an agent's behalf. `count` is told what each attempt took, whole or broken, and its dollars."""

    def __init__(
        self,
        model: Model,
        around: Surroundings,
        limits: TurnLimits,
        patience: Patience,
        count: Callable[[Usage, float | None], None],
    ) -> None:
        self._model, self._around, self._limits, self._patience = model, around, limits, patience
        self._count = count

    async def turn(self, shown: Conversation, specs: Sequence[ToolSpec], most_tokens: int) -> Asked | Refused:
        """The next turn of what is `shown`, which is read as `most_tokens` at most. Raises ModelFailed."""
        budget, limits = self._around.budget, self._limits
        if not budget.fits(self._model.provider, shown.model, most_tokens, limits.max_output_tokens):
            most_tokens = min(most_tokens, await self._counted(shown, specs, most_tokens))
        for attempt in range(1, self._patience.attempts + 1):
            hold = await budget.reserve(
                self._model.provider, shown.model, most_tokens, self._limits.max_output_tokens
            )
            if isinstance(hold, Refused):
                return hold
            had = await self._once(shown, specs, hold)
            if isinstance(had, Asked):
                return had
            await asyncio.sleep(self._wait_s(had, attempt, shown.agent))
        raise ModelFailed("no attempt was allowed", retryable=False)

    async def _counted(self, shown: Conversation, specs: Sequence[ToolSpec], most_tokens: int) -> int:
        """What is read at most by the provider's own count; the bound needs no asking, and is some times as high."""
        counted = await self._model.count_tokens(shown, specs)
        return most_tokens if counted is None else counted + counted // _COUNTED_WITHIN + _ADDED_TOKENS

    async def _once(self, shown: Conversation, specs: Sequence[ToolSpec], hold: Hold) -> Asked | _Broken:
        budget, deadline_s = self._around.budget, self._limits.deadline_s
        remaining_s = budget.remaining_s
        if remaining_s is not None:
            deadline_s = min(deadline_s, remaining_s)
        usage, turns = Usage(), 0
        failed: ModelFailed | None = None
        self._tell_asked(shown.agent, hold)
        try:
            turn = await self._model.next_turn(shown, specs, TurnLimits(hold.output_tokens, deadline_s))
            usage, turns = turn.usage, 1
            ids = [call.id for call in turn.tool_calls]
            if len(set(ids)) != len(ids):
                turns = 0
                failed = ModelFailed("two calls of one turn have the same id", retryable=True, usage=usage)
        except ModelFailed as error:
            usage, failed = error.usage, error
        except asyncio.CancelledError:
            budget.unheard(shown.agent, hold.provider, hold.model, hold.input_tokens, hold.output_tokens)
            raise
        finally:
            cost = budget.settle(hold, usage, turns=turns)
            self._count(usage, cost)
        return Asked(turn, cost) if failed is None else _Broken(failed, cost)

    def _tell_asked(self, agent: str, hold: Hold) -> None:
        """Journal that a provider is asked: a run that is killed before the answer cannot know what that took."""
        if hold.provider != "offline":
            most = {"input_tokens": hold.input_tokens, "output_tokens": hold.output_tokens}
            self._around.journal.append("asked", {"agent": agent, "most": most})

    def _wait_s(self, broken: _Broken, attempt: int, agent: str) -> float:
        """How long to wait before the next attempt. Raises ModelFailed where there is to be none."""
        error, usage = broken.failed, broken.failed.usage
        words = self._around.mask(str(error))
        record = {"agent": agent, "attempt": attempt, "error": words}
        if usage != Usage():
            record["usage"] = usage_record(usage)
        self._around.journal.append("model_failed", record)
        wait_s = self._patient_s(error, attempt, agent)
        again_in_s = None if isinstance(wait_s, ModelFailed) else round(wait_s, 3)
        self._around.emit(turn_failed(agent, words, again_in_s, usage, broken.cost_usd))
        if isinstance(wait_s, ModelFailed):
            raise wait_s from error
        return wait_s

    def _patient_s(self, error: ModelFailed, attempt: int, agent: str) -> float | ModelFailed:
        """Seconds, or why there is no further attempt."""
        patience, budget = self._patience, self._around.budget
        if attempt == patience.attempts or not error.retryable or budget.exceeded() is not None:
            return error
        wish_s: float | None = getattr(error, "retry_after_s", None)
        wait_s = patience.first_wait_s * 2 ** (attempt - 1) if wish_s is None else wish_s
        if wait_s > patience.longest_wait_s:
            return ModelFailed(f"{error} (it asks to wait {wait_s:g} s)", retryable=False)
        wait_s *= 1 + zlib.crc32(agent.encode()) % 100 / 400  # those refused together come back apart
        remaining_s = budget.remaining_s
        if remaining_s is not None and wait_s >= remaining_s:
            return error  # the deadline comes first
        return wait_s


def turn_finished(agent: str, number: int, usage: Usage, cost_usd: float | None, duration_s: float) -> TurnFinished:
    """What is told of a whole turn."""
    return TurnFinished(
        agent, number, usage.context_tokens, usage.output_tokens, usage.estimated, usage.cache_read_tokens,
        cost_usd, round(duration_s, 3), usage.cache_write_tokens,
    )  # fmt: skip


def turn_failed(agent: str, error: str, again_in_s: float | None, usage: Usage, cost_usd: float | None) -> TurnFailed:
    """What is told of one that broke off."""
    return TurnFailed(
        agent, error, again_in_s, usage.context_tokens, usage.output_tokens, usage.cache_read_tokens,
        usage.cache_write_tokens, cost_usd,
    )  # fmt: skip

"""What a run may cost at most, told before any call: the loop's own bounds, times the prices. Pure.

Every turn is taken to be the dearest that the bounds allow: as many calls as are answered, each with the longest
result, the longest output, all of the context written to the cache anew. Real runs stay far below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.agents import coordinator_agent, revision
from swarm.agents.charters import coordinator_system, revision_system, specialist_system
from swarm.agents.conversation.artifacts import Artifacts, ReadArtifact
from swarm.agents.conversation.toolbox import CALLS_AT_ONCE
from swarm.agents.submission import submission_closing
from swarm.config.schema import Specialist, Swarm
from swarm.core.chat import Conversation, Message, Text, ToolSpec, TurnLimits
from swarm.models.estimate import beginning_bound
from swarm.models.prices import Prices
from swarm.tools.finding_store import FindingStore
from swarm.tools.registry import tools_for
from swarm.tools.tool import OUTPUT_CHARS

BYTES_PER_CHAR = 4  # at most; and no byte is more than a token
LARGEST_WINDOW = 1_000_000  # tokens; no model of today takes more


@dataclass(frozen=True, slots=True)
class AgentBound:
    """The most that one agent may take of one model; `usd` is None where its price is not known.

    `fallback` models begin only where the one before has failed.
    """

    agent: str
    model: str
    turns: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    fallback: bool = False


def bounds(
    swarm: Swarm,
    specialists: Mapping[str, Specialist],
    models_of: Callable[[str], Sequence[str]],
    prices: Prices,
) -> tuple[AgentBound, ...]:
    """One for each agent and model that may play it: `specialists` are those that the pattern sends."""
    found: list[AgentBound] = []
    for name, one in specialists.items():
        specs = _specs(one.tools)
        models = models_of(one.model or swarm.model)
        found += _agent(name, models, one.max_turns, _tokens(specialist_system(name, one), specs), prices)
    turns = coordinator_agent.MAX_TURNS
    head = _tokens(coordinator_system(swarm.coordinator, turns), ())
    found += _agent(swarm.coordinator, models_of(swarm.model), turns, head, prices)
    return tuple(found)


def revision_bound(
    swarm: Swarm, specialists: Mapping[str, Specialist], models_of: Callable[[str], Sequence[str]], prices: Prices
) -> AgentBound | None:
    """The dearest single try to write a refused patch anew; None where there are none. Their number has no bound."""
    if not swarm.edits.allowed or not swarm.edits.tries:
        return None
    names = {model for one in specialists.values() for model in models_of(one.model or swarm.model)}
    head = _tokens(revision_system("a specialist", revision.MAX_TURNS), _specs(["Read"]))
    each = [one for name in sorted(names) for one in _agent("a revision", [name], revision.MAX_TURNS, head, prices)]
    unknown = next((one for one in each if one.usd is None), None)
    return unknown or max(each, key=lambda one: one.usd or 0.0, default=None)


def total_usd(found: Sequence[AgentBound]) -> float | None:
    """All of them; None where one's price is not known: a part is no bound."""
    costs = [one.usd for one in found]
    return None if None in costs else sum(cost or 0.0 for cost in costs)


def _agent(agent: str, models: Sequence[str], turns: int, head: int, prices: Prices) -> list[AgentBound]:
    said = TurnLimits().max_output_tokens
    told = CALLS_AT_ONCE * OUTPUT_CHARS * BYTES_PER_CHAR
    held = [min(LARGEST_WINDOW, head + turn * (said + told)) for turn in range(turns)]
    found = []
    for number, model in enumerate(models):
        costs = [prices.most_usd(model, tokens, said) for tokens in held]
        known = [cost for cost in costs if cost is not None]
        usd = sum(known) if len(known) == len(costs) else None
        found.append(AgentBound(agent, model, turns, sum(held), said * turns, usd, number > 0))
    return found


def _specs(groups: Sequence[str]) -> tuple[ToolSpec, ...]:
    tools = (*tools_for(groups), ReadArtifact(Artifacts()))
    return (*(tool.spec() for tool in tools), submission_closing(FindingStore(), Path()).spec())


def _tokens(system: str, specs: Sequence[ToolSpec]) -> int:
    first = Message("user", (Text("x" * OUTPUT_CHARS),))  # no agent begins with more
    return beginning_bound(Conversation("", "", system, (first,)), specs)

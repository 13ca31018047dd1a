"""What the work of a swarm would have taken in one conversation: its own turns and results, laid together. Pure.

Nobody is asked again. The generalist is not hobbled: it has every tool and charter, makes the calls of all
specialists' first turns in its first turn, and so on (the fewest turns that are possible), makes no call twice, and
the same results are shortened and cleared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from swarm.agents.charters import specialist_system
from swarm.agents.conversation.artifacts import Artifacts, handle_of
from swarm.agents.conversation.clearing import Clearing
from swarm.agents.conversation.history import History
from swarm.agents.conversation.loop import Outcome
from swarm.agents.conversation.toolbox import CALLS_AT_ONCE
from swarm.config.schema import Specialist
from swarm.core.chat import Block, Conversation, Message, ToolCall, ToolResult, ToolSpec
from swarm.core.efficiency import ContextEfficiency, Makeup, SavingBounds, SavingMeans
from swarm.core.report import AgentInfo
from swarm.core.spending import spent
from swarm.models.estimate import METHOD, blocks_tokens, messages_tokens, prefix_tokens

Round = tuple[tuple[Block, ...], tuple[Block, ...]]  # what the model says, what it is told
NEVER = Clearing(over_tokens=0)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Tokens of one conversation: the most that it held at once, and all that its turns read and wrote.

    `prefix_tokens` of them are there before the work begins: charter, tools and first words. `makeup` is of the most.
    """

    peak_tokens: int
    total_tokens: int
    turns: int
    prefix_tokens: int
    makeup: Makeup


def context_of(
    agents: Sequence[AgentInfo],
    talks: Sequence[Outcome],
    generalist: Specialist,
    name: str,
    rule: Clearing,
    artifacts: Artifacts,
) -> ContextEfficiency:
    """The swarm's context beside that of one generalist with the same work. `talks` are the specialists'."""
    peak = max((agent.peak_context_tokens for agent in agents), default=0)
    total = spent(agents).all_tokens
    if not any(talk.tally.turns for talk in talks):
        return ContextEfficiency(peak or None, total or None, None, None, None, "no agent ran")
    system = specialist_system(name, generalist)
    specs = tuple({spec.name: spec for talk in talks for spec in talk.specs}.values())
    rounds = list(merged_rounds(talks))
    start = replace(talks[0].conversation, agent=name, system=system, messages=talks[0].conversation.messages[:1])
    one = footprint(start, specs, rounds, rule)
    whole = footprint(start, specs, [_whole(each, artifacts) for each in rounds], NEVER)
    own = [footprint(_first(talk), talk.specs, list(_rounds(talk.conversation)), rule) for talk in talks]
    own_whole = [
        footprint(_first(talk), talk.specs, [_whole(each, artifacts) for each in _rounds(talk.conversation)], NEVER)
        for talk in talks
    ]
    took = sum(talk.tally.usage.context_tokens + talk.tally.usage.output_tokens for talk in talks)
    alike = sum(each.total_tokens for each in own)
    reported = not any(talk.tally.usage.estimated for talk in talks)
    factor = took / alike if reported and took else 1.0
    rest = total - took  # of the coordinator and of revisions, which a generalist's run has as well
    # the coordinator and revisions are the same in both
    most, all_of_it = max(peak, round(one.peak_tokens * factor)), rest + round(one.total_tokens * factor)
    plain = max(peak, round(whole.peak_tokens * factor))
    kind = "reported tokens, the generalist's scaled to them" if reported else METHOD
    saving = 1 - peak / most
    names = [talk.conversation.agent for talk in talks]
    bounds = saving_bounds(dict(zip(names, own, strict=True)), one, agents)
    return ContextEfficiency(
        peak, total, most, all_of_it, saving,
        "largest context of an agent against one generalist's. The generalist was not run: this run's own turns and "
        "results were laid into one conversation with all tools, turn by turn, shortened and cleared alike, no call "
        f"twice ({one.turns} turns; {kind}). `swarm run --pattern single` and `swarm compare` measure it. "
        f"Tokens of all turns: {saving_words(total, all_of_it)}. {_at_best(bounds)}"
        f"Against whole results of which none is cleared ({plain:,} tokens at once): {saving_words(peak, plain)}.",
        total_saving=1 - total / all_of_it if all_of_it else None,
        whole_peak_tokens=plain,
        bounds=bounds,
        means=_means(own, own_whole, one, whole) if len(own) > 1 else None,
        makeup=max(own, key=lambda each: each.peak_tokens).makeup,
    )  # fmt: skip


def _means(own: Sequence[Footprint], own_whole: Sequence[Footprint], one: Footprint, whole: Footprint) -> SavingMeans:
    """Of specialists and of the generalist, each as they were and with whole results."""

    def saved(*held: Footprint) -> float:
        return 1 - max(each.peak_tokens for each in held) / whole.peak_tokens

    return SavingMeans(isolation=saved(*own_whole), digests=saved(one), together=saved(*own))


def saving_bounds(own: Mapping[str, Footprint], one: Footprint, agents: Sequence[AgentInfo]) -> SavingBounds | None:
    """What dividing the work can save at all: an equal share of it, and a charter and tools, are the least to hold.

    `own` are the specialists' footprints, `one` is the generalist's; None where there was nothing to divide.
    """
    work = {name: each.peak_tokens - each.prefix_tokens for name, each in own.items()}
    together = one.peak_tokens - one.prefix_tokens
    if len(own) < 2 or together <= 0:
        return None
    prefixes = [each.prefix_tokens for each in own.values()]
    equal = sum(prefixes) / len(own) + together / len(own)
    largest = max(work, key=lambda name: work[name])
    return SavingBounds(
        agents=len(own),
        free=1 - 1 / len(own),
        even=max(0.0, 1 - equal / one.peak_tokens),
        least_prefix_tokens=min(prefixes),
        most_prefix_tokens=max(prefixes),
        generalist_prefix_tokens=one.prefix_tokens,
        largest=largest,
        largest_share=min(1.0, work[largest] / together),
        coordinator_peak_tokens=max((a.peak_context_tokens for a in agents if a.role == "coordinator"), default=None),
    )


def _at_best(bounds: SavingBounds | None) -> str:
    if bounds is None:
        return ""
    return (
        f"{bounds.agents} agents could save {100 * bounds.free:.0f} % at most, were charters and tools free, and "
        f"{100 * bounds.even:.0f} % with those that they have. "
    )


def footprint(start: Conversation, specs: Sequence[ToolSpec], rounds: Sequence[Round], rule: Clearing) -> Footprint:
    """Go through the rounds as the loop does, and count by characters."""
    history = History(start)
    prefix, peak, total = prefix_tokens(start.system, specs), 0, 0
    makeup = Makeup(start.agent, 0, 0, 0, 0)
    for said, told in rounds:
        shown = history.shown.messages
        held = prefix + messages_tokens(shown) + blocks_tokens(said)
        total += held
        if held > peak:
            peak, charter = held, prefix_tokens(start.system, ())
            words = messages_tokens(one for one in shown if one.role == "assistant") + blocks_tokens(said)
            makeup = Makeup(start.agent, charter, prefix - charter, held - prefix - words, words)
        history.took(held)
        history.answered(said)
        if told:
            history.told(*told)
            history.clear(rule)
    return Footprint(peak, total, len(rounds), prefix + messages_tokens(start.messages), makeup)


def merged_rounds(talks: Sequence[Outcome]) -> Iterator[Round]:
    """The talks as one: first turns together, then second ones; what was asked already is not asked again."""
    closings = {talk.specs[-1].name for talk in talks}
    made: set[str] = set()
    last: tuple[list[Block], list[Block]] = ([], [])
    for together in zip_longest(*(list(_rounds(talk.conversation)) for talk in talks), fillvalue=((), ())):
        said: list[Block] = []
        told: list[Block] = []
        for blocks, answers in together:
            results = {block.call_id: block for block in answers if isinstance(block, ToolResult)}
            for block in blocks:
                if not isinstance(block, ToolCall):
                    said.append(block)
                elif block.name in closings:
                    if not results[block.id].is_error:
                        last[0].append(block)
                        last[1].append(results[block.id])
                elif _key(block) not in made:
                    made.add(_key(block))
                    said.append(block)
                    told.append(results[block.id])
        yield from _in_turns(said, told)
    if last[0]:
        yield tuple(last[0]), tuple(last[1])


def _in_turns(said: list[Block], told: list[Block]) -> Iterator[Round]:
    """No turn has more calls than the loop answers."""
    words = [block for block in said if not isinstance(block, ToolCall)]
    calls = [block for block in said if isinstance(block, ToolCall)]
    for begin in range(0, max(len(calls), bool(words)), CALLS_AT_ONCE):
        chosen = slice(begin, begin + CALLS_AT_ONCE)
        yield (*(words if not begin else ()), *calls[chosen]), tuple(told[chosen])


def _rounds(conversation: Conversation) -> Iterator[Round]:
    messages = conversation.messages[1:]
    for said, told in zip_longest(messages[::2], messages[1::2], fillvalue=Message("user", ())):
        yield said.blocks, told.blocks


def _first(talk: Outcome) -> Conversation:
    return replace(talk.conversation, messages=talk.conversation.messages[:1])


def _whole(each: Round, artifacts: Artifacts) -> Round:
    """The round with every result as long as its tool gave it."""

    def grown(block: Block) -> Block:
        handle = handle_of(block.served) if isinstance(block, ToolResult) else ""
        if not isinstance(block, ToolResult) or not handle:
            return block
        text = "\n".join(artifacts.lines(handle))
        return replace(block, content=text) if len(text) > len(block.content) else block

    return each[0], tuple(map(grown, each[1]))


def _key(call: ToolCall) -> str:
    return f"{call.name} {json.dumps(call.arguments, sort_keys=True, default=str)}"


def saving_words(mine: int, other: int) -> str:
    """How much less one figure is than another, or how much more."""
    if not other:
        return "nothing to compare with"
    less = 1 - mine / other
    return f"{abs(less) * 100:.0f} % {'less' if less >= 0 else 'more'}"

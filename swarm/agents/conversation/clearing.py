"""Takes results out of a conversation once they have served, seldom and many at once. Pure.

What is taken away changes the prefix that a provider's cache holds, from that place on. So nothing is cleared until
the context is large, the newest turns are left alone, and a clearing that would free little is put off. Calls and
results stay pairs, and a model's own words, thoughts and calls are never touched: the API refuses anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from swarm.core.chat import Block, Message, ToolResult
from swarm.models.estimate import CHARS_PER_TOKEN


@dataclass(frozen=True, slots=True)
class Clearing:
    """Clear where a context holds more than `over_tokens`, all but the results of the last `keep_turns` turns.

    At least `least_tokens` must come free: else the cache is given up for nothing. 0 for `over_tokens`: never.
    """

    over_tokens: int = 20_000
    keep_turns: int = 2
    least_tokens: int = 5_000


@dataclass(frozen=True, slots=True)
class Cleared:
    """The messages as they are shown from now on."""

    messages: tuple[Message, ...]
    results: int
    freed_tokens: int


def clear(messages: Sequence[Message], rule: Clearing) -> Cleared | None:
    """The messages without what has served; None where that frees too little."""
    answers = [number for number, message in enumerate(messages) if _has_results(message)]
    old = set(answers[: len(answers) - rule.keep_turns]) if rule.keep_turns else set(answers)
    results = freed = 0
    shown: list[Message] = []
    for number, message in enumerate(messages):
        blocks = message.blocks
        if number in old:
            blocks = tuple(_served(block) for block in blocks)
            for before, after in zip(message.blocks, blocks, strict=True):
                if before is not after and isinstance(before, ToolResult) and isinstance(after, ToolResult):
                    results += 1
                    freed += len(before.content) - len(after.content)
        changed = any(before is not after for before, after in zip(message.blocks, blocks, strict=True))
        shown.append(replace(message, blocks=blocks) if changed else message)
    if freed // CHARS_PER_TOKEN < rule.least_tokens:
        return None
    return Cleared(tuple(shown), results, freed // CHARS_PER_TOKEN)


def _has_results(message: Message) -> bool:
    return any(isinstance(block, ToolResult) for block in message.blocks)


def _served(block: Block) -> Block:
    if isinstance(block, ToolResult) and block.served and len(block.served) < len(block.content):
        return ToolResult(block.call_id, block.served, block.is_error)
    return block

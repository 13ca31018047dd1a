"""Tokens of a conversation that no provider has reported (yet): an estimate, and a bound. Pure.

The estimate is characters by four, and something for each block. The bound is a token for each byte: tokenizers go by
bytes, so whatever the text is made of, no more come of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from swarm.core.chat import Block, Conversation, Message, Opaque, Text, ToolCall, ToolResult, ToolSpec

CHARS_PER_TOKEN = 4
ALWAYS_TOKENS = 600  # what a provider adds of its own where there are tools, at most
METHOD = f"estimated: characters by {CHARS_PER_TOKEN}"
_BLOCK_CHARS = 40  # names, ids and brackets around a block


def conversation_tokens(conversation: Conversation, tools: Sequence[ToolSpec]) -> int:
    """The whole input of a turn: charter, tools, messages."""
    return prefix_tokens(conversation.system, tools) + messages_tokens(conversation.messages)


def prefix_tokens(system: str, tools: Sequence[ToolSpec]) -> int:
    """What every turn of an agent begins with."""
    chars = sum(len(one.name) + len(one.description) + len(json.dumps(one.input_schema)) + 40 for one in tools)
    return (len(system) + chars) // CHARS_PER_TOKEN + 1


def messages_tokens(messages: Iterable[Message]) -> int:
    """The messages alone."""
    return sum(blocks_tokens(message.blocks) for message in messages)


def blocks_tokens(blocks: Iterable[Block]) -> int:
    """Some blocks of one message."""
    return sum(_chars(block) + _BLOCK_CHARS for block in blocks) // CHARS_PER_TOKEN + 1


def blocks_bound(blocks: Iterable[Block]) -> int:
    """No more tokens than these are made of some blocks."""
    return sum(_bytes(block) + _BLOCK_CHARS for block in blocks)


def beginning_bound(conversation: Conversation, tools: Sequence[ToolSpec]) -> int:
    """No more tokens than these are made of a conversation that nobody has read yet."""
    specs = [{"name": one.name, "description": one.description, "input_schema": one.input_schema} for one in tools]
    told = sum(blocks_bound(message.blocks) for message in conversation.messages)
    head = len(conversation.system.encode("utf-8", "replace")) + len(json.dumps(specs))
    return ALWAYS_TOKENS + head + told


def _bytes(block: Block) -> int:
    text = _shown(block)
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _chars(block: Block) -> int:
    return len(_shown(block))


def _shown(block: Block) -> str:
    match block:
        case Text(text=text):
            return text
        case ToolResult(content=content):
            return content
        case ToolCall(name=name, arguments=arguments):
            return name + json.dumps(arguments, ensure_ascii=False, default=str)
        case Opaque(data=data):
            return json.dumps(data, ensure_ascii=False, default=str)

"""Tokens of a conversation where no provider reports them: characters by four, and something for each block. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from swarm.core.chat import Block, Conversation, Message, Opaque, Text, ToolCall, ToolResult, ToolSpec

CHARS_PER_TOKEN = 4
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


def _chars(block: Block) -> int:
    match block:
        case Text(text=text):
            return len(text)
        case ToolResult(content=content):
            return len(content)
        case ToolCall(name=name, arguments=arguments):
            return len(name) + len(json.dumps(arguments, ensure_ascii=False, default=str))
        case Opaque(data=data):
            return len(json.dumps(data, ensure_ascii=False, default=str))

"""Turns and results as plain values for the journal, with secrets masked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from swarm.core.chat import Block, Conversation, Opaque, Text, ToolCall, ToolResult, Turn

Mask = Callable[[str], str]


def conversation_record(conversation: Conversation, mask: Mask) -> dict[str, Any]:
    """What a conversation begins with."""
    return {
        "agent": conversation.agent,
        "model": conversation.model,
        "system": mask(conversation.system),
        "messages": [
            {"role": message.role, "blocks": [block_record(block, mask) for block in message.blocks]}
            for message in conversation.messages
        ],
    }


def turn_record(agent: str, number: int, turn: Turn, mask: Mask) -> dict[str, Any]:
    """One turn of a model."""
    usage = turn.usage
    return {
        "agent": agent,
        "turn": number,
        "model": turn.model,
        "stop_reason": turn.stop_reason,
        "blocks": [block_record(block, mask) for block in turn.blocks],
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "estimated": usage.estimated,
        },
    }


def results_record(agent: str, number: int, results: Sequence[ToolResult], mask: Mask) -> dict[str, Any]:
    """The answers to one turn."""
    return {"agent": agent, "turn": number, "results": [block_record(result, mask) for result in results]}


def block_record(block: Block, mask: Mask) -> dict[str, Any]:
    """One block."""
    match block:
        case Text(text=text):
            return {"type": "text", "text": mask(text)}
        case Opaque(data=data):
            return {"type": "opaque", "data": data}
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return {"type": "tool_call", "id": call_id, "name": name, "arguments": masked(arguments, mask)}
        case ToolResult(call_id=call_id, content=content, is_error=is_error):
            return {"type": "tool_result", "call_id": call_id, "content": mask(content), "is_error": is_error}


def masked(value: Any, mask: Mask) -> Any:
    """The value with every string in it masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(str(key)): masked(item, mask) for key, item in value.items()}
    return [masked(item, mask) for item in value] if isinstance(value, (list, tuple)) else value

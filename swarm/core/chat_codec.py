"""Messages and turns as plain values, secrets masked, and back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from swarm.core.chat import Block, Message, Opaque, Text, ToolCall, ToolResult, Turn, Usage

Mask = Callable[[str], str]


def messages_record(messages: Sequence[Message], mask: Mask) -> list[dict[str, Any]]:
    """`role` and `blocks` of each message, its secrets masked."""
    return [
        {"role": message.role, "blocks": [block_record(block, mask) for block in message.blocks]}
        for message in messages
    ]


def turn_record(agent: str, number: int, turn: Turn, mask: Mask) -> dict[str, Any]:
    """One turn of a model, as a line of the journal: whose, which, why it stopped, blocks and tokens."""
    return {
        "agent": agent,
        "turn": number,
        "model": turn.model,
        "stop_reason": turn.stop_reason,
        "blocks": [block_record(block, mask) for block in turn.blocks],
        "usage": usage_record(turn.usage),
        **({"why": mask(turn.why)} if turn.why else {}),
    }


def usage_record(usage: Usage) -> dict[str, Any]:
    """Tokens, as the arguments of a Usage."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "estimated": usage.estimated,
    }


def turn_of(record: Mapping[str, Any]) -> Turn:
    """The turn of a `turn_record`."""
    blocks = tuple(block for item in record["blocks"] if (block := block_of(item)) is not None)
    return Turn(blocks, record["stop_reason"], Usage(**record["usage"]), record["model"], record.get("why", ""))


def block_record(block: Block, mask: Mask) -> dict[str, Any]:
    """One block by its `type`; what a model signed is kept as it came, or not at all where it holds a secret."""
    match block:
        case Text(text=text):
            return {"type": "text", "text": mask(text)}
        case Opaque(data=data):
            # Signed as it came: with anything blotted out in it no model would take it back.
            return {"type": "opaque", "data": data if masked(data, mask) == data else None}
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return {"type": "tool_call", "id": call_id, "name": name, "arguments": masked(arguments, mask)}
        case ToolResult(call_id=call_id, content=content, is_error=is_error, served=served):
            record = {"type": "tool_result", "call_id": call_id, "content": mask(content), "is_error": is_error}
            return {**record, "served": mask(served)} if served else record


def block_of(record: Mapping[str, Any]) -> Block | None:
    """The block of a `block_record`; None for one that could not be kept."""
    match record["type"]:
        case "text":
            return Text(record["text"])
        case "opaque":
            return Opaque(record["data"]) if record["data"] is not None else None
        case "tool_call":
            return ToolCall(record["id"], record["name"], record["arguments"])
        case _:
            return ToolResult(record["call_id"], record["content"], record["is_error"], record.get("served", ""))


def masked(value: Any, mask: Mask) -> Any:
    """The value with every string in it masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(str(key)): masked(item, mask) for key, item in value.items()}
    return [masked(item, mask) for item in value] if isinstance(value, (list, tuple)) else value

"""The Messages API's words: a conversation as request parameters, without the SDK."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swarm.core.chat import (
    Block,
    Conversation,
    Message,
    Opaque,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    TurnLimits,
)

_CACHED = {"type": "ephemeral"}


def request_parameters(conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> dict[str, Any]:
    """Keyword arguments for `client.messages.stream`.

    All four cache marks that are allowed: tools, system, and the two newest messages of the user. The newest is
    what the next turn reads from the cache; the one before it is where this turn finds what the last one wrote,
    however many blocks lie between. No sampling parameters, tool_choice or thinking: newer models refuse them.
    """
    messages = [_message(message) for message in conversation.messages]
    for message in [message for message in messages if message["role"] == "user"][-2:]:
        message["content"][-1]["cache_control"] = dict(_CACHED)
    parameters: dict[str, Any] = {
        "model": conversation.model,
        "max_tokens": limits.max_output_tokens,
        "messages": messages,
    }
    if conversation.system:
        parameters["system"] = [{"type": "text", "text": conversation.system, "cache_control": dict(_CACHED)}]
    if tools:
        parameters["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema} for tool in tools
        ]
        parameters["tools"][-1]["cache_control"] = dict(_CACHED)
    return parameters


def _message(message: Message) -> dict[str, Any]:
    # Results go first: the API wants them at the head of the message that answers the calls.
    blocks = sorted(message.blocks, key=lambda block: not isinstance(block, ToolResult))
    return {"role": message.role, "content": [_block(block) for block in blocks]}


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Opaque(data=data):
            return dict(data)
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
        case ToolResult(call_id=call_id, content=content, is_error=is_error):
            result: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id}
            result["content"] = content or "(empty)"
            return {**result, "is_error": True} if is_error else result

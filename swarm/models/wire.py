"""The Messages API's words: a conversation as the bytes of a request, each message of it serialised once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from swarm.core.chat import Block, Conversation, Message, Opaque, Text, ToolCall, ToolResult, ToolSpec, TurnLimits

_CACHED = {"type": "ephemeral"}
_MARK = b',"cache_control":{"type":"ephemeral"}'
_MESSAGE_END = b"}]}"  # of its last block, of its blocks, of itself
_MARKED_MESSAGES = 2


@dataclass(slots=True)
class _Written:
    """What was serialised of one agent's conversation: what stands before the messages, and these one by one."""

    begun: tuple[str, str, Sequence[ToolSpec], int] | None = None
    head: bytes = b""
    messages: list[tuple[Message, bytes]] = field(default_factory=list)


class RequestWriter:
    """Writes the requests of many conversations; one that grows costs what is new of it, not all of it again."""

    def __init__(self) -> None:
        self._by_agent: dict[str, _Written] = {}

    def body(self, conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> bytes:
        """The body of a streamed request.

        All four cache marks that are allowed: tools, system, and the two newest messages of the user. The newest is
        what the next turn reads from the cache; the one before it is where this turn finds what the last one wrote,
        however many blocks lie between. No sampling parameters, tool_choice or thinking: newer models refuse them.
        """
        written = self._by_agent.setdefault(conversation.agent, _Written())
        begun = (conversation.model, conversation.system, tools, limits.max_output_tokens)
        if written.begun is None or not all(a is b or a == b for a, b in zip(begun, written.begun, strict=True)):
            written.begun, written.head = begun, _head(conversation, tools, limits)
        parts = self._messages(written.messages, conversation.messages)
        marked = 0
        for number in range(len(parts) - 1, -1, -1):
            if conversation.messages[number].role == "user":
                parts[number] = parts[number][: -len(_MESSAGE_END)] + _MARK + _MESSAGE_END
                marked += 1
                if marked == _MARKED_MESSAGES:
                    break
        return b"".join((written.head, b",".join(parts), b"]}"))

    @staticmethod
    def to_count(conversation: Conversation, tools: Sequence[ToolSpec]) -> bytes:
        """The body that asks how many tokens a turn would read."""
        messages = [_message(message) for message in conversation.messages]
        return _json({"model": conversation.model, **_charter(conversation, tools), "messages": messages})

    @staticmethod
    def _messages(known: list[tuple[Message, bytes]], messages: Sequence[Message]) -> list[bytes]:
        """Those that are the very same as last time are not serialised again."""
        same = 0
        for (before, _), now in zip(known, messages, strict=False):
            if before is not now:
                break
            same += 1
        del known[same:]
        known += [(message, _json(_message(message))) for message in messages[same:]]
        return [data for _, data in known]


def _head(conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> bytes:
    """Everything up to the first message: the same bytes in every turn of an agent, so that it stays cached."""
    limited = {"model": conversation.model, "max_tokens": limits.max_output_tokens, "stream": True}
    return _json({**limited, **_charter(conversation, tools)})[:-1] + b',"messages":['


def _charter(conversation: Conversation, tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """Tools and system prompt, each marked for the cache."""
    charter: dict[str, Any] = {}
    if tools:
        charter["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema} for tool in tools
        ]
        charter["tools"][-1]["cache_control"] = _CACHED
    if conversation.system:
        charter["system"] = [{"type": "text", "text": conversation.system, "cache_control": _CACHED}]
    return charter


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")


def _message(message: Message) -> dict[str, Any]:
    # Results go first: the API wants them at the head of the message that answers the calls.
    blocks = sorted(message.blocks, key=lambda block: not isinstance(block, ToolResult))
    return {"role": message.role, "content": [_block(block) for block in blocks]}


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Opaque(data=data):
            return data
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
        case ToolResult(call_id=call_id, content=content, is_error=is_error):
            result: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id}
            result["content"] = content or "(empty)"
            return {**result, "is_error": True} if is_error else result

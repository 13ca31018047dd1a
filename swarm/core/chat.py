"""The words between the loop and a model: messages, tool calls, tool results, turns, usage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

StopReason = Literal[
    "end_turn", "tool_use", "max_tokens", "stop_sequence", "pause_turn", "refusal",
    "model_context_window_exceeded",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    """What a model or the loop says."""

    text: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """A block that must go back to the same model unchanged (thinking); `data` is as it came."""

    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model asks for one tool."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to one ToolCall; exactly one for each.

    `served` is what may stand in place of `content` once the model has worked with it; empty where it must stay.
    """

    call_id: str
    content: str
    is_error: bool = False
    served: str = ""


Block = Text | Opaque | ToolCall | ToolResult
Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message; roles alternate, and a conversation starts with the user's."""

    role: Role
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a model sees: its charter (the system prompt) and the messages so far."""

    agent: str
    model: str
    system: str
    messages: tuple[Message, ...]

    def plus(self, message: Message) -> Conversation:
        """The conversation with one more message."""
        return Conversation(self.agent, self.model, self.system, (*self.messages, message))


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it; `input_schema` is a JSON schema of type object."""

    name: str
    description: str
    input_schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one turn. `input_tokens` excludes what the cache read or wrote."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False

    @property
    def context_tokens(self) -> int:
        """The whole input that the model had before it."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """Bounds of one turn. The longest answer of the slowest model takes minutes; a stall is noticed sooner."""

    max_output_tokens: int = 8192
    deadline_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What a model did with its turn; `why` is what its provider told of a refusal."""

    blocks: tuple[Block, ...]
    stop_reason: StopReason
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    why: str = ""

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls in it, in order."""
        return tuple(block for block in self.blocks if isinstance(block, ToolCall))

    @property
    def text(self) -> str:
        """Its plain text, joined."""
        return "\n".join(block.text for block in self.blocks if isinstance(block, Text))


class ModelFailed(Exception):
    """The model gave no usable turn. `retryable` says whether another attempt may help.

    `usage` is what the broken turn took nevertheless, as far as that was told before it broke.
    """

    def __init__(self, message: str, *, retryable: bool, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.usage = usage or Usage()

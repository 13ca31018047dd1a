"""A streamed answer of the Messages API, put together event by event. Pure: bytes in, a Turn out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from swarm.core.chat import Block, Opaque, StopReason, Text, ToolCall, Turn, Usage
from swarm.models.estimate import CHARS_PER_TOKEN
from swarm.models.failures import ProviderFailed

_WHY_CHARS = 200
_DEEPEST = 64  # brackets in the arguments of a call
_STOP_REASONS = frozenset(get_args(StopReason))
_RETRYABLE_ERRORS = frozenset({"overloaded_error", "api_error", "rate_limit_error", "timeout_error"})


class EventReader:
    """Server-sent events from pieces of bytes that end anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """The events that are whole now. Raises ValueError for data that is no JSON object."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:])
            elif not line and self._data:
                event = json.loads(b"\n".join(self._data))
                self._data.clear()
                if not isinstance(event, dict):
                    raise ValueError("an event is no object")
                yield event


@dataclass(slots=True)
class _Growing:
    """A block of which more may come."""

    start: dict[str, Any]
    parts: list[str] = field(default_factory=list)
    signature: str = ""


class TurnReader:
    """Takes the events of one answer in their order. `stopped` says that the answer came to its end."""

    def __init__(self) -> None:
        self.stopped = False
        self._model = ""
        self._stop_reason = self._why = ""
        self._usage: dict[str, int] = {}
        self._blocks: dict[int, _Growing] = {}

    def take(self, event: dict[str, Any]) -> None:
        """Fold one event in. Raises ProviderFailed for an error event, KeyError and the like for one out of order."""
        match event["type"]:
            case "content_block_delta":
                self._delta(self._blocks[event["index"]], event["delta"])
            case "content_block_start":
                self._blocks[event["index"]] = _Growing(event["content_block"])
            case "message_start":
                self._model = event["message"]["model"]
                self._count(event["message"].get("usage"))
            case "message_delta":
                self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason
                self._why = _why(event["delta"].get("stop_details")) or self._why
                self._count(event.get("usage"))
            case "message_stop":
                self.stopped = True
            case "error":
                raise told_error(event.get("error"))
            case _:
                pass  # pings, ends of blocks, and kinds to come

    @property
    def used(self) -> Usage:
        """What was told of the tokens so far; output that was not counted yet is estimated."""
        told = self._usage
        chars = sum(len(part) for block in self._blocks.values() for part in block.parts)
        return Usage(
            told.get("input_tokens", 0),
            max(told.get("output_tokens", 0), chars // CHARS_PER_TOKEN),
            told.get("cache_read_input_tokens", 0),
            told.get("cache_creation_input_tokens", 0),
        )

    def turn(self) -> Turn:
        """The whole turn. Raises ProviderFailed where it has no stop reason that is known."""
        if self._stop_reason not in _STOP_REASONS:
            raise ProviderFailed(f"stop reason {self._stop_reason or None!r} is unknown", retryable=True)
        blocks = (_block(self._blocks[index]) for index in sorted(self._blocks))
        usage = self._usage
        return Turn(
            tuple(block for block in blocks if block is not None),
            cast(StopReason, self._stop_reason),
            Usage(
                usage.get("input_tokens", 0),
                usage.get("output_tokens", 0),
                usage.get("cache_read_input_tokens", 0),
                usage.get("cache_creation_input_tokens", 0),
            ),
            self._model,
            self._why,
        )

    def _delta(self, block: _Growing, delta: dict[str, Any]) -> None:
        match delta["type"]:
            case "text_delta":
                block.parts.append(delta["text"])
            case "input_json_delta":
                block.parts.append(delta["partial_json"])
            case "thinking_delta":
                block.parts.append(delta["thinking"])
            case "signature_delta":
                block.signature += delta["signature"]

    def _count(self, usage: Any) -> None:
        """Counts are of the whole answer so far: a later one takes the place of an earlier."""
        if isinstance(usage, dict):
            self._usage |= {key: max(0, value) for key, value in usage.items() if isinstance(value, int)}


def told_error(error: Any, status: int = 200, words: str = "", retry_after_s: float | None = None) -> ProviderFailed:
    """An `error` object of the API as a failure; of status 200 where it came inside a stream."""
    inner: dict[str, Any] = error if isinstance(error, dict) else {}
    kind, text = str(inner.get("type", "")), str(inner.get("message", "")) or words
    retryable = kind in _RETRYABLE_ERRORS if status == 200 else status in (408, 409, 429) or status >= 500
    prefix = f"HTTP {status}" if status != 200 else "in the stream"
    return ProviderFailed(
        f"{prefix}: {kind or 'error'}: {text[:300]}", retryable=retryable, retry_after_s=retry_after_s
    )


def _why(details: Any) -> str:
    """The category of a refusal and its explanation; empty where neither is told."""
    told = details if isinstance(details, dict) else {}
    parts = (told.get("category"), told.get("explanation"))
    return str(_sound(": ".join(part for part in parts if isinstance(part, str) and part)[:_WHY_CHARS]))


def _block(block: _Growing) -> Block | None:
    start, text = block.start, "".join(block.parts)
    match start["type"]:
        case "text":
            text = _sound(start.get("text", "") + text)
            return Text(text) if text.strip() else None  # blank texts may not be sent back
        case "tool_use":
            call_id, name = start["id"], start["name"]
            if not (isinstance(call_id, str) and isinstance(name, str) and call_id):
                raise ValueError("a call has no id or no name")
            return ToolCall(call_id, _sound(name), _arguments(text) if text else _sound(dict(start["input"])))
        case "thinking":
            signature = start.get("signature", "") + block.signature
            if not signature:
                return None  # cut off in the middle: the API takes none back that is not signed
            return Opaque({**start, "thinking": start.get("thinking", "") + text, "signature": signature})
        case _:
            return Opaque(start)


def _arguments(text: str) -> dict[str, Any]:
    """Half a call (max_tokens) may hold anything; a call that is no object fails its validation."""
    try:
        value = _sound(json.loads(text, parse_constant=_no_number))
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"unparsable": _sound(text)}


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _sound(value: Any, depth: int = 0) -> Any:
    """The value without half characters, which no file takes. Raises ValueError where it is nested beyond use."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_sound(key): _sound(item, depth + 1) for key, item in value.items()}
    return [_sound(item, depth + 1) for item in value] if isinstance(value, list) else value

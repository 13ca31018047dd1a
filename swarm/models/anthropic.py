"""Turns from any server of the Messages API, streamed; the one module that knows the `anthropic` SDK."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from swarm.core.chat import (
    Block,
    Conversation,
    Opaque,
    StopReason,
    Text,
    ToolCall,
    ToolSpec,
    Turn,
    TurnLimits,
    Usage,
)  # fmt: skip
from swarm.models.failures import ProviderFailed
from swarm.models.wire import request_parameters

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

_CONNECT_S = 5.0
_RETRYABLE_STATUS = frozenset({408, 409, 429})
_RETRYABLE_ERRORS = frozenset({"overloaded_error", "api_error", "rate_limit_error", "timeout_error"})
_STOP_REASONS: frozenset[str] = frozenset(
    {
        "end_turn",
        "tool_use",
        "max_tokens",
        "stop_sequence",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    }
)


class AnthropicModel:
    """A Model over `client.messages.stream`.

    `stall_s` bounds the silence between two pieces of a stream; TurnLimits.deadline_s bounds the whole turn.
    Retries are the loop's, which sees budgets and the provider's wish to wait: the SDK makes none.
    """

    provider = "anthropic"

    def __init__(self, environ: Mapping[str, str] | None = None, *, stall_s: float = 60.0) -> None:
        self._environ = os.environ if environ is None else environ
        self._stall_s = stall_s
        self._client: AsyncAnthropic | None = None
        self._connecting = asyncio.Lock()

    async def next_turn(self, conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> Turn:
        """The model's turn. Raises ProviderFailed for whatever keeps it from being whole."""
        client = await self._connected()
        import anthropic
        import httpx2

        parameters = request_parameters(conversation, tools, limits)
        try:
            async with asyncio.timeout(limits.deadline_s), client.messages.stream(**parameters) as stream:
                stopped = False
                async for event in stream:
                    stopped = stopped or event.type == "message_stop"
                if not stopped:
                    raise ProviderFailed("the stream ended before the turn was whole", retryable=True)
                message = await stream.get_final_message()
        except TimeoutError:
            text = f"no whole turn within {limits.deadline_s:g} s"
            raise ProviderFailed(text, retryable=True) from None
        except anthropic.APIStatusError as error:
            raise _from_status(error) from error
        except (anthropic.APIConnectionError, httpx2.HTTPError) as error:
            raise ProviderFailed(f"connection: {_words(error)}", retryable=True) from error
        except anthropic.AnthropicError as error:
            raise ProviderFailed(_words(error), retryable=False) from error
        except httpx2.StreamError as error:
            raise ProviderFailed(f"connection: {_words(error)}", retryable=True) from error
        except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
            # What the SDK raises for streams that hold no JSON or events out of order.
            text = f"the answer is not of the Messages API: {_words(error)}"
            raise ProviderFailed(text, retryable=True) from error
        return _turn(message)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _connected(self) -> AsyncAnthropic:
        async with self._connecting:
            if self._client is None:
                # Seconds of import: in a thread, so that the other specialists go on.
                await asyncio.to_thread(__import__, "anthropic")
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> AsyncAnthropic:
        import anthropic
        import httpx2

        key = self._environ.get("ANTHROPIC_API_KEY")
        token = self._environ.get("ANTHROPIC_AUTH_TOKEN")
        base_url = self._environ.get("ANTHROPIC_BASE_URL")
        if not key and not token:
            if not base_url:
                raise ProviderFailed("no ANTHROPIC_API_KEY is set", retryable=False)
            token = "local"  # servers at home take any token, and the SDK wants one
        try:
            return anthropic.AsyncAnthropic(
                api_key=key or None,
                auth_token=None if key else token,
                base_url=base_url or None,
                max_retries=0,
                timeout=anthropic.Timeout(self._stall_s, connect=_CONNECT_S),
            )
        except httpx2.InvalidURL as error:
            raise ProviderFailed(f"ANTHROPIC_BASE_URL is no address: {error}", retryable=False) from error
        except (ValueError, anthropic.AnthropicError) as error:
            raise ProviderFailed(_words(error), retryable=False) from error


def _turn(message: Any) -> Turn:
    if message.stop_reason not in _STOP_REASONS:
        raise ProviderFailed(f"stop reason {message.stop_reason!r} is unknown", retryable=True)
    stop_reason: StopReason = message.stop_reason
    usage = message.usage
    return Turn(
        tuple(block for item in message.content if (block := _block(item)) is not None),
        stop_reason,
        Usage(
            usage.input_tokens or 0,
            usage.output_tokens or 0,
            usage.cache_read_input_tokens or 0,
            usage.cache_creation_input_tokens or 0,
        ),
        message.model,
    )


def _block(item: Any) -> Block | None:
    if item.type == "text":
        return Text(item.text) if item.text.strip() else None  # blank texts may not be sent back
    if item.type == "tool_use":
        # Half a call (max_tokens) may hold anything; a call that is no object fails its validation.
        arguments = item.input if isinstance(item.input, dict) else {"unparsable": str(item.input)}
        return ToolCall(item.id, item.name, arguments)
    if item.type == "thinking" and not item.signature:
        return None  # cut off in the middle: the API takes none back that is not signed
    return Opaque(item.to_dict(mode="json", exclude_unset=True))


def _from_status(error: Any) -> ProviderFailed:
    """A refused request, or an `error` event inside a stream of status 200."""
    body: Any = error.body if isinstance(error.body, dict) else {}
    inner: Any = body["error"] if isinstance(body.get("error"), dict) else body
    kind = str(inner.get("type", ""))
    text = str(inner.get("message", "")) or _words(error)
    status = error.status_code
    retryable = status in _RETRYABLE_STATUS or status >= 500
    if status == 200:
        retryable = kind in _RETRYABLE_ERRORS
    prefix = f"HTTP {status}" if status != 200 else "in the stream"
    return ProviderFailed(
        f"{prefix}: {kind or 'error'}: {text[:300]}", retryable=retryable, retry_after_s=_retry_after_s(error)
    )


def _retry_after_s(error: Any) -> float | None:
    """Seconds, or a date against the server's own clock; None where it asks for nothing that can be read."""
    headers = error.response.headers
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError):
        return None


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]

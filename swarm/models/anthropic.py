"""Turns from any server of the Messages API, streamed; the one module that knows the `anthropic` SDK.

The SDK connects, signs, checks statuses and names errors. The request's bytes and the events of the answer are ours
(`wire`, `stream`): the SDK's own way walks the whole history by its types at every turn.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from swarm.core.chat import Conversation, ToolSpec, Turn, TurnLimits
from swarm.models.failures import ProviderFailed
from swarm.models.stream import EventReader, TurnReader, told_error
from swarm.models.wire import RequestWriter

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

_CONNECT_S = 5.0
_PATH = "/v1/messages"
_HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}


class AnthropicModel:
    """A Model over a streamed POST to /v1/messages.

    `stall_s` bounds the silence between two pieces of a stream; TurnLimits.deadline_s bounds the whole turn.
    Retries are the loop's, which sees budgets and the provider's wish to wait: the SDK makes none.
    """

    provider = "anthropic"

    def __init__(self, environ: Mapping[str, str] | None = None, *, stall_s: float = 60.0) -> None:
        self._environ = os.environ if environ is None else environ
        self._stall_s = stall_s
        self._client: AsyncAnthropic | None = None
        self._connecting = asyncio.Lock()
        self._writer = RequestWriter()

    async def next_turn(self, conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> Turn:
        """The model's turn. Raises ProviderFailed for whatever keeps it from being whole."""
        client = self._client or await self._connected()
        body, reader = self._writer.body(conversation, tools, limits), TurnReader()
        try:
            return await _asked(client, body, reader, limits.deadline_s)
        except ProviderFailed as failure:
            failure.usage = reader.used  # a turn that breaks off is paid for nevertheless
            raise

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
        timeout = anthropic.Timeout(self._stall_s, connect=_CONNECT_S)
        try:
            return anthropic.AsyncAnthropic(
                api_key=key or None,
                auth_token=None if key else token,
                base_url=base_url or None,
                max_retries=0,
                timeout=timeout,
                http_client=anthropic.DefaultAioHttpClient(timeout=timeout),
            )
        except httpx2.InvalidURL as error:
            raise ProviderFailed(f"ANTHROPIC_BASE_URL is no address: {error}", retryable=False) from error
        except (ValueError, anthropic.AnthropicError) as error:
            raise ProviderFailed(_words(error), retryable=False) from error


async def _asked(client: AsyncAnthropic, body: bytes, reader: TurnReader, deadline_s: float) -> Turn:
    import anthropic
    import httpx2

    try:
        async with asyncio.timeout(deadline_s):
            return await _streamed(client, body, reader)
    except TimeoutError:
        raise ProviderFailed(f"no whole turn within {deadline_s:g} s", retryable=True) from None
    except anthropic.APIStatusError as error:
        raise _from_status(error) from error
    except (anthropic.APIConnectionError, httpx2.HTTPError, OSError) as error:
        raise ProviderFailed(f"connection: {_words(error)}", retryable=True) from error
    except anthropic.AnthropicError as error:
        raise ProviderFailed(_words(error), retryable=False) from error
    except httpx2.StreamError as error:
        raise ProviderFailed(f"connection: {_words(error)}", retryable=True) from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # Streams that hold no JSON, events out of order or of another shape.
        text = f"the answer is not of the Messages API: {_words(error)}"
        raise ProviderFailed(text, retryable=True) from error


async def _streamed(client: AsyncAnthropic, body: bytes, turn: TurnReader) -> Turn:
    import httpx2
    from anthropic import AsyncStream

    response: Any = await client.post(
        _PATH,
        cast_to=httpx2.Response,
        content=body,
        options={"headers": _HEADERS},
        stream=True,
        stream_cls=AsyncStream[Any],
    )
    events = EventReader()
    try:
        async for piece in response.aiter_bytes():
            for event in events.feed(piece):
                turn.take(event)
    finally:
        await response.aclose()
    if not turn.stopped:
        raise ProviderFailed("the stream ended before the turn was whole", retryable=True)
    return turn.turn()


def _from_status(error: Any) -> ProviderFailed:
    """A refused request."""
    body: Any = error.body if isinstance(error.body, dict) else {}
    inner: Any = body["error"] if isinstance(body.get("error"), dict) else body
    return told_error(inner, error.status_code, _words(error), _retry_after_s(error))


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

"""Turns from any server of the Messages API, streamed; the one module that knows the `anthropic` SDK.

The SDK finds address, key and headers, and its HTTP client connects. The request's bytes and the events of the
answer are ours (`wire`, `stream`), and so is the request around them, which is prepared once: the SDK's own way walks
the whole history by its types, and builds options, headers and address anew, at every turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from swarm.core.chat import Conversation, ToolSpec, Turn, TurnLimits, Usage
from swarm.models.estimate import blocks_tokens, conversation_tokens
from swarm.models.failures import ProviderFailed
from swarm.models.stream import EventReader, TurnReader, told_error
from swarm.models.wire import RequestWriter

if TYPE_CHECKING:
    import httpx2

_CONNECT_S = 5.0
_LINGER_S = 0.5
_MOST_BYTES = 32_000_000  # of one answer; the longest of a model is a fiftieth of that
_COUNT_S = 10.0
_PATH, _COUNT_PATH = "/v1/messages", "/v1/messages/count_tokens"
_TRANSIENT = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
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
        self._line: _Line | None = None
        self._counts = True
        self._connecting = asyncio.Lock()
        self._writer = RequestWriter()

    async def next_turn(self, conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> Turn:
        """The model's turn. Raises ProviderFailed for whatever keeps it from being whole."""
        line = self._line or await self._connected()
        body, reader = self._writer.body(conversation, tools, limits), TurnReader()
        try:
            return _counted(await _asked(line, body, reader, limits.deadline_s), conversation, tools)
        except ProviderFailed as failure:
            failure.usage = reader.used  # a turn that breaks off is paid for nevertheless
            raise

    async def count_tokens(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        """As the server counts them; None where it does not, and it is not asked again."""
        if not self._counts:
            return None
        try:
            line = self._line or await self._connected()
            async with asyncio.timeout(_COUNT_S):
                return await _told_count(line, self._writer.to_count(conversation, tools))
        except (ProviderFailed, TimeoutError, OSError):
            return None
        except _CountsNothing:
            self._counts = False
            return None

    async def close(self) -> None:
        """Close the connections."""
        if self._line is not None:
            await self._line.client.aclose()
            self._line = None

    async def _connected(self) -> _Line:
        async with self._connecting:
            if self._line is None:
                # Seconds of import: in a thread, so that the other specialists go on.
                await asyncio.to_thread(__import__, "anthropic")
                self._line = self._new_line()
            return self._line

    def _new_line(self) -> _Line:
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
            client = anthropic.DefaultAioHttpClient(timeout=timeout)
            sdk = anthropic.AsyncAnthropic(
                api_key=key or None,
                auth_token=None if key else token,
                base_url=base_url or None,
                max_retries=0,
                timeout=timeout,
                http_client=client,
            )
            told = {name: value for name, value in sdk.default_headers.items() if isinstance(value, str)}
            headers = httpx2.Headers({**told, **_HEADERS}, encoding="utf-8")
            url = httpx2.URL(f"{str(sdk.base_url).rstrip('/')}{_PATH}")
            headers["Host"] = url.netloc.decode("ascii")
            return _Line(client, url, headers, {"timeout": timeout.as_dict()})
        except httpx2.InvalidURL as error:
            raise ProviderFailed(f"ANTHROPIC_BASE_URL is no address: {error}", retryable=False) from error
        except (ValueError, anthropic.AnthropicError) as error:
            raise ProviderFailed(_words(error), retryable=False) from error


@dataclass(frozen=True, slots=True)
class _Line:
    """Where requests go, and all that they have in common. `headers` are copied by each."""

    client: httpx2.AsyncClient
    url: httpx2.URL
    headers: httpx2.Headers
    extensions: dict[str, Any]


class _CountsNothing(Exception):
    """The server knows no count_tokens, or tells no number."""


async def _told_count(line: _Line, body: bytes) -> int | None:
    """None where it may tell another time. Raises _CountsNothing."""
    import httpx2

    url = line.url.copy_with(path=line.url.path.removesuffix(_PATH) + _COUNT_PATH)
    request = httpx2.Request("POST", url, headers=line.headers, content=body, extensions=line.extensions)
    try:
        response = await line.client.send(request)
        told = response.json()["input_tokens"] if response.is_success else None
    except httpx2.HTTPError:
        return None
    except (ValueError, TypeError, LookupError):
        raise _CountsNothing from None
    if told is None and response.status_code in _TRANSIENT:
        return None
    if not isinstance(told, int) or isinstance(told, bool) or told < 0:
        raise _CountsNothing
    return told


async def _asked(line: _Line, body: bytes, reader: TurnReader, deadline_s: float) -> Turn:
    import httpx2

    try:
        async with asyncio.timeout(deadline_s):
            return await _streamed(line, body, reader)
    except TimeoutError:
        raise ProviderFailed(f"no whole turn within {deadline_s:g} s", retryable=True) from None
    except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
        raise ProviderFailed(f"connection: {_words(error)}", retryable=True) from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # Streams that hold no JSON, events out of order or of another shape.
        text = f"the answer is not of the Messages API: {_words(error)}"
        raise ProviderFailed(text, retryable=True) from error


async def _streamed(line: _Line, body: bytes, turn: TurnReader) -> Turn:
    import httpx2

    request = httpx2.Request("POST", line.url, headers=line.headers, content=body, extensions=line.extensions)
    response = await line.client.send(request, stream=True)
    try:
        if not response.is_success:
            await response.aread()
            raise _from_status(response)
        await _read(response.aiter_bytes(), turn)
    finally:
        await response.aclose()
    if not turn.stopped:
        raise ProviderFailed("the stream ended before the turn was whole", retryable=True)
    return turn.turn()


async def _read(pieces: AsyncIterator[bytes], turn: TurnReader) -> None:
    """All events up to the last one; then a moment for the end of the answer, so that the connection can stay."""
    events, size = EventReader(), 0
    async for piece in pieces:
        size += len(piece)
        if size > _MOST_BYTES:
            raise ProviderFailed(f"an answer of more than {_MOST_BYTES:,} bytes", retryable=False)
        for event in events.feed(piece):
            turn.take(event)
            if turn.stopped:
                break
        if turn.stopped:
            break
    with contextlib.suppress(Exception):  # the turn is whole, whatever becomes of the connection
        async with asyncio.timeout(_LINGER_S):
            async for _ in pieces:
                pass


def _counted(turn: Turn, conversation: Conversation, tools: Sequence[ToolSpec]) -> Turn:
    """The turn; with an estimate where its server counts no tokens: budgets would have nothing to go by."""
    if turn.usage.context_tokens or turn.usage.output_tokens:
        return turn
    usage = Usage(conversation_tokens(conversation, tools), blocks_tokens(turn.blocks), estimated=True)
    return replace(turn, usage=usage)


def _from_status(response: httpx2.Response) -> ProviderFailed:
    """A refused request."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    told = body if isinstance(body, dict) else {}
    inner: Any = told["error"] if isinstance(told.get("error"), dict) else told
    return told_error(inner, response.status_code, response.text[:300], _retry_after_s(response))


def _retry_after_s(response: httpx2.Response) -> float | None:
    """Seconds, or a date against the server's own clock; None where it asks for nothing that can be read."""
    headers = response.headers
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

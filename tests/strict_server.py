"""A local server of the Messages API that refuses what the real one refuses, and can fail in every known way.

Its turns are scripted. Each request is checked first; a request that breaks a rule gets a 400 with the reason, and
`mistakes` keeps it, so that a test can say that there were none.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "test-key"
_TOP = {"model", "max_tokens", "messages", "system", "tools", "stream", "stop_sequences", "metadata", "tool_choice",
        "thinking", "cache_control"}  # fmt: skip
_SAMPLING = {"temperature", "top_p", "top_k"}
_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_BLOCK_KEYS = {
    "text": {"type", "text", "cache_control", "citations"},
    "tool_use": {"type", "id", "name", "input", "cache_control"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
    "thinking": {"type", "thinking", "signature"},
    "redacted_thinking": {"type", "data"},
}
_ROLES = {"text": {"user", "assistant"}, "tool_use": {"assistant"}, "tool_result": {"user"},
          "thinking": {"assistant"}, "redacted_thinking": {"assistant"}}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Say:
    """A scripted turn: content blocks as the API has them. `cut_json` ends a tool's arguments halfway.

    `lingers_s` is how long the connection stays open after the last event; `details` are of a refusal.
    """

    blocks: Sequence[dict[str, Any]]
    stop_reason: str = "end_turn"
    usage: dict[str, int] = field(default_factory=lambda: {"input_tokens": 20, "output_tokens": 7})
    cut_json: bool = False
    lingers_s: float = 0.0
    details: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """An HTTP error instead of a stream."""

    status: int
    kind: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Break:
    """A stream that begins well. `how`: error event, drop (socket closed), end (no message_stop), stall."""

    how: str
    kind: str = "overloaded_error"


@dataclass(frozen=True, slots=True)
class Raw:
    """A 200 with these very bytes."""

    body: bytes
    content_type: str = "text/event-stream"


Step = Say | Refuse | Break | Raw
Script = Step | Callable[[dict[str, Any]], Step]


def text(words: str) -> dict[str, Any]:
    """A text block."""
    return {"type": "text", "text": words}


def tool_use(call_id: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A call."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def thinking(words: str, signature: str = "sig") -> dict[str, Any]:
    """A thinking block."""
    return {"type": "thinking", "thinking": words, "signature": signature}


class StrictServer:
    """Plays its script, one entry a request; a `director` decides by the request what comes when that is over.

    `counts` says how many tokens a request holds; None for a server that knows no count_tokens, as many do.
    """

    def __init__(
        self,
        *script: Script,
        director: Callable[[dict[str, Any]], Step] | None = None,
        counts: Callable[[dict[str, Any]], int | Refuse] | None = None,
    ) -> None:
        self._counts = counts
        self.script = list(script)
        self.director = director
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.mistakes: list[str] = []
        self.counted: list[dict[str, Any]] = []
        self.base_url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[StrictServer]:
        """On a free port of loopback."""
        app = web.Application(client_max_size=50_000_000)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/messages/count_tokens", self._count_tokens)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    @contextmanager
    def serving(self) -> Iterator[StrictServer]:
        """In a thread of its own, for clients that have an event loop of theirs in this one."""
        loop, ended = asyncio.new_event_loop(), asyncio.Event()
        ready = threading.Event()

        async def serve() -> None:
            async with self.running():
                ready.set()
                await ended.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join(10)
            loop.close()

    def environ(self, key: str = KEY) -> dict[str, str]:
        """The environment of a client of it."""
        return {"ANTHROPIC_BASE_URL": self.base_url, "ANTHROPIC_API_KEY": key}

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if not _known(request):
            return _error(401, "authentication_error", "invalid bearer token")
        body = await request.json()
        self.requests.append(body)
        if refused := self._refused(request, check_request(body)):
            return refused
        if not self.script and self.director is None:
            self.mistakes.append("a request too many")
            return _error(400, "invalid_request_error", "the script is over")
        step = self.script.pop(0) if self.script else self.director
        assert step is not None
        if not isinstance(step, Break | Raw | Refuse | Say):
            step = step(body)
        if isinstance(step, Refuse):
            return _error(step.status, step.kind, "refused by script", step.headers)
        if isinstance(step, Raw):
            return web.Response(body=step.body, content_type=step.content_type)
        if not body.get("stream"):
            return _whole(request, body["model"], step)
        return await _stream(request, body["model"], step)

    async def _count_tokens(self, request: web.Request) -> web.StreamResponse:
        if self._counts is None:
            return _error(404, "not_found_error", "no such path")
        if not _known(request):
            return _error(401, "authentication_error", "invalid bearer token")
        body = await request.json()
        self.counted.append(body)
        if refused := self._refused(request, check_count_request(body)):
            return refused
        counted = self._counts(body)
        if isinstance(counted, Refuse):
            return _error(counted.status, counted.kind, "refused by script", counted.headers)
        return web.json_response({"input_tokens": counted})

    def _refused(self, request: web.Request, mistakes: list[str]) -> web.Response | None:
        if "anthropic-beta" in request.headers:
            mistakes.append("a beta was sent")
        if "anthropic-version" not in request.headers:
            mistakes.append("no anthropic-version")
        if not mistakes:
            return None
        self.mistakes += mistakes
        return _error(400, "invalid_request_error", "; ".join(mistakes))


def _known(request: web.Request) -> bool:
    return request.headers.get("authorization") == f"Bearer {KEY}" or request.headers.get("x-api-key") == KEY


def check_count_request(body: dict[str, Any]) -> list[str]:
    """Every rule that a request to count breaks: it has no bounds of an answer, and is else as any."""
    of_an_answer = ("max_tokens", "stream", "stop_sequences", "metadata")
    mistakes = [f"{key} is not permitted here" for key in of_an_answer if key in body]
    return mistakes + check_request({**body, "max_tokens": 1})


def check_request(body: dict[str, Any]) -> list[str]:
    """Every rule that the request breaks."""
    mistakes = [f"unknown key {key}" for key in sorted(set(body) - _TOP - _SAMPLING)]
    mistakes += [f"{key} is not supported" for key in sorted(_SAMPLING & set(body))]
    if not isinstance(body.get("model"), str) or not body["model"]:
        mistakes.append("model is missing")
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        mistakes.append("max_tokens must be a positive number")
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        mistakes.append("a forced tool_choice is not supported")
    if json.dumps(body).count('"cache_control"') > 4:
        mistakes.append("more than four cache_control")
    mistakes += _check_tools(body.get("tools", []))
    mistakes += _check_messages(body.get("messages", []))
    return mistakes


def _check_tools(tools: list[dict[str, Any]]) -> list[str]:
    mistakes = []
    names = [tool.get("name", "") for tool in tools]
    if len(set(names)) != len(names):
        mistakes.append("tool names must be unique")
    for tool in tools:
        if not _NAME.match(tool.get("name", "")):
            mistakes.append(f"tool name {tool.get('name')!r}")
        if tool.get("input_schema", {}).get("type") != "object":
            mistakes.append(f"{tool.get('name')}: input_schema must be of type object")
        if extra := set(tool) - {"name", "description", "input_schema", "cache_control"}:
            mistakes.append(f"{tool.get('name')}: unknown keys {sorted(extra)}")
    return mistakes


def _check_messages(messages: list[dict[str, Any]]) -> list[str]:
    if not messages:
        return ["at least one message is required"]
    mistakes = [] if messages[0].get("role") == "user" else ["the first message must be the user's"]
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        if number and message["role"] == messages[number - 1]["role"]:
            mistakes.append(f"messages.{number}: roles must alternate")
        content = message["content"]
        blocks = [text(content)] if isinstance(content, str) else content
        if not blocks:
            mistakes.append(f"messages.{number}: content is empty")
        mistakes += [f"messages.{number}: {m}" for block in blocks for m in _check_block(block, message["role"])]
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if message["role"] == "user":
            if len(set(answered)) != len(answered):
                mistakes.append(f"messages.{number}: a call is answered twice")
            if missing := open_calls - set(answered):
                mistakes.append(f"messages.{number}: tool_use without tool_result: {sorted(missing)}")
            if orphans := set(answered) - open_calls:
                mistakes.append(f"messages.{number}: tool_result without tool_use: {sorted(orphans)}")
            kinds = [block["type"] == "tool_result" for block in blocks]
            if kinds != sorted(kinds, reverse=True):
                mistakes.append(f"messages.{number}: tool_result blocks must come first")
        open_calls = {block["id"] for block in blocks if block["type"] == "tool_use"}
    if open_calls:
        mistakes.append("the last message holds calls without an answer")
    return mistakes


def _check_block(block: dict[str, Any], role: str) -> list[str]:
    kind = block.get("type", "")
    if kind not in _BLOCK_KEYS:
        return [f"block type {kind!r}"]
    mistakes = [f"unknown key {key} in {kind}" for key in set(block) - _BLOCK_KEYS[kind]]
    if role not in _ROLES[kind]:
        mistakes.append(f"{kind} in a message of the {role}")
    if kind == "text" and not block["text"].strip():
        mistakes.append("text must not be blank")
    if kind == "thinking" and not block["signature"]:
        mistakes.append("thinking must be signed")
    if kind == "tool_use" and not isinstance(block["input"], dict):
        mistakes.append("input must be an object")
    return mistakes


def _error(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return web.json_response(body, status=status, headers=headers)


def _message(
    model: str, blocks: Sequence[dict[str, Any]], stop_reason: str | None, usage: dict[str, int]
) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": list(blocks),
            "stop_reason": stop_reason, "stop_sequence": None, "usage": usage}  # fmt: skip


def _whole(request: web.Request, model: str, step: Say | Break) -> web.Response:
    """The answer in one piece; one that breaks has none."""
    if isinstance(step, Break):
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    return web.json_response(_message(model, step.blocks, step.stop_reason, step.usage))


async def _stream(request: web.Request, model: str, step: Say | Break) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)

    async def send(name: str, data: dict[str, Any]) -> None:
        await response.write(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode())

    usage = step.usage if isinstance(step, Say) else {"input_tokens": 20, "output_tokens": 1}
    await send("message_start", {"message": _message(model, (), None, {**usage, "output_tokens": 1})})
    await send("ping", {})
    if isinstance(step, Break):
        await send("content_block_start", {"index": 0, "content_block": tool_use("half", "probe", {})})
        await send("content_block_delta", {"index": 0, "delta": _json_delta('{"a": ')})
        match step.how:
            case "error":
                await send("error", {"error": {"type": step.kind, "message": "by script"}})
            case "drop":
                assert request.transport is not None
                request.transport.abort()
            case "stall":
                await asyncio.sleep(30)
        return response
    for index, block in enumerate(step.blocks):
        await _send_block(send, index, block, step.cut_json)
    delta = {"stop_reason": step.stop_reason, "stop_sequence": None, "stop_details": step.details}
    await send("message_delta", {"delta": delta, "usage": {"output_tokens": usage["output_tokens"]}})
    await send("message_stop", {})
    await asyncio.sleep(step.lingers_s)
    return response


async def _send_block(send: Any, index: int, block: dict[str, Any], cut_json: bool) -> None:
    kind = block["type"]
    empty = {"text": {"text": ""}, "tool_use": {"input": {}}, "thinking": {"thinking": "", "signature": ""}}
    await send("content_block_start", {"index": index, "content_block": {**block, **empty.get(kind, {})}})
    if kind == "text":
        middle = len(block["text"]) // 2
        for part in (block["text"][:middle], block["text"][middle:]):
            await send("content_block_delta", {"index": index, "delta": {"type": "text_delta", "text": part}})
    elif kind == "tool_use":
        words = json.dumps(block["input"])
        words = words[: len(words) // 2] if cut_json else words
        for start in range(0, len(words), 9):
            await send("content_block_delta", {"index": index, "delta": _json_delta(words[start : start + 9])})
    elif kind == "thinking":
        delta = {"type": "thinking_delta", "thinking": block["thinking"]}
        await send("content_block_delta", {"index": index, "delta": delta})
        delta = {"type": "signature_delta", "signature": block["signature"]}
        await send("content_block_delta", {"index": index, "delta": delta})
    await send("content_block_stop", {"index": index})


def _json_delta(words: str) -> dict[str, Any]:
    return {"type": "input_json_delta", "partial_json": words}

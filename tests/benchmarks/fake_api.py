"""A Messages API that answers at once, in its own process: K calls of `add`, then `DONE K`; K is in the path.

Prints `PORT n`. A request whose last sum is not there is counted, and answered with 400.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import Any

from aiohttp import web

_ids = itertools.count()


def answer(body: dict[str, Any], turns: int) -> dict[str, Any]:
    """The next message, by how many were said."""
    turn = sum(message["role"] == "assistant" for message in body["messages"])
    block: dict[str, Any] = {"type": "text", "text": f"DONE {turns}"}
    if turn < turns:
        block = {
            "type": "tool_use",
            "id": f"t{turn}_{next(_ids)}",
            "name": "add",
            "input": {"a": 1000 + turn, "b": 5000},
        }
    reason = "tool_use" if turn < turns else "end_turn"
    usage = {"input_tokens": 100, "output_tokens": 20}
    return {"id": "m", "type": "message", "role": "assistant", "model": body["model"], "content": [block],
            "stop_reason": reason, "stop_sequence": None, "usage": usage}  # fmt: skip


def streamed(message: dict[str, Any]) -> bytes:
    """The message as events."""
    block = message["content"][0]
    if block["type"] == "text":
        empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        empty = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": message["stop_reason"]}, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


async def messages(request: web.Request) -> web.Response:
    turns = int(request.match_info["turns"])
    raw = await request.read()
    body = json.loads(raw)
    said = sum(message["role"] == "assistant" for message in body["messages"])
    if said > turns or (said and str(6000 + said - 1).encode() not in raw):
        return web.json_response({"type": "error", "error": {"type": "invalid_request_error"}}, status=400)
    message = answer(body, turns)
    if body.get("stream"):
        return web.Response(body=streamed(message), content_type="text/event-stream")
    return web.json_response(message)


async def main() -> None:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/k{turns}-l0/v1/messages", messages)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"PORT {runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

"""Local stand-in for a Messages API: python -m service.emulators.messages --port 8702."""

import hashlib
import json
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from service.emulators.answers import answer
from service.emulators.conditions import Conditions, from_options, parser

ALLOWED = {
    "model",
    "max_tokens",
    "messages",
    "system",
    "metadata",
    "stop_sequences",
    "stream",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "cache_control",
}


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content or [])


def mistake(body: Any) -> str | None:
    """The first thing wrong with a request body, if anything is."""
    if not isinstance(body, dict):
        return "body: a JSON object is required"
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            return f"{name}: Field required"
    unknown = sorted(set(body) - ALLOWED)
    if unknown:
        return f"{unknown[0]}: Extra inputs are not permitted"
    if not isinstance(body["model"], str) or not body["model"]:
        return "model: Input should be a valid string"
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        return "max_tokens: Input should be greater than or equal to 1"
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    for index, message in enumerate(messages):
        expected = "user" if index % 2 == 0 else "assistant"
        if not isinstance(message, dict) or message.get("role") != expected:
            return f"messages.{index}.role: roles must alternate, starting with user"
        if not text_of(message.get("content")).strip():
            return f"messages.{index}.content: text content blocks must be non-empty"
    return None


def failure(status: int, kind: str, message: str) -> JSONResponse:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return JSONResponse(body, status_code=status)


def create_app(conditions: Conditions, api_key: str = "") -> Starlette:
    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def messages(request: Request) -> JSONResponse:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        key = request.headers.get("x-api-key") or bearer
        if not key or (api_key and key != api_key):
            return failure(401, "authentication_error", "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            return failure(400, "invalid_request_error", "anthropic-version: header is required")
        try:
            body = json.loads(await request.body())
        except ValueError:
            return failure(400, "invalid_request_error", "The request body is not valid JSON")
        wrong = mistake(body)
        if wrong:
            return failure(400, "invalid_request_error", wrong)
        if body.get("stream"):
            return failure(400, "invalid_request_error", "stream: not supported here")

        failing = conditions.fails()
        await conditions.wait(request.scope)
        app.state.served += 1
        if failing and app.state.served % 2:
            return failure(529, "overloaded_error", "Overloaded")
        if failing:
            return failure(500, "api_error", "Internal server error")

        system = text_of(body.get("system"))
        prompt = "\n".join(text_of(message["content"]) for message in body["messages"])
        words = answer(system, prompt)
        digest = hashlib.sha256(f"{system}\n{prompt}".encode()).hexdigest()
        return JSONResponse(
            {
                "id": f"msg_{digest[:24]}",
                "type": "message",
                "role": "assistant",
                "model": body["model"],
                "content": [{"type": "text", "text": words}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {
                    "input_tokens": (len(prompt) + len(system)) // 4 + 8,
                    "output_tokens": len(words) // 4 + 1,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                },
            }
        )

    app = Starlette(
        routes=[Route("/health", health), Route("/v1/messages", messages, methods=["POST"])],
    )
    app.state.served = 0
    return app


def main() -> None:
    options_parser = parser("Messages API emulator", latency_ms=112, jitter_ms=12, handshake_ms=92)
    options_parser.add_argument("--api-key", default="", help="accept this key only")
    options = options_parser.parse_args()
    app = create_app(from_options(options, "messages"), options.api_key)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()

"""Tool: one HTTP request to the running, unpatched service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydantic import Field

from swarm.core.errors import ToolFailed
from swarm.tools.tool import Answer, Arguments, Tool, as_json, capped

if TYPE_CHECKING:
    from swarm.config.schema import Webhook
    from swarm.tools.workbench import Workbench

_BODY_CHARS = 4_000
_HEADERS = frozenset({"content-type", "location", "retry-after", "x-request-id", "allow", "www-authenticate"})


class SendRequestArguments(Arguments):
    """The request. A body that is left out is one of the declared payloads where the path is a webhook's."""

    method: str = Field("POST", pattern="^(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)$")
    path: str = Field(pattern="^/", max_length=2000, description="path and query below the service's root")
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = Field(None, max_length=200_000, description="sent as it is")
    signed: bool = Field(True, description="sign the body as a sender does, where the path is a webhook's")


class SendRequest(Tool):
    """Loopback to the copy that runs, and nowhere else: only a path can be given."""

    name = "send_request"
    group = "API-Testing"
    description = (
        "Sends one HTTP request to the running unpatched service on loopback and gives status, headers, body "
        "and time. Webhooks are signed for you."
    )
    arguments = SendRequestArguments

    async def run(self, arguments: SendRequestArguments, bench: Workbench) -> Answer:
        """Raises ToolFailed for headers that no client would send."""
        headers, body = await _prepared(arguments, bench)
        try:
            answer = await bench.send(arguments.method, arguments.path, headers, body)
        except (UnicodeEncodeError, ValueError) as error:
            raise ToolFailed(f"this request cannot be sent: {error}") from None
        shown = {name: value for name, value in answer.headers.items() if name.lower() in _HEADERS}
        text = bench.mask(answer.body.decode("utf-8", errors="replace"))
        return Answer(
            as_json(
                {
                    "status": answer.status or "no answer",
                    "duration_ms": round(answer.duration_ms, 1),
                    "headers": shown,
                    "body": capped(text, _BODY_CHARS),
                }
            )
        )


async def _prepared(arguments: SendRequestArguments, bench: Workbench) -> tuple[dict[str, str], bytes]:
    webhook = _webhook(arguments, bench)
    headers = dict(arguments.headers)
    body = (arguments.body or "").encode()
    if webhook is None:
        return headers, body
    traffic = (await bench.baseline()).traffic
    if arguments.body is None:
        body = traffic.request_for(webhook, next(bench.sent_numbers), time.time()).body
    own = {"Content-Type": webhook.content_type, **webhook.headers}
    if arguments.signed:
        own.update(traffic.sign(webhook, body, time.time()))
    given = {name.lower() for name in headers}
    return {**{name: value for name, value in own.items() if name.lower() not in given}, **headers}, body


def _webhook(arguments: SendRequestArguments, bench: Workbench) -> Webhook | None:
    path = arguments.path.split("?", 1)[0]
    for webhook in bench.target.webhooks:
        if webhook.path == path and webhook.method.upper() == arguments.method:
            return webhook
    return None

"""What becomes of a sender's text, headers that are there twice, and what is half done: careless ways, one each."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from swarm.config.schema import Target, Webhook
from swarm.probes.hostile_input.inert_text import InertText
from swarm.probes.hostile_input.payload_shape import PayloadShape
from swarm.probes.probe import Effects, ProbeContext, ProbeResult
from swarm.probes.surface.answer_headers import AnswerHeaders
from swarm.target.traffic import Traffic
from swarm.target.upstream.calls import UpstreamCall

Handler = Callable[[dict[str, Any], "Desk"], Response | None]


class Desk:
    """A service's surroundings: its folder, its log, and the calls that it made."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.log: list[str] = []
        self.calls: list[UpstreamCall] = []

    def log_text(self) -> str:
        return "\n".join(self.log)

    def snapshot(self) -> tuple[UpstreamCall, ...]:
        return tuple(self.calls)

    async def quiet(self, calm_s: float = 0.06, limit_s: float = 3.0) -> bool:
        return True

    def call(self, body: bytes = b"{}", headers: dict[str, str] | None = None) -> None:
        self.calls.append(UpstreamCall("crm", "POST", "/notes", "", body, 200, 0.0, 0.1, "write", headers or {}))


def context(desk: Desk, handle: Handler, client: httpx.AsyncClient) -> ProbeContext:
    payload = {"id": "{{uuid}}", "note": "hello", "owner": {"name": "Ada"}}
    target = Target(path=".", start="x", webhooks=[Webhook.model_validate({"path": "/hook", "payloads": [payload]})])
    return ProbeContext(
        base_url="http://t",
        target=target,
        traffic=Traffic(target, desk.tmp, 7),
        client=client,
        server=cast("Any", desk),
        upstreams=cast("Any", desk),
        number=itertools.count(),
        routes=(("POST", "/hook"), ("GET", "/find?q=")),
        good_effects={"POST /hook": Effects(1, {"leads.db:leads": 1})},
    )


async def asked(probe: Any, tmp_path: Path, handle: Handler, find: Any = None) -> ProbeResult:
    desk = Desk(tmp_path)

    async def hook(request: Request) -> Response:
        answer = handle(await request.json(), desk)
        return answer if answer is not None else JSONResponse({"ok": True})

    async def search(request: Request) -> Response:
        return JSONResponse({"q": request.query_params["q"]}) if find is None else cast("Response", find(request))

    app = Starlette(routes=[Route("/hook", hook, methods=["POST"]), Route("/find", search)])
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport) as client:
        return cast("ProbeResult", await probe.run(context(desk, handle, client)))


def keep(event: dict[str, Any], desk: Desk) -> None:
    """Text stays text wherever it goes."""
    desk.log.append(f"{event['note']!r}")
    desk.call(str(event["note"]).encode())
    (desk.tmp / "notes.txt").write_text(str(event))


def evaluate(event: dict[str, Any], desk: Desk) -> None:
    desk.call(event["note"].replace("{{7*7}}", "49").encode())


def formatted(event: dict[str, Any], desk: Desk) -> Response | None:
    if "{0.__class__}" not in event["note"]:
        return None
    at = event["note"].index("{0.__class__}")
    return JSONResponse({"note": event["note"][at : at + 30].format("")})


def run_in_shell(event: dict[str, Any], desk: Desk) -> None:
    subprocess.run(f"echo {event['owner']['name']}", shell=True, check=False, capture_output=True)


def written(event: dict[str, Any], desk: Desk) -> None:
    folder = desk.tmp / "notes"
    folder.mkdir(exist_ok=True)
    with suppress(OSError):
        (folder / event["note"].removeprefix("hello")).write_text("x")


def as_header(event: dict[str, Any], desk: Desk) -> None:
    lines = event["note"].split("\r\n")[1:]
    desk.call(headers=dict(line.split(": ") for line in lines if ": " in line))


CARELESS = {
    "template-injection": evaluate,
    "command-injection": run_in_shell,
    "path-traversal": written,
    "header-injection": as_header,
}


@pytest.mark.parametrize("rule", CARELESS)
async def test_text_that_is_more_than_text_is_seen(rule: str, tmp_path: Path) -> None:
    result = await asked(InertText(), tmp_path, CARELESS[rule])
    assert (result.outcome, result.rule) == ("failed", rule), result.evidence
    assert str(tmp_path) not in result.evidence


async def test_a_format_of_the_senders_is_seen(tmp_path: Path) -> None:
    result = await asked(InertText(), tmp_path, formatted)
    assert (result.outcome, result.rule) == ("failed", "template-injection"), result.evidence


async def test_a_page_with_a_senders_tags_is_seen(tmp_path: Path) -> None:
    def page(request: Request) -> Response:
        return HTMLResponse(f"<p>{request.query_params['q']}</p>")

    result = await asked(InertText(), tmp_path, keep, page)
    assert (result.outcome, result.rule) == ("failed", "cross-site-scripting")


async def test_text_that_stays_text_is_none_of_it(tmp_path: Path) -> None:
    result = await asked(InertText(), tmp_path, keep)
    assert result.outcome == "passed", result.evidence


async def test_a_service_that_takes_single_marked_fields_is_tried_with_them(tmp_path: Path) -> None:
    def picky(event: dict[str, Any], desk: Desk) -> Response | None:
        if event["owner"]["name"] != "Ada":
            return JSONResponse({"error": "name"}, status_code=422)
        evaluate(event, desk)
        return None

    result = await asked(InertText(), tmp_path, picky)
    assert result.rule == "template-injection"


@pytest.mark.parametrize("is_half", [True, False])
async def test_what_is_refused_must_leave_nothing(is_half: bool, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "leads.db") as connection:
        connection.execute("CREATE TABLE leads (id TEXT)")

    def handle(event: dict[str, Any], desk: Desk) -> Response:
        if is_half:
            with sqlite3.connect(desk.tmp / "leads.db") as connection:
                connection.execute("INSERT INTO leads VALUES ('x')")
        return JSONResponse({"error": "payload"}, status_code=422)

    result = await asked(PayloadShape(), tmp_path, handle)
    assert (result.outcome, "leads.db:leads" in result.evidence) == (
        ("failed", True) if is_half else ("passed", False)
    )


@pytest.mark.parametrize("header", ["nosniff", "NoSniff", ""])
async def test_json_says_that_it_is_not_to_be_guessed(header: str, tmp_path: Path) -> None:
    headers = {"X-Content-Type-Options": header} if header else {}

    def handle(event: dict[str, Any], desk: Desk) -> Response:
        return JSONResponse({"ok": True}, headers=headers)

    result = await asked(AnswerHeaders(), tmp_path, handle, lambda _: JSONResponse([], headers=headers))
    assert result.outcome == ("passed" if header else "failed")


async def test_answers_without_a_type_say_nothing(tmp_path: Path) -> None:
    result = await asked(
        AnswerHeaders(), tmp_path, lambda _event, _desk: Response(status_code=204), lambda _: Response()
    )
    assert result.outcome == "skipped"


def test_a_server_error_is_another_probes() -> None:
    from swarm.probes.probe import Answer
    from swarm.probes.surface.answer_headers import lacks

    answer = Answer("GET", "/", 500, "{}", {"content-type": "application/json"}, 0.0)
    assert lacks(answer) == ""
    assert lacks(Answer("GET", "/", 200, "{}", {"content-type": "application/problem+json"}, 0.0))

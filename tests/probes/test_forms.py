"""A form's fields, and what comes in query, headers and cookies, are probed as the fields of JSON are."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from swarm.config.schema import Target, Webhook
from swarm.probes.hostile_input import inert_text
from swarm.probes.hostile_input.inert_text import InertText
from swarm.probes.hostile_input.marked import Place, beside_the_body, fields, with_text
from swarm.probes.hostile_input.sql_injection import SqlInjection
from swarm.probes.payloads import Form, changed, extended, is_personal, read, write
from swarm.probes.probe import ProbeContext, ProbeResult
from swarm.target.traffic import Traffic
from tests.probes.test_text_and_headers import Desk

DECLARED = {
    "path": "/sms?shop=ada",
    "content_type": "application/x-www-form-urlencoded",
    "headers": {"Cookie": "cart=c1; lang=en", "X-Tenant": "t1"},
    "payloads": [{"From": "+15550100200", "Body": "hello", "Media": ["a", "b"]}],
}


async def taken(request: Request) -> dict[str, str]:
    """What came, by where it came."""
    form = parse_qs((await request.body()).decode())
    return {
        "form": form["Body"][0],
        "query": request.query_params["shop"],
        "cookie": unquote(request.cookies["cart"]),
        "header": request.headers["x-tenant"],
    }


def context(tmp_path: Path, client: httpx.AsyncClient) -> ProbeContext:
    target = Target(path=".", start="x", webhooks=[Webhook.model_validate(DECLARED)])
    desk = cast("Any", Desk(tmp_path))
    traffic = Traffic(target, tmp_path, 7)
    return ProbeContext("http://t", target, traffic, client, desk, desk, itertools.count())


async def asked(probe: Any, tmp_path: Path, careless: str) -> ProbeResult:
    async def sms(request: Request) -> Response:
        sent = await taken(request)
        text = sent[careless].replace("{{7*7}}", "49") if careless in sent else "thanks"
        if careless.startswith("sql") and sent[careless.removeprefix("sql ")].count("'") % 2:
            return JSONResponse({"error": "unterminated quoted string"}, status_code=500)
        return JSONResponse({"said": text})

    app = Starlette(routes=[Route("/sms", sms, methods=["POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
        return cast("ProbeResult", await probe.run(context(tmp_path, client)))


@pytest.mark.parametrize("careless", ["form", "query", "cookie", "header", "none"])
async def test_marks_go_wherever_a_senders_text_goes(
    careless: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inert_text, "_WORKED_S", 0.0)
    result = await asked(InertText(), tmp_path, careless)
    assert (result.outcome, result.rule) == (
        ("passed", "") if careless == "none" else ("failed", "template-injection")
    ), result.evidence


@pytest.mark.parametrize("careless", ["sql form", "sql query", "sql cookie", "sql header", "none"])
async def test_quotes_go_there_too(careless: str, tmp_path: Path) -> None:
    result = await asked(SqlInjection(), tmp_path, careless)
    assert result.outcome == ("passed" if careless == "none" else "failed"), result.evidence


def test_a_form_stays_a_form() -> None:
    form = read(b"From=%2B15550100200&Body=a+b&Media=1&Media=2&Empty=")
    assert form == {"From": "+15550100200", "Body": "a b", "Media": ["1", "2"], "Empty": ""}
    assert write(extended(changed(form, lambda at, _: at == ("Body",), str.upper), {"More": "é"})) == (
        b"From=%2B15550100200&Body=A+B&Media=1&Media=2&Empty=&More=%C3%A9"
    )
    assert isinstance(form, Form) and not isinstance(read(b'{"a": "b=c"}'), Form)
    assert read(b"<a b='c'/>") is None and read(b"plain text") is None and read(b"") is None


def test_who_sent_a_message_is_personal_and_the_services_own_number_is_not() -> None:
    assert is_personal(("From",), "+15550100200") and is_personal(("From",), "whatsapp:+15550100200")
    assert not is_personal(("To",), "+15550100200") and not is_personal(("At",), "1700000000")


async def test_line_ends_go_into_no_header(tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        here = context(tmp_path, client)
        webhook = here.webhooks()[0]
        request = here.fresh(webhook)
        places = [*fields(request), *beside_the_body(webhook, request)]
        assert Place("cookie", ("cart",)) in places and Place("header", ("X-Tenant",)) in places
        made = with_text(here, webhook, request, places, "\r\nX-A: 1")
    assert made.headers["X-Tenant"] == "t1"
    assert made.headers["Cookie"] == "cart=c1%0D%0AX-A%3A%201; lang=en%0D%0AX-A%3A%201"
    assert made.path == "/sms?shop=ada%0D%0AX-A%3A+1"
    assert read(made.body)["Body"] == "hello\r\nX-A: 1"

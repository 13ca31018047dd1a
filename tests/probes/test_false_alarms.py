"""What strangers' services answered that is no hole."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote, unquote

import pytest

from swarm.config.schema import Webhook
from swarm.probes import unsigned_refused
from swarm.probes.probe import Answer, ProbeContext
from swarm.probes.sql_injection import SqlInjection, _bare
from swarm.probes.unsigned_refused import UnsignedRefused


def context(answer: Answer) -> ProbeContext:
    async def send(_: Any) -> Answer:
        return answer

    webhook = Webhook.model_validate({"path": "/hook"})
    return cast(
        "ProbeContext",
        SimpleNamespace(
            signed_webhooks=lambda: [webhook], fresh=lambda _: None, unsigned=lambda *_: None, send=send,
            judged=lambda *_, **__: None,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "writes", "state"),
    [(500, 0, "passed"), (500, 1, "failed"), (200, 0, "failed"), (401, 0, "passed"), (401, 1, "failed")],
)
async def test_a_check_that_breaks_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch, status: int, writes: int, state: str
) -> None:
    counted = iter((0, writes))
    monkeypatch.setattr(unsigned_refused, "writes_seen", lambda _: next(counted))
    result = await UnsignedRefused().run(context(answer_of(status)))
    assert result.outcome == state


def answer_of(status: int, text: str = "") -> Answer:
    return Answer("GET", "/", status, text, {}, 0.0)


def test_an_address_that_says_the_question_again_is_no_answer_to_it() -> None:
    said = [f"moved to https://x/zq7k'%20OR%201%3D{n}%20--%20 (1={n})" for n in (1, 2)]
    one, two = (_bare(answer_of(302, text), f"zq7k' OR 1={n} -- ") for n, text in enumerate(said, start=1))
    assert one == two
    assert _bare(answer_of(200, "[1]"), "x") != _bare(answer_of(200, "[]"), "x")


@pytest.mark.parametrize(
    ("rows", "said_again", "outcome"), [(True, False, "failed"), (False, True, "passed"), (True, True, "passed")]
)
async def test_a_page_of_login_that_says_where_it_leads_is_no_injection(
    rows: bool, said_again: bool, outcome: str
) -> None:
    async def call(_: str, path: str) -> Answer:
        text = unquote(path)
        found = "all" if rows and re.search(r"OR (\d)=\1", text) else "none"
        return answer_of(200, found + (f" next={quote(path)}" if said_again else ""))

    context = SimpleNamespace(routes=(("GET", "/leads?q="),), call=call, webhooks=list)
    result = await SqlInjection().run(cast("ProbeContext", context))
    assert result.outcome == outcome

"""What strangers' services answered that is no hole."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote, unquote

import pytest

from swarm.config.schema import Target, Webhook
from swarm.probes.deliveries import quick_answer
from swarm.probes.hostile_input.sql_injection import SqlInjection, bare
from swarm.probes.probe import Answer, ProbeContext
from swarm.probes.signatures import unsigned_refused
from swarm.probes.signatures.unsigned_refused import UnsignedRefused
from swarm.probes.surface.closed_surface import ClosedSurface
from swarm.probes.surface.object_access import touches
from swarm.target.traffic import Traffic, WebhookRequest
from tests.intake.strangers import index_of


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
    one, two = (bare(answer_of(302, text), f"zq7k' OR 1={n} -- ") for n, text in enumerate(said, start=1))
    assert one == two
    assert bare(answer_of(200, "[1]"), "x") != bare(answer_of(200, "[]"), "x")


@pytest.mark.parametrize(
    ("rows", "said_again", "outcome"), [(True, False, "failed"), (False, True, "passed"), (True, True, "passed")]
)
async def test_a_page_of_login_that_says_where_it_leads_is_no_injection(
    rows: bool, said_again: bool, outcome: str
) -> None:
    async def call(_: str, path: str, **__: Any) -> Answer:
        text = unquote(path)
        found = "all" if rows and re.search(r"OR (\d)=\1", text) else "none"
        return answer_of(200, found + (f" next={quote(path)}" if said_again else ""))

    context = SimpleNamespace(routes=(("GET", "/leads?q="),), call=call, webhooks=list, header_names=())
    result = await SqlInjection().run(cast("ProbeContext", context))
    assert result.outcome == outcome


class _Shop:
    """An upstream that a service writes to, and the service: while the upstream fails it answers with `status`."""

    def __init__(self, status: int, does_it_again: bool) -> None:
        self.status, self.does_it_again = status, does_it_again
        self.calls: list[SimpleNamespace] = []
        self.trouble = False

    @contextmanager
    def in_trouble(self, _: str) -> Iterator[None]:
        self.trouble = True
        yield
        self.trouble = False

    def snapshot(self) -> list[SimpleNamespace]:
        return list(self.calls)

    async def send(self, _: Any) -> Answer:
        if self.trouble or self.does_it_again:
            self.calls.append(SimpleNamespace(upstream="shop", method="PUT", path="/orders/1", effect="write",
                                              status=500 if self.trouble else 204))  # fmt: skip
        return answer_of(self.status if self.trouble else 200)


@pytest.mark.parametrize(
    ("status", "does_it_again", "outcome"),
    [(503, True, "passed"), (503, False, "failed"), (500, True, "failed"), (502, True, "failed")],
)
async def test_an_event_may_be_borne_by_asking_for_it_again(
    monkeypatch: pytest.MonkeyPatch, status: int, does_it_again: bool, outcome: str
) -> None:
    monkeypatch.setattr(quick_answer, "_RECOVERS_WITHIN_S", 0.05)
    shop = _Shop(status, does_it_again)
    webhook = Webhook.model_validate({"path": "/hook"})

    async def no() -> bool:
        return False

    context = SimpleNamespace(
        upstreams=shop, webhooks=lambda: [webhook], fullest=lambda _: SimpleNamespace(body=b"{}"), send=shop.send,
        calls_no_upstream=no, good_effects={"POST /hook": SimpleNamespace(writes=1)},
    )  # fmt: skip
    result = await quick_answer.FailingUpstreams().run(cast("ProbeContext", context))
    assert result.outcome == outcome, result.evidence


@pytest.mark.parametrize(
    ("page", "outcome"),
    [('{"up": true, "at": "2026-01-02T03:04:05.6+00:00"}', "passed"), ("var CONSOLE = {};", "failed")],
)
async def test_front_page_that_tells_the_time_is_no_debugger(page: str, outcome: str) -> None:
    front = iter(('{"up": true, "at": "2026-01-02T03:04:06.7+00:00"}',))

    async def call(method: str, path: str) -> Answer:
        if path == "/" and method == "GET":
            return answer_of(200, next(front))
        return answer_of(200, page) if "__debugger__" in path else answer_of(404)

    asked = SimpleNamespace(traffic=SimpleNamespace(webhooks=[]), routes=[], webhooks=list, call=call)
    assert (await ClosedSurface().run(cast("ProbeContext", asked))).outcome == outcome


@contextmanager
def _troubled(**_: Any) -> Iterator[None]:
    yield


async def test_every_kind_of_event_is_asked_whether_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> bool:
        return False

    async def call(*_: Any, content: bytes, **__: Any) -> Answer:
        return answer_of(0, "no answer") if b"order" in content else answer_of(200)

    monkeypatch.setattr(quick_answer, "settled", nothing)
    hook = {"path": "/hook", "payloads": [{"a": 1}, {"order": "much more"}]}
    mix = Traffic(Target.model_validate({"path": ".", "start": "x", "webhooks": [hook]}), Path(), 1)
    context = SimpleNamespace(
        traffic=mix, upstreams=SimpleNamespace(in_trouble=_troubled), webhooks=lambda: mix.webhooks,
        calls_no_upstream=nothing, call=call,
    )  # fmt: skip
    for first in range(0, 40, 5):  # whichever kinds chance would draw
        context.number = itertools.count(first)
        for name in ("fresh", "kinds", "of_each_kind"):
            setattr(context, name, functools.partial(getattr(ProbeContext, name), context))
        result = await quick_answer.QuickAnswer().run(cast("ProbeContext", context))
        assert result.outcome == "failed"


async def test_two_kinds_of_events_that_are_answered_differently_are_no_sql() -> None:
    hook = {"path": "/hook", "payloads": [{"kind": "works", "note": "a"}, {"kind": "breaks", "note": "a long text"}]}
    mix = Traffic(Target.model_validate({"path": ".", "start": "x", "webhooks": [hook]}), Path(), 1)

    async def send(request: WebhookRequest) -> Answer:
        return answer_of(500 if b"breaks" in request.body else 200)

    for first in range(0, 40, 5):
        context = SimpleNamespace(
            traffic=mix, routes=(), webhooks=lambda: mix.webhooks, send=send, number=itertools.count(first)
        )
        for name in ("fresh", "kinds", "with_body", "with_headers", "signature"):
            setattr(context, name, functools.partial(getattr(ProbeContext, name), context))
        result = await SqlInjection().run(cast("ProbeContext", context))
        assert result.outcome == "passed", result.evidence


ROUTES = """
    from fastapi import FastAPI

    app = FastAPI()
    KEPT = {}


    class Call:
        def __init__(self, path):
            self.path = path


    @app.post("/bindings")
    async def bindings():
        return [Call("/connect"), Call("/disconnect")]


    @app.post("/notes/{name}")
    async def note(name: str, text: dict):
        KEPT[name] = text
        return {}


    @app.post("/search")
    async def search(session, text: dict):
        return await session.scalars("SELECT 1")
    """


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/bindings", False), ("/notes/{name}", True), ("/search", True), ("/elsewhere", True)],
)
def test_route_that_only_works_out_its_answer_gives_nothing_of_anybody(
    tmp_path: Path, path: str, expected: bool
) -> None:
    assert touches(index_of(tmp_path, {"app.py": ROUTES}), "POST", path) is expected

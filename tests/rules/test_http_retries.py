"""Calls that missing-retry hands to the module http_retries end as they would have; all share that module."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.rules.mending import loaded, mend, write

ASYNC = """import httpx

client = httpx.AsyncClient()


async def stock():
    return await client.get("https://a.example/stock")
"""


@pytest.fixture
def retried(tmp_path: Path) -> Iterator[Any]:
    """A module whose call is mended, with pauses that take no time and are added up in `waited`."""
    write(tmp_path, {"shop.py": ASYNC})
    mend(tmp_path, "missing-retry")
    with loaded(tmp_path, "shop") as shop, loaded(tmp_path, "http_retries") as http_retries:
        waited = [0.0]

        async def at_once(pause_s: float) -> None:
            waited[0] += pause_s

        http_retries.asyncio = SimpleNamespace(sleep=at_once)
        yield SimpleNamespace(shop=shop, http_retries=http_retries, waited=waited)


@pytest.mark.parametrize(
    ("answers", "tries", "status"),
    [
        ([200], 1, 200),
        ([503, 200], 2, 200),
        ([500, 429, 200], 3, 200),
        ([503, 503, 503, 200], 3, 503),
        ([404, 200], 1, 404),
        ([None, 200], 2, 200),
    ],
)
async def test_a_retried_call_ends_as_it_would_have(
    retried: Any, answers: list[int | None], tries: int, status: int
) -> None:
    seen = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal seen
        seen += 1
        given = answers[seen - 1]
        if given is None:
            raise httpx.ConnectError("lost", request=request)
        return httpx.Response(given)

    retried.shop.client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    assert (await retried.shop.stock()).status_code == status
    assert seen == tries
    repeated, given_up = tries - 1, int(status == 503)
    assert retried.http_retries.prometheus_lines()[2:] == [
        f'http_retries_total{{outcome="repeated"}} {repeated}', f'http_retries_total{{outcome="given_up"}} {given_up}'
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "tries", "least_s", "most_s"),
    [
        ("2", 2, 2.0, 2.0),
        ("date", 2, 1.5, 3.0),
        ("3600", 1, 0.0, 0.0),  # longer than all tries may take: the refusal is handed back at once
        ("soon", 2, 0.1, 0.2),
        ("-7", 2, 0.1, 0.2),
        ("nan", 2, 0.1, 0.2),
    ],
)
async def test_a_retry_waits_as_the_answer_asks(
    retried: Any, caplog: pytest.LogCaptureFixture, asked: str, tries: int, least_s: float, most_s: float
) -> None:
    seen = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal seen
        seen += 1
        told = formatdate(time.time() + 3, usegmt=True) if asked == "date" else asked
        return httpx.Response(429 if seen == 1 else 200, headers={"Retry-After": told})

    retried.shop.client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    with caplog.at_level("WARNING", "http_retries"):
        assert (await retried.shop.stock()).status_code == (200 if tries == 2 else 429)
    assert seen == tries
    assert least_s <= retried.waited[0] <= most_s
    assert [record.levelname for record in caplog.records] == ["WARNING"] * (tries - 1)


async def test_retries_can_be_turned_off_and_raise_the_last_error(
    retried: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_RETRY_ATTEMPTS", "0")
    seen: list[str] = []

    def lost(request: httpx.Request) -> httpx.Response:
        seen.append(request.method)
        raise httpx.ConnectError("lost", request=request)

    retried.shop.client = httpx.AsyncClient(transport=httpx.MockTransport(lost))
    with pytest.raises(httpx.ConnectError):
        await retried.shop.stock()
    assert seen == ["GET"]


@pytest.mark.parametrize("spared", [True, False])
async def test_what_retrying_cannot_help_is_raised_at_once(retried: Any, spared: bool) -> None:
    seen: list[str] = []

    def fails(request: httpx.Request) -> httpx.Response:
        seen.append(request.method)
        error: Exception = httpx.ConnectError("circuit open", request=request) if spared else KeyError("own mistake")
        error.is_left_alone = spared  # type: ignore[attr-defined]
        raise error

    retried.shop.client = httpx.AsyncClient(transport=httpx.MockTransport(fails))
    with pytest.raises((httpx.ConnectError, KeyError)):
        await retried.shop.stock()
    assert seen == ["GET"]


QUESTION = """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


@app.post("/hook")
async def hook(event: dict):
    answer = await client.post(
        "https://ai.example/v1/messages",
        json={"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": event["text"]}]},
    )
    return answer.json()
"""


async def test_a_question_to_a_model_is_asked_again_when_the_model_is_overloaded(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": QUESTION})
    mend(tmp_path, "missing-retry")
    answers = [529, 503, 200]
    asked: list[int] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(answers[len(asked)])
        return httpx.Response(asked[-1], json={"content": "hi"}, headers={"Retry-After": "0"})

    with loaded(tmp_path, "app") as app:
        app.client = httpx.AsyncClient(transport=httpx.MockTransport(respond))
        assert await app.hook({"text": "how are you"}) == {"content": "hi"}
    assert asked == answers


PACKAGE = {
    "src/shop/__init__.py": "",
    "src/shop/app.py": """from flask import Flask

from shop.upstreams import crm

app = Flask(__name__)


@app.post("/hook")
def hook():
    return crm.contact("1") | {"stock": crm.stock_of("tea")}
""",
    "src/shop/upstreams/__init__.py": "",
    "src/shop/upstreams/crm.py": """import requests

from shop.upstreams.stock import stock_of

session = requests.Session()


def contact(key):
    return session.get(f"https://crm.example/{key}", timeout=3).json()
""",
    "src/shop/upstreams/stock.py": """import requests


def stock_of(item):
    return requests.get(f"https://stock.example/{item}", timeout=3).json()["left"]
""",
}


def test_modules_of_a_package_share_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, PACKAGE)
    mend(tmp_path, "missing-retry")
    assert [path.name for path in tmp_path.rglob("http_retries*.py")] == ["http_retries.py"]
    assert "def with_retries" not in (tmp_path / "src/shop/upstreams/stock.py").read_text()
    told = iter([requests.ConnectionError("lost"), 503, 200, 200])

    def answered(self: requests.Session, method: str, url: str, **options: Any) -> requests.Response:
        given = next(told)
        if isinstance(given, Exception):
            raise given
        answer = requests.Response()
        answer.status_code, answer._content = given, b'{"left": 5}'
        return answer

    monkeypatch.setattr(requests.Session, "request", answered)
    with loaded(tmp_path / "src", "shop.app") as app, loaded(tmp_path / "src", "shop.http_retries") as http_retries:
        monkeypatch.setattr(http_retries.time, "sleep", lambda pause_s: None)
        assert app.app.test_client().post("/hook").json == {"left": 5, "stock": 5}


AIOHTTP = """import aiohttp
from fastapi import FastAPI

app = FastAPI()


class Api:
    def __init__(self, session: aiohttp.ClientSession):
        self.session = session

    async def state(self, url):
        async with self.session.get(url) as answer:
            return answer.status, await answer.text()

    async def later(self, url):
        answer = await self.session.get(url)
        return answer.status, await answer.text()


@app.post("/hook")
async def hook(url: str):
    api = Api(app.state.session)
    return [await api.state(url), await api.later(url)]
"""


@pytest.mark.parametrize("method", ["state", "later"])
@pytest.mark.parametrize(
    ("answers", "seen"), [([503, 200], (200, "2")), ([503, 503, 429, 200], (429, "3")), ([0, 200], (200, "2"))]
)
async def test_an_answer_of_aiohttp_is_asked_for_again_and_its_connections_are_given_back(
    tmp_path: Path, answers: list[int], seen: tuple[int, str], method: str
) -> None:
    write(tmp_path, {"shop.py": AIOHTTP})
    mend(tmp_path, "missing-retry")
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if not answers[asked - 1] and request.transport is not None:
            request.transport.close()
        return web.Response(status=answers[asked - 1] or 200, text=str(asked))

    application = web.Application()
    application.router.add_get("/", answer)
    async with TestServer(application) as server, aiohttp.ClientSession(version=aiohttp.HttpVersion10) as session:
        with loaded(tmp_path, "shop") as shop, loaded(tmp_path, "http_retries") as http_retries:
            http_retries.asyncio = SimpleNamespace(sleep=lambda pause_s: asyncio.sleep(0))
            api = shop.Api(session)
            assert await getattr(api, method)(str(server.make_url("/"))) == seen
    assert not getattr(session.connector, "_acquired", None)

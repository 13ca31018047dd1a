"""Examples of the rule client-per-call."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import httpx
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook(token: str):
    async with httpx.AsyncClient(timeout=3, headers={"X-Token": token}) as client:
        answer = await client.get("https://a.example/x")
    return answer.json()
""",
        '''import asyncio
import weakref
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from http.cookiejar import DefaultCookiePolicy

import httpx
from fastapi import FastAPI

app = FastAPI()


_http_clients: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, tuple[httpx.AsyncClient, AsyncGenerator[None, None]]
] = weakref.WeakKeyDictionary()


def _http_client() -> httpx.AsyncClient:
    """One client per event loop, closed when the loop ends: connections are kept between calls, cookies are not."""
    loop = asyncio.get_running_loop()
    client, _ = _http_clients.get(loop, (None, None))
    if client is None or client.is_closed:
        client = httpx.AsyncClient(
            timeout=3, limits=httpx.Limits(max_keepalive_connections=20)
        )
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        closing = _closing(client)
        _http_clients[loop] = client, closing
        next(closing.__anext__().__await__(), None)  # begun here, and ended by the loop with itself
    return client


async def _closing(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        _http_clients.pop(asyncio.get_running_loop(), None)
        await client.aclose()


@app.post("/hook")
async def hook(token: str):
    async with nullcontext(_http_client()) as client:
        answer = await client.get("https://a.example/x", headers={"X-Token": token})
    return answer.json()
''',
        "fastapi",
    ),
    Example(
        """import requests
from flask import Flask

app = Flask(__name__)


def stock(item):
    return requests.get(f"https://a.example/{item}", timeout=2).json()


@app.post("/hook")
def hook():
    return stock("tea")
""",
        """from http.cookiejar import DefaultCookiePolicy

import requests
from flask import Flask

app = Flask(__name__)


# one client for all calls: connections are kept between them, cookies are not
_http = requests.Session()
_http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))


def stock(item):
    return _http.get(f"https://a.example/{item}", timeout=2).json()


@app.post("/hook")
def hook():
    return stock("tea")
""",
        "flask",
    ),
    Example(
        """import requests
from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook():
    session = requests.Session()
    return session.get("https://a.example/tea", timeout=2).json()
""",
        """from http.cookiejar import DefaultCookiePolicy

import requests
from flask import Flask

app = Flask(__name__)


# one client for all calls: connections are kept between them, cookies are not
_http = requests.Session()
_http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))


@app.post("/hook")
def hook():
    session = _http
    return session.get("https://a.example/tea", timeout=2).json()
""",
        "flask",
    ),
    Example(
        """import requests
from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook(token):
    session = requests.Session()
    session.headers["X-Token"] = token
    return session.get("https://a.example/tea", timeout=2).json()
""",
        None,
        "flask",
    ),
    Example(
        """import httpx
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook(base: str):
    async with httpx.AsyncClient(base_url=base) as client:
        return (await client.get("/x")).json()
""",
        None,
        "fastapi",
    ),
    Example(  # an object for one request, whoever else keeps one
        """import httpx
from fastapi import FastAPI

app = FastAPI()


class Ledger:
    def __init__(self, base):
        self.http = httpx.AsyncClient(base_url=base)

    async def book(self, entry):
        return await self.http.put("/entries", json=entry)


shared = Ledger("https://ledger.example")


@app.post("/hook")
async def hook(event: dict):
    ledger = Ledger("https://ledger.example")
    await ledger.book(event)
    return {"booked": True}
""",
        None,
        "fastapi",
    ),
)
GOOD = (
    """from contextlib import nullcontext
from functools import lru_cache

import httpx
import requests
from fastapi import FastAPI

app = FastAPI()
shared = httpx.AsyncClient()
_late = None


@lru_cache
def session():
    return requests.Session()


def late():
    global _late
    if _late is None:
        _late = httpx.AsyncClient()
    return _late


@app.post("/hook")
async def hook():
    async with nullcontext(shared) as client:
        await client.get("https://c.example")
    return [(await shared.get("https://a.example")).json(), (await late().get("https://b.example")).json()]


def main():
    requests.get("https://a.example/warm-up")
""",
    """from fastapi import FastAPI, Request
from httpx import ASGITransport, AsyncClient

app = FastAPI()

@app.post("/simulate")
async def simulate(request: Request):
    async with AsyncClient(transport=ASGITransport(app=request.app), base_url="http://internal") as client:
        return (await client.post("/hook", json={})).json()
""",
)

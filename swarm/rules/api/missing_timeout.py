"""Outgoing calls that may wait for ever."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.api.endless_calls import Place, places
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.splices import add_keyword, after_imports, free_name, import_as

CONSTANT = """# for one outgoing call, in seconds; 0: no limit
{name} = float({os}.getenv("{name}", "10")) or None
"""


class MissingTimeout(Rule):
    """An outgoing call has no timeout: `requests` has none by default, or `timeout=None` takes it away.

    Why: an upstream that accepts and never answers holds a worker for ever; a few of them and the service stands
    still. Example: `requests.get(url)`; `httpx.AsyncClient(timeout=None)`; `aiohttp.ClientSession()` waits for
    five minutes.

    The mend: `timeout=HTTP_TIMEOUT_S`, read from the environment, 10 seconds by default, 0 for none as before.
    Other protocols count too (mail, FTP, sockets, SSH, connections to PostgreSQL, Redis
    where a version before 8 is pinned), and so do `requests.get` handed to a thread and wrappers that hand on
    `**options` which nobody gives a timeout.
    What fails after it raises the library's own timeout error, as any connection error. Calls that have a timeout
    are left alone (`httpx` has 5 seconds by itself), and so are those whose `**mapping` may hold one.
    In a program that a person starts, which no request reaches, it is advice: a long upload may be meant to wait.
    So is a session of aiohttp in a module that holds WebSockets or reads streams, which a total time would cut off;
    one whose requests each bring their own timeout is left alone.
    """

    id = "missing-timeout"
    category = "api"
    severity = "high"
    title = "An outgoing call has no timeout"
    cwe = ("CWE-400",)
    sources = ("https://requests.readthedocs.io/en/latest/user/advanced/#timeouts",)
    bad = (
        Example(
            """import requests
from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook():
    requests.post(
        "https://a.example/x",
        json={},
    )
    return requests.get("https://a.example/x").json()
""",
            """import os

import requests
from flask import Flask

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None

app = Flask(__name__)


@app.post("/hook")
def hook():
    requests.post(
        "https://a.example/x",
        json={},
        timeout=HTTP_TIMEOUT_S,
    )
    return requests.get("https://a.example/x", timeout=HTTP_TIMEOUT_S).json()
""",
            "flask",
        ),
        Example(
            """import requests


class Connection:
    def __init__(self):
        self.session = requests.Session()


class Orders(Connection):
    def newest(self):
        return self.session.get("https://a.example/newest").json()
""",
            """import os

import requests

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None


class Connection:
    def __init__(self):
        self.session = requests.Session()


class Orders(Connection):
    def newest(self):
        return self.session.get("https://a.example/newest", timeout=HTTP_TIMEOUT_S).json()
""",
        ),
        Example(
            """import requests


class Shop(requests.Session):
    def request(self, method, url, **kwargs):
        return super().request(method, "https://a.example" + url, **kwargs)


def stock(item):
    return Shop().get(f"/stock/{item}").json()
""",
            """import os

import requests

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None


class Shop(requests.Session):
    def request(self, method, url, **kwargs):
        return super().request(method, "https://a.example" + url, **kwargs)


def stock(item):
    return Shop().get(f"/stock/{item}", timeout=HTTP_TIMEOUT_S).json()
""",
        ),
        Example(
            """import asyncio
import smtplib

import requests


class Crm:
    def __init__(self):
        self.http = requests.Session()

    def ask(self, path, **options):
        return self.http.get("https://crm.example" + path, **options)

    def lead(self, key):
        return self.ask(f"/leads/{key}", headers={"Accept": "application/json"})


async def push(url):
    return await asyncio.to_thread(requests.post, url)


def mail(text):
    with smtplib.SMTP("mail.example", 587) as server:
        server.sendmail("a@a.example", ["b@b.example"], text)
""",
            """import asyncio
import os
import smtplib

import requests

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None


class Crm:
    def __init__(self):
        self.http = requests.Session()

    def ask(self, path, **options):
        return self.http.get("https://crm.example" + path, **{"timeout": HTTP_TIMEOUT_S, **options})

    def lead(self, key):
        return self.ask(f"/leads/{key}", headers={"Accept": "application/json"})


async def push(url):
    return await asyncio.to_thread(requests.post, url, timeout=HTTP_TIMEOUT_S)


def mail(text):
    with smtplib.SMTP("mail.example", 587, timeout=HTTP_TIMEOUT_S) as server:
        server.sendmail("a@a.example", ["b@b.example"], text)
""",
        ),
        Example(
            """import psycopg2


def rows(host):
    return psycopg2.connect(host=host)
""",
            """import os

import psycopg2

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None


def rows(host):
    return psycopg2.connect(host=host, connect_timeout=HTTP_TIMEOUT_S and max(1, round(HTTP_TIMEOUT_S)))
""",
        ),
        Example(
            """import socket

import redis


class Feed:
    def open(self):
        self.line = socket.socket()
        self.line.connect(("feed.example", 7000))
""",
            None,
        ),
        Example(
            """import aiohttp


async def listen(url):
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as events:
        async for event in events:
            yield event.json()
""",
            None,
        ),
        Example(
            """import argparse

import requests
from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook():
    return {}


def main():
    requests.post(argparse.ArgumentParser().parse_args().url, json=[])
""",
            None,
            "flask",
        ),
        Example(
            """import os

import aiohttp
import httpx
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook():
    async with httpx.AsyncClient(timeout=None) as client:
        await client.get("https://a.example/x")
    async with aiohttp.ClientSession() as session:
        await session.get("https://a.example/x")
""",
            """import os

import aiohttp
import httpx
from fastapi import FastAPI

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None

app = FastAPI()


@app.post("/hook")
async def hook():
    async with httpx.AsyncClient(timeout=HTTP_TIMEOUT_S) as client:
        await client.get("https://a.example/x")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)) as session:
        await session.get("https://a.example/x")
""",
            "fastapi",
        ),
    )
    good = (
        """import os
import smtplib
import socket

import psycopg2
import redis
import requests

cache = redis.from_url(os.environ["REDIS_URL"])
base = psycopg2.connect("postgresql://db/crm?connect_timeout=5")


def ask(path, **options):
    return requests.get("https://crm.example" + path, **options)


def lead(key):
    return ask(f"/leads/{key}", timeout=3)


def mail():
    return smtplib.SMTP("mail.example", 25, None, 5)


def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect(("10.0.0.1", 1))
        return line.getsockname()[0]
""",
        """import aiohttp


class Processor:
    async def start(self) -> None:
        self._session = aiohttp.ClientSession()

    async def send(self, url, message):
        async with self._session.post(url, json=message, timeout=aiohttp.ClientTimeout(total=5)) as answer:
            return answer.status
""",
        """import httpx
import requests

client = httpx.AsyncClient()
slow = httpx.Client(timeout=30)


def read(url, **options):
    requests.get(url, timeout=3)
    requests.post(url, **options)
    slow.get(url)
    {}.get("timeout", None)


async def ask(url):
    return await client.get(url)
""",
        """import requests
from requests.adapters import HTTPAdapter


class PatientAdapter(HTTPAdapter):
    def send(self, request, **kwargs):
        kwargs["timeout"] = kwargs.get("timeout") or 5
        return super().send(request, **kwargs)


class Shop:
    def __init__(self):
        self._session = requests.Session()
        adapter = PatientAdapter(max_retries=3)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def orders(self):
        return self._session.get("https://shop.example/orders").json()
""",
        """import requests


class Patient(requests.Session):
    def request(self, *args, **kwargs):
        kwargs.setdefault("timeout", 10)
        return super().request(*args, **kwargs)


http = Patient()


def read(url):
    return http.get(url)
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every call without a limit in any module."""
        for module in index.tree.modules.values():
            seen: dict[str, int] = {}
            for place in places(index, module):
                yield self._finding(module, place, seen)

    def _finding(self, module: Module, place: Place, seen: dict[str, int]) -> Finding:
        key = f"{place.owner}:{ast.unparse(place.call.func)}"
        seen[key] = seen.get(key, 0) + 1
        return self.finding(
            module, place.call,
            evidence=f"{ast.unparse(place.call.func)}(…) in {place.owner} waits "
            + ("for five minutes" if place.is_aiohttp and place.given is None else "without an end"),
            recommendation="Give every outgoing call a timeout"
            + (", and streams one for each read (sock_read)" if place.streams else ""),
            anchor=key + (f"#{seen[key]}" if seen[key] > 1 else ""),
            mendable=not place.by_hand and not place.streams and bool(place.keyword),
            severity="low" if place.by_hand or place.whole else "medium" if place.is_aiohttp else None,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Give the findings' calls a timeout from the environment."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        os_name, imported = import_as(module, "os")
        edits: list[Edit] = [imported] if imported else []
        name = free_name(module, "HTTP_TIMEOUT_S")
        seen: dict[str, int] = {}
        for place in places(index, module):
            if self._finding(module, place, seen).id not in wanted:
                continue
            value = f"{name} and max(1, round({name}))" if place.whole else name
            if place.is_aiohttp:
                root = ast.unparse(place.call.func).rpartition(".")[0]
                if not root:
                    root, more = import_as(module, "aiohttp")
                    edits += [more] if more else []
                value = f"{root}.ClientTimeout(total={name})"
            if place.given is not None:
                edits.append(Edit(*module.span(place.given.value), value))
            elif place.spread is not None:
                given = module.segment(place.spread.value)
                edits.append(Edit(*module.span(place.spread.value), f'{{"timeout": {value}, **{given}}}'))
            else:
                edits.append(add_keyword(module, place.call, f"{place.keyword}={value}"))
        edits.append(after_imports(module, CONSTANT.format(name=name, os=os_name)))
        return Mend(
            "Give outgoing calls a timeout",
            "A call that is never answered now ends after HTTP_TIMEOUT_S seconds (10 by default, 0: never).",
            (edited(module, edits),),
        )

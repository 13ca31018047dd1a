"""Answers and sessions that nobody closes: connections run out."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from swarm.analysis.index import Function, Index
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.request_code import is_kept_by_hand, request_functions
from swarm.rules.rule import Example, Rule

SESSIONS = frozenset({
    "aiohttp.ClientSession", "requests.Session", "requests.sessions.Session", "httpx.Client", "httpx.AsyncClient",
})  # fmt: skip
OPENED = frozenset({"urllib.request.urlopen", "open", "socket.create_connection", "http.client.HTTPSConnection",
                    "http.client.HTTPConnection", "smtplib.SMTP", "smtplib.SMTP_SSL", "ftplib.FTP"})  # fmt: skip
STREAMS = frozenset({"requests.get", "requests.post", "requests.put", "requests.request", "requests.patch"})
CLOSERS = ("close", "aclose", "quit", "release", "__exit__", "__aexit__")


class NeverClosed(Rule):
    """A request opens a session, a streamed answer or a connection in a variable, and no path closes it.

    Why: each holds a socket until the garbage collector comes; under load the process runs out of sockets or the
    upstream of patience. Example: `session = aiohttp.ClientSession()` without `async with`, `requests.get(url,
    stream=True)` whose answer is never closed.

    What to do: `with`, or `async with`, around its use. No patch is written: how long it is needed is the code's to
    say.
    """

    id = "never-closed"
    category = "api"
    severity = "low"
    title = "A session or an answer is never closed"
    cwe = ("CWE-404", "CWE-772")
    sources = ("https://requests.readthedocs.io/en/latest/user/advanced/#body-content-workflow",)
    bad = (
        Example(
            """import aiohttp
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook(event: dict):
    session = aiohttp.ClientSession()
    answer = await session.post("https://a.example", json=event)
    return {"status": answer.status}
""",
            None,
            "fastapi",
        ),
        Example(
            """import requests
from flask import Flask

app = Flask(__name__)


@app.get("/file")
def file():
    answer = requests.get("https://a.example/file", stream=True, timeout=5)
    return answer.headers["etag"]
""",
            None,
            "flask",
        ),
    )
    good = (
        """import urllib.request
from contextlib import closing

import aiohttp
import httpx
import requests
from fastapi import FastAPI

app = FastAPI()
session = requests.Session()


def opened():
    return httpx.Client(timeout=5)


@app.post("/hook")
async def hook(event: dict):
    async with aiohttp.ClientSession() as mine:
        await mine.post("https://a.example", json=event)
    client = httpx.AsyncClient(timeout=5)
    try:
        await client.post("https://a.example", json=event)
    finally:
        await client.aclose()
    answer = requests.get("https://a.example", stream=True, timeout=5)
    with closing(answer), urllib.request.urlopen("https://a.example") as other:
        return other.read() + answer.content
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """What is opened into a local variable and neither closed, handed on nor given back."""
        for function in request_functions(index):
            for call, name, what in _opened(index, function):
                if not _is_settled(index, function, name):
                    yield self.finding(
                        function.module, call,
                        evidence=f"{function.qualname} opens {what} as {name} and closes it nowhere",
                        recommendation="Use it in a `with` block",
                        anchor=f"{function.qualname}:{name}",
                        mendable=False,
                    )  # fmt: skip


def _opened(index: Index, function: Function) -> Iterator[tuple[ast.Call, str, str]]:
    for node in index.own_nodes(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                pass
            case _:
                continue
        dotted = index.resolve(function.module, call.func) or ast.unparse(call.func)
        streams = any(k.arg == "stream" and ast.unparse(k.value) == "True" for k in call.keywords)
        if is_kept_by_hand(function.module, call, function):
            continue
        if dotted in SESSIONS | OPENED or (dotted in STREAMS and streams):
            yield call, name, f"`{ast.unparse(call.func)}(…)`"


def _is_settled(index: Index, function: Function, name: str) -> bool:
    """Whether the variable is closed, used in a `with`, returned, yielded, stored or handed to other code."""
    module = function.module
    for node in ast.walk(function.node):
        if not isinstance(node, ast.Name) or node.id != name or isinstance(node.ctx, ast.Store):
            continue
        parent = module.parent(node)
        if isinstance(parent, ast.Attribute):
            if parent.attr in CLOSERS:
                return True
            continue
        return True  # its own name, somewhere else than before a dot: it is handed on
    return False

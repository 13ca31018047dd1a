"""Answers and sessions that nobody closes: connections run out."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from swarm.analysis.databases.database_kinds import DRIVER_CONNECTIONS
from swarm.analysis.databases.ownership import is_fresh
from swarm.analysis.index import ClassInfo, Function, Index
from swarm.analysis.module import unparsed, walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.request_code import is_kept_by_hand, request_functions
from swarm.rules.rule import Example, Rule

SESSIONS = frozenset({
    "aiohttp.ClientSession", "requests.Session", "requests.sessions.Session", "httpx.Client", "httpx.AsyncClient",
})  # fmt: skip
OPENED = frozenset({"urllib.request.urlopen", "open", "socket.create_connection", "http.client.HTTPSConnection",
                    "http.client.HTTPConnection", "smtplib.SMTP", "smtplib.SMTP_SSL", "ftplib.FTP"})  # fmt: skip
# their `with` ends a transaction, and does not close
WITHOUT_CLOSE = frozenset({"sqlite3.connect", "psycopg2.connect"})
DATABASES = WITHOUT_CLOSE | {"pymysql.connect", "MySQLdb.connect", "asyncpg.connect", "psycopg.connect"}
_OPENING = SESSIONS | OPENED | DATABASES
STREAMS = frozenset({"requests.get", "requests.post", "requests.put", "requests.request", "requests.patch"})
CLOSERS = ("close", "aclose", "quit", "release", "__exit__", "__aexit__")


class NeverClosed(Rule):
    """A request opens a session, a streamed answer or a connection in a variable, and no path closes it, or not each.

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
        """What is opened into a local variable and not closed on each way out, handed on nor given back."""
        for function in request_functions(index):
            for call, name, what in _opened(index, function):
                how = _left_open(index, function, call, name)
                if how:
                    yield self.finding(
                        function.module, call,
                        evidence=f"{function.qualname} opens {what} as {name} and {how}",
                        recommendation="Use it in a `with` block",
                        anchor=f"{function.qualname}:{name}",
                        mendable=False,
                    )  # fmt: skip


def _opened(index: Index, function: Function) -> Iterator[tuple[ast.Call, str, str]]:
    for node in index.own_of(function, ast.Assign):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Await(value=ast.Call() as call)):
                pass
            case _:
                continue
        dotted = index.resolve(function.module, call.func) or unparsed(call.func)
        what = f"`{unparsed(call.func)}(…)`"
        if dotted in index.classes and _opens_for_itself(index, index.classes[dotted]):
            what = f"a session of {what}"
        elif dotted not in _OPENING and not (dotted in STREAMS and _streams(call)) \
                and not _hands_out(index, function, call):  # fmt: skip
            continue
        if not is_kept_by_hand(function.module, call, function):
            yield call, name, what


def _hands_out(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether a function of the target's opens a new connection of a driver's for each who calls it."""
    kind = index.kinds.of(function.module, call) or ""
    maker = index.resolve_call(function.module, call) if kind in DRIVER_CONNECTIONS else None
    return maker is not None and is_fresh(index, function.module, call)


def _streams(call: ast.Call) -> bool:
    return any(k.arg == "stream" and unparsed(k.value) == "True" for k in call.keywords)


def _opens_for_itself(index: Index, info: ClassInfo) -> bool:
    """Whether making an object of the class opens a session in its `__init__`."""
    init = info.methods.get("__init__")
    if init is None or info.node.bases or {"__exit__", "__aexit__", "__del__"} & info.methods.keys():
        return False
    for node in index.own_nodes(init):
        match node:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"))], value=ast.Call(func=func)):
                if index.resolve(info.module, func) in SESSIONS:
                    return True
    return False


def _left_open(index: Index, function: Function, call: ast.Call, name: str) -> str:
    """How it is left open: "closes it nowhere", by an answer before the close; "" where it is closed or handed on."""
    module = function.module
    closes: list[ast.Name] = []
    dotted = index.resolve(module, call.func) or ""
    for node in walk(function.node):
        if not isinstance(node, ast.Name) or node.id != name or isinstance(node.ctx, ast.Store):
            continue
        parent = module.parent(node)
        if isinstance(parent, ast.Attribute):
            closes += [node] if parent.attr in CLOSERS else []
        elif not (isinstance(parent, ast.withitem) and dotted in WITHOUT_CLOSE):
            return ""  # its own name, somewhere else than before a dot: it is handed on
    if not closes:
        return "closes it nowhere"
    if any(_is_sure(module, close, function) for close in closes):
        return ""
    first = min(close.lineno for close in closes)
    leaves = any(
        isinstance(node, ast.Return) and call.lineno < node.lineno < first for node in index.own_nodes(function)
    )
    return "leaves it open where it returns before the close" if leaves and len(closes) == 1 else ""


def _is_sure(module: Module, close: ast.Name, function: Function) -> bool:
    """Whether a close stands in a `finally`, or in a function of its own that runs later."""
    inner: ast.AST = close
    for around in module.ancestors(close):
        if around is function.node:
            return False
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return True
        if isinstance(around, ast.Try) and inner in around.finalbody:
            return True
        inner = around
    return False

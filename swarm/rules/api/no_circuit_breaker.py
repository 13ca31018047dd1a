"""Clients that go on calling an upstream that fails, or that has said that its quota is used up."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.placing import free_file, import_edit, main_app, text_mentions
from swarm.rules.writing.reaching import import_of
from swarm.rules.writing.splices import free_name, names_in

STEM = "upstream_guard"
MARK = "UPSTREAM_BREAKER_FAILURES"
TEXT = Path(__file__).parent / "upstream_guard.txt"
CLIENTS = frozenset({"httpx.AsyncClient", "httpx.Client", "requests.Session"})
_KNOWN = r"pybreaker|aiobreaker|circuit_?breaker|purgatory|hyx\.|circuit_open"
_TEST_CLIENT = ("transport", "app")  # a client of the tests, or one whose transport may have rules of its own


class NoCircuitBreaker(Rule):
    """Calls to an upstream go on while it fails: each webhook waits for its time limit, and nothing rests.

    Why: when a system is down, every request that needs it waits as long as it may, workers and connections are used
    up, and what does not need that system fails as well. And where an answer says that the quota is used up, the next
    calls only earn refusals. Example: `client = httpx.AsyncClient()` with no breaker around its calls.

    The mend: `guarded(httpx.AsyncClient())` from a small module of the standard library. After
    UPSTREAM_BREAKER_FAILURES failures of a host in a row (10; 0 turns it off) its calls fail at once with the
    library's own connection error, for UPSTREAM_BREAKER_PAUSE_S (15); existing handling of errors sees what it knows.
    Where answers carry a used-up X-RateLimit-Remaining, RateLimit-Remaining or a 429 with Retry-After, the next call
    of the same credentials waits, UPSTREAM_QUOTA_WAIT_S at most (2; 0 turns it off). For clients of httpx and
    sessions of requests; calls by the module (`requests.get`) and aiohttp are left as they are.
    """

    id = "no-circuit-breaker"
    category = "api"
    severity = "low"
    title = "Nothing spares an upstream that fails"
    order = 90
    sources = ("https://martinfowler.com/bliki/CircuitBreaker.html",)
    bad = (
        Example(
            """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(
    timeout=3,
)


@app.post("/hook")
async def hook(event: dict):
    answer = await client.put(f"https://crm.example/contacts/{event['id']}", json=event)
    return {"status": answer.status_code}
""",
            """import httpx
from fastapi import FastAPI

from upstream_guard import guarded

app = FastAPI()
client = guarded(httpx.AsyncClient(
    timeout=3,
))


@app.post("/hook")
async def hook(event: dict):
    answer = await client.put(f"https://crm.example/contacts/{event['id']}", json=event)
    return {"status": answer.status_code}
""",
            "fastapi",
        ),
        Example(
            """import requests
from flask import Flask, request

app = Flask(__name__)


class Crm:
    def __init__(self, base: str) -> None:
        self.base = base
        self.session = requests.Session()

    def tag(self, lead: str) -> None:
        self.session.put(f"{self.base}/leads/{lead}", json={"tag": "new"}, timeout=3).raise_for_status()


crm = Crm("https://crm.example")


@app.post("/hook")
def hook():
    crm.tag(request.get_json()["id"])
    return "", 204
""",
            """import requests
from flask import Flask, request

from upstream_guard import guarded

app = Flask(__name__)


class Crm:
    def __init__(self, base: str) -> None:
        self.base = base
        self.session = guarded(requests.Session())

    def tag(self, lead: str) -> None:
        self.session.put(f"{self.base}/leads/{lead}", json={"tag": "new"}, timeout=3).raise_for_status()


crm = Crm("https://crm.example")


@app.post("/hook")
def hook():
    crm.tag(request.get_json()["id"])
    return "", 204
""",
            "flask",
        ),
        Example(
            """import requests
from flask import Flask, request

app = Flask(__name__)
http = requests.Session()


def orders(number):
    answer = http.get(f"https://crm.example/orders/{number}", timeout=3)
    if answer.status_code != 200:
        return []
    return answer.json()


@app.post("/hook")
def hook():
    return {"orders": orders(request.get_json()["number"])}
""",
            None,
            "flask",
        ),
    )
    good = (
        # a breaker is there
        """import httpx
import pybreaker
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()
breaker = pybreaker.CircuitBreaker(fail_max=5)


@app.post("/hook")
async def hook(event: dict):
    return (await breaker.call_async(client.get, "https://crm.example")).json()
""",
        # its transport may have rules of its own; the other is never used on a request's path
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=3))


@app.post("/hook")
async def hook(event: dict):
    return (await client.get("https://crm.example")).json()


def nightly():
    with httpx.Client() as other:
        return other.get("https://crm.example")
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every client that a request uses, where no breaker is known anywhere in the target."""
        if text_mentions(index, _KNOWN) and _existing(index) is None:
            return
        for module, call, anchor in _clients(index):
            yield self.finding(
                module, call,
                evidence=f"{unparsed(call.func)} is made without anything that spares a failing upstream",
                recommendation="Let calls fail at once for a while after several failures in a row, and wait where "
                "the quota is used up",
                anchor=anchor,
                mendable=not _goes_on_by_status(index, module),
            )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Put a guard around each client that the findings name."""
        module = index.tree.modules[findings[0].file]
        anchors = {finding.anchor for finding in findings}
        calls = [call for where, call, anchor in _clients(index) if where is module and anchor in anchors]
        home, changes = _existing(index), []
        if home is None:
            app = main_app(index)
            home_beside = app.module if app is not None else module
            path = free_file(index.tree, home_beside.path.rpartition("/")[0], STEM)
            changes.append(FileChange(path, None, TEXT.read_text(encoding="utf-8")))
        else:
            home_beside, path = home, home.path
        stem = path.rpartition("/")[2].removesuffix(".py")
        name = "guarded" if "guarded" not in names_in(module) else free_name(module, "guarded_client")
        wanted = name if name == "guarded" else f"guarded as {name}"
        edits = [import_edit(index.tree, module, import_of(index.tree, module, home_beside, stem, wanted))]
        for call in calls:
            start, end = module.span(call)
            edits += [Edit(start, start, f"{name}("), Edit(end, end, ")")]
        return Mend(
            "Spare upstreams that fail or whose quota is used up",
            "After several failures in a row calls to a host fail at once for a while, with the library's own "
            "connection error; where the quota is used up, the next call waits. Bounds come from the environment.",
            (edited(module, edits), *changes),
        )


def _existing(index: Index) -> Module | None:
    """The module that an earlier mend put there."""
    for path, module in index.tree.modules.items():
        if path.rpartition("/")[2].startswith(STEM) and MARK in module.text:
            return module
    return None


def _clients(index: Index) -> Iterator[tuple[Module, ast.Call, str]]:
    """The constructions of clients in modules whose calls lie on a request's path, each with its anchor."""
    calling = {function.module for function in index.reachable() if effects_cache(index).of(function).http}
    for module in sorted(calling, key=lambda module: module.path):
        seen: dict[str, int] = {}
        for call in module.nodes(ast.Call):
            if index.resolve(module, call.func) not in CLIENTS or is_added(module):
                continue
            if any(keyword.arg in _TEST_CLIENT for keyword in call.keywords) or _is_guarded(module, call):
                continue
            around = index.enclosing(module, call)
            if around is not None and around not in index.reachable() and around.name != "__init__":
                continue
            place = around.qualname if around is not None else "module"
            seen[place] = seen.get(place, 0) + 1
            yield module, call, f"client of {place}" + (f"#{seen[place]}" if seen[place] > 1 else "")


def _goes_on_by_status(index: Index, module: Module) -> bool:
    """Whether some function goes on without an answer by its status alone: an error in its place would end it."""
    return any(
        function.module is module
        and effects_cache(index).of(function).http
        and any(_asks_status(node) for node in index.own_nodes(function))
        and not index.own_of(function, ast.Try)
        for function in index.reachable()
    )


def _asks_status(node: ast.AST) -> bool:
    """`if answer.status_code != 200: return []`, and no error raised by it."""
    if not isinstance(node, ast.If) or any(isinstance(part, ast.Raise) for part in node.body):
        return False
    asked = any(
        isinstance(part, ast.Attribute) and part.attr in ("status_code", "status", "ok", "is_success", "is_error")
        for part in walk(node.test)
    )
    return asked and any(isinstance(part, ast.Return | ast.Continue) for part in node.body)


def _is_guarded(module: Module, call: ast.Call) -> bool:
    around = module.parent(call)
    return isinstance(around, ast.Call) and STEM in (module.resolve(around.func) or "")

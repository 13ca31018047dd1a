"""Idempotent calls that give up at the first hiccup."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.effects import HttpCall, http_call
from swarm.analysis.index import Function, Index
from swarm.analysis.model_calls import asks_model
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.clients import construction
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.splices import after_imports, before_definitions, free_name, import_as, import_from, plain_logger

RETRYING = ("tenacity", "stamina", "backoff", "retrying", "retry", "aiohttp_retry", "httpx_retries", "urllib3.util")
NO_RETRY = re.compile(r"retr|probe|ping|health|poll", re.IGNORECASE)  # what is asked again anyway
SETTINGS = """# how often an idempotent call is tried, 1: once; and the seconds that its tries may take together
{attempts} = int({os}.getenv("{attempts}", "3"))
{budget} = float({os}.getenv("{budget}", "5"))
"""
RETRY = '''{define} {name}(call):
    """Repeat an idempotent call on a lost connection, a 429 or a 5xx that passes, with growing pauses."""
    started = {time}.monotonic()
    attempt = 1
    while True:
        pause_s = {random}.uniform(0.5, 1.0) * min(0.1 * 2**attempt, 2.0)
        response = None
        try:
            response = {awaiting}call()
            if response.status_code not in (429, 500, 502, 503, 504, 529):
                return response
            pause_s = max(pause_s, {asked}(response))
        except {errors} as error:
            left_alone = getattr(error, "is_left_alone", False)  # a breaker is open: the upstream was not asked
            if left_alone or attempt >= {attempts} or {time}.monotonic() - started + pause_s > {budget}:
                raise
        if attempt >= {attempts} or {time}.monotonic() - started + pause_s > {budget}:
            return response
        {logger}.warning("%s, trying again in %.1f s", "no answer" if response is None else response, pause_s)
        attempt += 1
        {sleep}(pause_s)
'''
ASKED = '''def {asked}(response):
    """The pause that an answer asks for, in seconds (`Retry-After` is a number or a date); 0 where for none."""
    asked = response.headers.get("Retry-After", "")
    try:
        return float(asked)
    except ValueError:
        pass
    try:
        return {parse}(asked).timestamp() - {time}.time()
    except (TypeError, ValueError):
        return 0.0
'''


@dataclass(frozen=True, slots=True)
class _Place:
    """A call that may be repeated; `way` is None where it is only advised."""

    function: Function
    request: HttpCall
    mendable: bool


class MissingRetry(Rule):
    """An idempotent call to another service (GET, PUT, a question to a model) is tried once, whatever happens.

    Why: connections drop and servers answer 503 for a moment; each such moment becomes a failed webhook, though
    the same call a tenth of a second later would do. Example: `await client.get(url)` with no retry around it.

    The mend: a small function in the module tries again on connection errors, 429, 500–504 and 529, with growing
    random pauses, as `Retry-After` asks (seconds or a date), up to HTTP_RETRY_ATTEMPTS tries (3; 1 or 0: none) within
    HTTP_RETRY_BUDGET_S seconds (5). Each further try is logged; a pause that would end later is not begun. In the end
    the last answer is returned or the last error raised, as it would have been. Of POSTs only a question to a model
    API, which changes nothing there, and one with an idempotency key; never a PATCH or a DELETE (its second answer
    differs); never where something retries already: a retry library, a loop around the call, a transport or adapter
    with retries.
    """

    id = "missing-retry"
    category = "api"
    severity = "medium"
    title = "An idempotent call is not retried"
    sources = ("https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/",)
    bad = (
        Example(
            """import os

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


@app.get("/stock")
async def stock():
    answer = await client.get(
        "https://a.example/stock",
        headers={"Accept": "application/json"},
    )
    return answer.json()
""",
            """import asyncio
import logging
import os
import random
import time
from email.utils import parsedate_to_datetime

import httpx
from fastapi import FastAPI

logger = logging.getLogger(__name__)

# how often an idempotent call is tried, 1: once; and the seconds that its tries may take together
HTTP_RETRY_ATTEMPTS = int(os.getenv("HTTP_RETRY_ATTEMPTS", "3"))
HTTP_RETRY_BUDGET_S = float(os.getenv("HTTP_RETRY_BUDGET_S", "5"))

app = FastAPI()
client = httpx.AsyncClient()


"""
            + ASKED.format(asked="_asked_pause_s", parse="parsedate_to_datetime", time="time")
            + "\n\n"
            + RETRY.format(
                define="async def", name="_with_retries", awaiting="await ", errors="httpx.TransportError",
                attempts="HTTP_RETRY_ATTEMPTS", budget="HTTP_RETRY_BUDGET_S", time="time", random="random",
                sleep="await asyncio.sleep", asked="_asked_pause_s", logger="logger",
            )
            + """

@app.get("/stock")
async def stock():
    answer = await _with_retries(lambda: client.get(
        "https://a.example/stock",
        headers={"Accept": "application/json"},
    ))
    return answer.json()
""",
            "fastapi",
        ),
        Example(
            """import requests
from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook():
    requests.put("https://a.example/state", json={"open": True}, timeout=3)
    requests.post("https://a.example/orders", json={}, timeout=3)
    return "", 204
""",
            """import logging
import os
import random
import time
from email.utils import parsedate_to_datetime

import requests
from flask import Flask

logger = logging.getLogger(__name__)

# how often an idempotent call is tried, 1: once; and the seconds that its tries may take together
HTTP_RETRY_ATTEMPTS = int(os.getenv("HTTP_RETRY_ATTEMPTS", "3"))
HTTP_RETRY_BUDGET_S = float(os.getenv("HTTP_RETRY_BUDGET_S", "5"))

app = Flask(__name__)


"""
            + ASKED.format(asked="_asked_pause_s", parse="parsedate_to_datetime", time="time")
            + "\n\n"
            + RETRY.format(
                define="def", name="_with_retries", awaiting="",
                errors="(requests.ConnectionError, requests.Timeout)",
                attempts="HTTP_RETRY_ATTEMPTS", budget="HTTP_RETRY_BUDGET_S", time="time", random="random",
                sleep="time.sleep", asked="_asked_pause_s", logger="logger",
            )
            + """

@app.post("/hook")
def hook():
    _with_retries(lambda: requests.put("https://a.example/state", json={"open": True}, timeout=3))
    requests.post("https://a.example/orders", json={}, timeout=3)
    return "", 204
""",
            "flask",
        ),
    )  # fmt: skip
    good = (
        """import httpx
import stamina
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()
patient = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=3))


@stamina.retry(on=httpx.HTTPError, attempts=3)
async def stock():
    return (await client.get("https://a.example/stock")).json()


@app.post("/hook")
async def hook():
    await client.post("https://a.example/orders", json={})
    await client.post("https://a.example/v1/messages", json={"text": "hello"})
    await patient.get("https://a.example/orders")
    for attempt in range(3):
        try:
            return (await client.get("https://a.example/prices")).json()
        except httpx.HTTPError:
            continue
    return await stock()
""",
        """import httpx
from fastapi import FastAPI

app = FastAPI()


class Stock:
    def __init__(self):
        self.client = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=3))

    async def of(self, item):
        return (await self.client.get(f"https://a.example/{item}")).json()


@app.post("/hook")
async def hook():
    return await Stock().of("tea")
""",
        """import requests
from flask import Flask
from requests.adapters import HTTPAdapter

app = Flask(__name__)
http = requests.Session()
http.mount("https://", HTTPAdapter(max_retries=3))


@app.post("/hook")
def hook():
    return http.get("https://a.example/stock", timeout=3).json()
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every idempotent call on a request's path that nothing retries."""
        for function in index.functions:
            if index.on_request_path(function.module, function.node.body[0]):
                seen: dict[str, int] = {}
                for place in _places(index, function):
                    yield self._finding(place, seen)

    def _finding(self, place: _Place, seen: dict[str, int]) -> Finding:
        key = f"{place.function.qualname}:{place.request.verb}"
        seen[key] = seen.get(key, 0) + 1
        return self.finding(
            place.function.module, place.request.call,
            evidence=f"the {place.request.verb} in {place.function.qualname} is tried once",
            recommendation="Repeat idempotent calls on connection errors, 429 and passing 5xx, with growing pauses",
            anchor=key + (f"#{seen[key]}" if seen[key] > 1 else ""),
            mendable=place.mendable,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Wrap the findings' calls in a retrying function of the module."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        chosen: list[_Place] = []
        for function in index.functions:
            if function.module is module:
                seen: dict[str, int] = {}
                places = _places(index, function)
                chosen += [place for place in places if self._finding(place, seen).id in wanted]
        return Mend(
            "Retry idempotent calls",
            "Lost connections, 429 and passing 5xx are tried again, with growing random pauses, within bounds from "
            "the environment; the last answer or error is what the caller sees, as before.",
            (edited(module, _rewrite(index, module, chosen)),),
        )


def _rewrite(index: Index, module: Module, chosen: Sequence[_Place]) -> list[Edit]:
    edits: list[Edit] = []
    names: dict[str, str] = {}
    for library in ("os", "random", "time"):
        names[library], imported = import_as(module, library)
        edits += [imported] if imported else []
    attempts, budget = free_name(module, "HTTP_RETRY_ATTEMPTS"), free_name(module, "HTTP_RETRY_BUDGET_S")
    parse, imported = import_from(module, "email.utils", "parsedate_to_datetime")
    logger, logged = plain_logger(module)
    asked = free_name(module, "_asked_pause_s")
    edits += [*([imported] if imported else []), *logged]
    edits.append(before_definitions(module, ASKED.format(asked=asked, parse=parse, time=names["time"])))
    edits.append(after_imports(module, SETTINGS.format(attempts=attempts, budget=budget, os=names["os"])))
    groups: dict[tuple[bool, str], list[_Place]] = {}
    for place in chosen:
        groups.setdefault((place.request.is_async, place.request.library), []).append(place)
    wanted = ["_with_retries", "_with_retries_sync", "_with_retries_requests"]
    for number, ((is_async, library), places) in enumerate(groups.items()):
        root, imported = import_as(module, library)
        edits += [imported] if imported else []
        sleep = f"{names['time']}.sleep"
        if is_async:
            loop, imported = import_as(module, "asyncio")
            edits += [imported] if imported else []
            sleep = f"await {loop}.sleep"
        errors = f"{root}.TransportError" if library == "httpx" else f"({root}.ConnectionError, {root}.Timeout)"
        name = free_name(module, wanted[number % 3])
        code = RETRY.format(
            define="async def" if is_async else "def", name=name, awaiting="await " if is_async else "",
            errors=errors, attempts=attempts, budget=budget, time=names["time"], random=names["random"], sleep=sleep,
            asked=asked, logger=logger,
        )  # fmt: skip
        edits.append(before_definitions(module, code))
        for place in places:
            start, end = module.span(place.request.call)
            edits += [Edit(start, start, f"{name}(lambda: "), Edit(end, end, ")")]
    return edits


def _places(index: Index, function: Function) -> Iterator[_Place]:
    module = function.module
    checked = False
    for call in index.calls(function):
        request = http_call(index, module, call)
        if request is not None and not checked:
            checked = True
            if _retries_already(module, function) or _adapters_retry(index):
                return
        if request is None or request.library == "aiohttp" or _is_send(call) or _is_inside_retry(module, call):
            continue
        has_key = any(isinstance(node, ast.Constant) and isinstance(node.value, str)
                      and node.value.lower() == "idempotency-key" for node in ast.walk(call))  # fmt: skip
        may_repeat = request.verb in ("GET", "PUT", "HEAD") or asks_model(index, module, request)
        if not may_repeat and not (request.verb == "POST" and has_key):
            continue
        if request.owner is not None and _transport_retries(index, module, request.owner):
            continue
        awaited = isinstance(module.parent(call), ast.Await)
        streamed = any(keyword.arg in ("stream", "files", "content", "data") for keyword in call.keywords)
        waits = any(isinstance(node, ast.Await | ast.Yield | ast.NamedExpr) for node in ast.walk(call))
        yield _Place(function, request, awaited == request.is_async and not streamed and not waits)


def _is_send(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in ("send", "stream")


def _retries_already(module: Module, function: Function) -> bool:
    words = [ast.unparse(decorator).lower() for decorator in function.node.decorator_list]
    names = ("retry", "backoff", "stamina", "tenacity")
    if any(name in word for word in words for name in names):
        return True
    return any(origin.startswith(RETRYING) for origin in module.imports.values()) or bool(
        NO_RETRY.search(function.name)
    )


def _adapters_retry(index: Index) -> bool:
    """Whether sessions of the tree are given an adapter with retries."""
    for module in index.tree.modules.values():
        adapters = (keyword.arg == "max_retries" for call in module.nodes(ast.Call) for keyword in call.keywords)
        if any(origin.endswith(".Retry") for origin in module.imports.values()) or any(adapters):
            return True
    return False


def _is_inside_retry(module: Module, call: ast.Call) -> bool:
    """Inside a loop with a `try` around the call, or a lambda that something else calls."""
    seen_try = False
    for around in module.ancestors(call):
        if isinstance(around, ast.Lambda):
            return True
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        seen_try = seen_try or isinstance(around, ast.Try)
        if isinstance(around, ast.For | ast.While | ast.AsyncFor) and seen_try:
            return True
    return False


def _transport_retries(index: Index, module: Module, owner: ast.expr) -> bool:
    """Whether the client is built with a transport of its own (it may retry)."""
    built = construction(index, module, owner)
    return built is not None and any(keyword.arg in ("transport", "mounts") for keyword in built.keywords)

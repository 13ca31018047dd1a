"""An upstream's 429 that is met without a look at when the quota is free again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Rule

TELLING = ("retry-after", "ratelimit-reset", "ratelimit-remaining", "rate-limit", "retry_after")
STATUSES = ("status_code", "status", "code")
TOO_MANY = ("TOO_MANY_REQUESTS", "HTTP_429_TOO_MANY_REQUESTS", "too_many_requests", "too_many")
FIXED = re.compile(
    r"\b(?:retry|Retrying)\((?![^@]*\bwait_(?:exponential|random|chain|combine|incrementing))[^@]*\bretry_if"
)
WRAPPERS = ("tenacity", "stamina", "backoff", "urllib3.util.retry", "urllib3.util", "aiolimiter", "pyrate_limiter")


class IgnoredQuota(Rule):
    """The code knows that an upstream may answer 429 and sends again, but nowhere reads when it may.

    Why: who asks again at once uses up the next window too; some senders' penalties grow. The answer says how long
    to wait (`Retry-After`, `X-RateLimit-Reset`). Example: `if answer.status_code == 429: time.sleep(1)`.

    What to do: wait as long as `Retry-After` says, no longer than the request may take. Where the whole service has
    no such care, no-circuit-breaker's mend brings it.
    """

    id = "ignored-quota"
    category = "api"
    severity = "low"
    title = "A 429 is answered without a look at Retry-After"
    sources = ("https://www.rfc-editor.org/rfc/rfc9110#field.retry-after",)
    bad = (
        Example(
            """import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.post("/hook")
async def hook(event: dict):
    for _ in range(3):
        answer = await client.put("https://crm.example/1", json=event)
        if answer.status_code != 429:
            return {"status": answer.status_code}
        await asyncio.sleep(1)
""",
            None,
            "fastapi",
        ),
        Example(  # another function of the module reads it
            """import time

import requests
from flask import Flask, request

app = Flask(__name__)
session = requests.Session()


def patient(url):
    while (answer := session.get(url, timeout=5)).status_code == 429:
        time.sleep(int(answer.headers.get("Retry-After", 1)))
    return answer


def hurried(url):
    while True:
        answer = session.get(url, timeout=5)
        if answer.status_code == 429:
            time.sleep(1)
            continue
        return answer


@app.post("/hook")
def hook():
    return hurried("https://a.example").json() | patient("https://b.example").json()
""",
            None,
            "flask",
        ),
    )
    good = (
        """import time

import requests
from flask import Flask, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    answer = requests.put("https://crm.example/1", json=request.get_json(), timeout=5)
    if answer.status_code == 429:
        time.sleep(float(answer.headers.get("Retry-After", 1)))
        answer = requests.put("https://crm.example/1", json=request.get_json(), timeout=5)
    return "", answer.status_code


@app.post("/other")
def other():
    if request.content_length > 1000:
        return "", 429
    return ""
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Comparisons of a status with 429 beside a pause or a loop, in functions that never read the header."""
        for module in index.tree.modules.values():
            if not index.routes or not any(word in module.text for word in ("429", *TOO_MANY)):
                continue
            told = any(word in module.text.lower() for word in TELLING)
            if _has_wrapper(module):
                continue
            for compared in _comparisons(module):
                function = index.enclosing(module, compared)
                if function is None or (told and _asks_when(index, function)):
                    continue
                if index.on_request_path(module, compared):
                    yield self.finding(
                        module, compared,
                        evidence=f"{function.qualname} meets a 429 and reads no Retry-After",
                        recommendation="Wait as long as Retry-After says before the call is made again",
                        anchor=f"{function.qualname}:429",
                        mendable=False,
                    )  # fmt: skip


def _asks_when(index: Index, function: Function) -> bool:
    """Whether the function, what it runs, or what runs it reads when it may send again."""
    around = [*index.reaches(function), *index.callers(function)]
    texts = [one.module.segment(one.node).lower() for one in around]
    texts += [unparsed(mark).lower() for mark in function.node.decorator_list]
    return any(word in text for text in texts for word in TELLING)


def _has_wrapper(module: Module) -> bool:
    """Whether a library of retries looks after pauses: with ones that grow, or with what an answer says."""
    if FIXED.search(module.text):
        return False
    return any(origin.startswith(WRAPPERS) for origin in module.imports.values())


def _comparisons(module: Module) -> Iterator[ast.Compare]:
    asked = {unparsed(part) for call in module.nodes(ast.Call) for part in _predicates(call)}
    for node in module.nodes(ast.Compare):
        sides = [node.left, *node.comparators]
        parts = [part for side in sides for part in walk(side)]
        asks = any(isinstance(side, ast.Attribute) and side.attr in STATUSES for side in sides)
        if not asks or not any(_is_429(part) for part in parts):
            continue
        function = module.enclosing_function(node)
        loops = [around for around in module.ancestors(node) if isinstance(around, ast.For | ast.While)]
        pauses = function is not None and "sleep(" in unparsed(function)
        if loops or pauses or (function is not None and function.name in asked):
            yield node


def _is_429(part: ast.AST) -> bool:
    if isinstance(part, ast.Constant):
        return part.value == 429
    return isinstance(part, ast.Attribute | ast.Name) and unparsed(part).rsplit(".", 1)[-1] in TOO_MANY


def _predicates(call: ast.Call) -> list[ast.expr]:
    """What a library of retries asks whether to try again: `retry_if_result(limited)`."""
    name = unparsed(call.func).rsplit(".", 1)[-1]
    return call.args[:1] if name in ("retry_if_result", "retry_if_exception", "on_predicate") else []

"""Awaits that wait one after the other though neither needs the other's answer."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from swarm.analysis.edits import Edit
from swarm.analysis.effects import WRITE_WORDS, HttpCall, effects_cache, http_call
from swarm.analysis.index import Function, Index
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.splices import WIDTH, import_as, is_alone

PURE_BUILTINS = frozenset({"str", "int", "float", "bool", "len", "list", "dict", "tuple", "set", "sorted", "repr"})


@dataclass(frozen=True, slots=True)
class _Step:
    """One awaiting statement: `reads` is what it is sure to do at most, `hosts` the bases of its requests."""

    statement: ast.stmt
    target: str | None
    call: ast.Call
    is_question: bool
    hosts: frozenset[str]


class SequentialAwaits(Rule):
    """Two awaited calls follow each other, and the second does not use what the first gave.

    Why: each waits for the network or the database; one after the other their times add up, together the
    request takes as long as the slowest. Example: a profile and the settings of one user, from two services.

    The mend: `a, b = await asyncio.gather(f(), g())`. All of them must be known to only read; one among them may
    be an outgoing question (a POST that computes an answer, say a score), to another host than the others.
    Never together: two calls that may write, calls that share a database session, that change objects they were
    given, or whose arguments are computed by calls. If one fails, the other is not cut short, as it would not
    have begun before: it is a read. The first error is raised, as before.
    """

    id = "sequential-awaits"
    category = "performance"
    severity = "high"
    title = "Independent awaits run one after the other"
    sources = ("https://docs.python.org/3/library/asyncio-task.html#asyncio.gather",)
    bad = (
        Example(
            """import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


async def profile(user):
    return (await client.get(f"https://people.example/{user}")).json()


async def plan(user):
    return (await client.get(f"https://billing.example/{user}")).json()


@app.get("/summary/{user}")
async def summary(user: str):
    person = await profile(user)
    # what they pay for
    paid = await plan(user)
    return {"person": person, "paid": paid}
""",
            """import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


async def profile(user):
    return (await client.get(f"https://people.example/{user}")).json()


async def plan(user):
    return (await client.get(f"https://billing.example/{user}")).json()


@app.get("/summary/{user}")
async def summary(user: str):
    person, paid = await asyncio.gather(
        profile(user),
        # what they pay for
        plan(user),
    )
    return {"person": person, "paid": paid}
""",
            "fastapi",
        ),
        Example(
            """import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

http = httpx.AsyncClient()


async def hook(request):
    stock = await http.get("https://stock.example/items")
    prices = await http.get("https://prices.example/items")
    return JSONResponse({"stock": stock.json(), "prices": prices.json()})


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
            """import asyncio

import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

http = httpx.AsyncClient()


async def hook(request):
    stock, prices = await asyncio.gather(
        http.get("https://stock.example/items"),
        http.get("https://prices.example/items"),
    )
    return JSONResponse({"stock": stock.json(), "prices": prices.json()})


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
            "starlette",
        ),
    )
    good = (
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


@app.post("/hook")
async def hook():
    account = await client.get("https://a.example/account")
    orders = await client.get(f"https://a.example/orders/{account.text}")
    await client.put("https://a.example/a", json={})
    await client.put("https://b.example/b", json={})
    return orders.json()
""",
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


async def save_order(order):
    return await client.post("https://shop.example/orders", json=order)


@app.post("/hook")
async def hook(order: dict):
    saved = await save_order(order)
    listed = await client.get("https://shop.example/orders")
    return saved.json() | listed.json()
""",
        """from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

app = FastAPI()


async def users(session):
    return await session.execute("select 1")


async def orders(session):
    return await session.execute("select 2")


@app.get("/both")
async def both(session: AsyncSession = Depends()):
    first = await users(session)
    second = await orders(session)
    return [first, second]
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every run of independent awaits in functions on a request's path."""
        for function in index.functions:
            if function.is_async and index.on_request_path(function.module, function.node.body[0]):
                for run in self._runs(index, function):
                    yield self._finding(function, run)

    def _finding(self, function: Function, run: list[_Step]) -> Finding:
        module = function.module
        names = " and ".join(ast.unparse(step.call.func) for step in run)
        place = ast.Pass(lineno=run[0].statement.lineno, end_lineno=run[-1].statement.end_lineno, col_offset=0)
        return self.finding(
            module, place,
            evidence=f"{names} are awaited one after the other in {function.qualname}; none uses another's answer",
            recommendation="Await them together with asyncio.gather",
            anchor=f"{function.qualname}:{names}",
            mendable=all(is_alone(module, step.statement) for step in run) and _can_bind(module, run),
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Gather every run that the findings name."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        name, imported = import_as(module, "asyncio")
        edits = [imported] if imported else []
        for function in index.functions:
            if function.module is module and function.is_async:
                runs = [run for run in self._runs(index, function) if self._finding(function, run).id in wanted]
                edits += [_gather(module, run, name) for run in runs]
        return Mend(
            "Await independent calls together",
            "The calls only read (at most one asks another service a question) and none uses another's answer: "
            "together they take as long as the slowest. If one fails, the others are not cancelled.",
            (edited(module, edits),),
        )

    def _runs(self, index: Index, function: Function) -> Iterator[list[_Step]]:
        for node in [function.node, *index.own_nodes(function)]:
            for body in (getattr(node, field, None) for field in ("body", "orelse", "finalbody")):
                if not isinstance(body, list):
                    continue
                run: list[_Step] = []
                for statement in [*body, None]:
                    step = _step(index, function, statement) if statement is not None else None
                    if step is not None and all(_independent(earlier, step) for earlier in run):
                        run.append(step)
                        continue
                    if len(run) > 1:
                        yield run
                    run = [step] if step is not None else []


def _step(index: Index, function: Function, statement: ast.stmt) -> _Step | None:
    """The statement as `name = await call(…)` or `await call(…)`, if it is safe to run beside others."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Await(value=ast.Call() as call)):
            target: str | None = name
        case ast.Expr(value=ast.Await(value=ast.Call() as call)):
            target = None
        case _:
            return None
    if not all(_is_plain(node) for node in [*call.args, *(keyword.value for keyword in call.keywords)]):
        return None
    request = http_call(index, function.module, call)
    if request is not None and request.is_async and request.library != "aiohttp":
        return _Step(statement, target, call, not request.reads, _hosts([request])) if request.verb != "?" else None
    callee = index.resolve_call(function.module, call)
    if callee is None or not callee.is_async:
        return None
    return _from_callee(index, callee, statement, target, call)


def _from_callee(
    index: Index, callee: Function, statement: ast.stmt, target: str | None, call: ast.Call
) -> _Step | None:
    requests: list[HttpCall] = []
    waits = False
    for reached, effects in effects_cache(index).reached(callee):
        if effects.unknown_database or effects.commits or any(sql.writes for sql in effects.sql):
            return None
        if effects.writes_memory - {"self._client", "self.client"}:
            return None
        requests += effects.http
        waits = waits or bool(effects.http or effects.sql or effects.blocking)
        if _unknown_await(index, reached):
            return None
    questions = [request for request in requests if not request.reads]
    if not waits or (questions and set(callee.name.lower().split("_")) & WRITE_WORDS):
        return None
    if any(request.verb not in ("GET", "HEAD", "OPTIONS", "POST") for request in requests) or len(questions) > 1:
        return None
    return _Step(statement, target, call, bool(questions), _hosts(requests))


def _unknown_await(index: Index, function: Function) -> bool:
    """Whether the function awaits something that is neither the target's own nor a known way to read."""
    for node in index.own_nodes(function):
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            call = node.value
            dotted = index.resolve(function.module, call.func) or ""
            known = http_call(index, function.module, call) or index.resolve_call(function.module, call)
            kind = ""
            if isinstance(call.func, ast.Attribute):
                kind = index.kinds.of(function.module, call.func.value) or ""
            is_library = dotted.startswith("asyncio.") or kind.startswith(("aiosqlite.", "httpx."))
            given = isinstance(call.func, ast.Name) and call.func.id in {a.arg for a in parameters(function.node)}
            if not known and not given and not is_library and kind != "httpx.Response":
                return True
    return False


def _hosts(requests: Sequence[HttpCall]) -> frozenset[str]:
    """What the addresses of requests begin with, as text: the first interpolated part, or scheme and host."""
    found = set()
    for request in requests:
        url = request.call.args[0] if request.call.args else None
        if isinstance(url, ast.JoinedStr) and url.values and isinstance(url.values[0], ast.FormattedValue):
            found.add(ast.unparse(url.values[0].value))
            continue
        text = url.values[0] if isinstance(url, ast.JoinedStr) and url.values else url
        value = text.value if isinstance(text, ast.Constant) and isinstance(text.value, str) else None
        if value is not None and "://" in value:
            found.add("/".join(value.split("/")[:3]))
        else:
            found.add(ast.unparse(request.owner) if request.owner is not None else "?")
    return frozenset(found)


def _independent(first: _Step, second: _Step) -> bool:
    used = {node.id for node in ast.walk(second.call) if isinstance(node, ast.Name)}
    if first.target is not None and (first.target in used or first.target == second.target):
        return False
    before = {node.id for node in ast.walk(first.call) if isinstance(node, ast.Name)}
    if second.target is not None and second.target in before:
        return False
    if first.is_question and second.is_question:
        return False
    asks = first.is_question or second.is_question
    return not (asks and first.hosts & second.hosts)


def _is_plain(node: ast.expr) -> bool:
    """Whether computing an argument can have no effect of its own."""
    for part in ast.walk(node):
        if isinstance(part, ast.Await | ast.NamedExpr | ast.Yield | ast.YieldFrom):
            return False
        if isinstance(part, ast.Call) and not (
            isinstance(part.func, ast.Name) and part.func.id in PURE_BUILTINS
        ):
            owner = part.func.value if isinstance(part.func, ast.Attribute) else part.func
            is_headers = isinstance(part.func, ast.Attribute) and "headers" in part.func.attr
            if not is_headers or not isinstance(owner, ast.Name):
                return False
    return True


def _can_bind(module: Module, run: list[_Step]) -> bool:
    some = any(step.target is None for step in run) and any(step.target is not None for step in run)
    return not some or ("_" not in module.globals and "_" not in module.imports)


def _gather(module: Module, run: list[_Step], asyncio_name: str) -> Edit:
    indent = module.indent(run[0].statement)
    targets = [step.target or "_" for step in run]
    binding = f"{', '.join(targets)} = " if any(step.target for step in run) else ""
    start, end = module.span(run[0].statement)[0], module.span(run[-1].statement)[1]
    texts = [module.segment(step.call) for step in run]
    gaps = [module.text[module.span(a.statement)[1] : module.span(b.statement)[0]]
            for a, b in pairwise(run)]  # fmt: skip
    line = f"{binding}await {asyncio_name}.gather({', '.join(texts)})"
    if len(indent + line) <= WIDTH and "\n" not in line and not any("#" in gap for gap in gaps):
        return Edit(start, end, line)
    inner = indent + "    "
    lines = [f"{binding}await {asyncio_name}.gather("]
    for number, text in enumerate(texts):
        gap = gaps[number - 1].split("\n") if number else []
        if gap and gap[0].strip():
            lines[-1] += "  " + gap[0].strip()
        lines += [inner + comment.strip() for comment in gap[1:] if comment.strip()]
        lines.append(inner + text.replace("\n", "\n    ") + ",")
    return Edit(start, end, "\n".join([*lines, indent + ")"]))

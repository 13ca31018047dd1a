"""Reads that a loop awaits one after the other, although no turn needs what another gave."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.independence import Step, step_of, uses, varies
from swarm.rules.request_code import request_functions
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.splices import free_name, import_as, is_alone, whole_lines

LIMIT = 8


class LoopOfAwaits(Rule):
    """A loop awaits one read of an upstream in each turn and keeps the answers in a list.

    Why: the waits add up: twenty calls of 80 ms are 1.6 s, together they take a tenth of it. Example:
    `for key in keys: found.append(await fetch(key))`.

    The mend: the same calls with `asyncio.gather`, CALLS_AT_ONCE at a time (8; 0 or 1: one after the other), so that
    neither the upstream nor a pool of connections is overrun; answers keep their order. Only for calls that only
    read, and for loops that do nothing else. If one call fails, its error is raised as before, while the others run
    to their end.
    """

    id = "loop-of-awaits"
    category = "performance"
    severity = "medium"
    order = 42
    title = "A loop waits for one call after the other"
    sources = ("https://docs.python.org/3/library/asyncio-task.html#asyncio.gather",)
    bad = (
        Example(
            """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


async def price(sku: str) -> dict:
    answer = await client.get(f"https://prices.example/{sku}")
    return answer.json()


@app.post("/cart")
async def cart(skus: list[str]):
    prices = []
    for sku in skus:
        prices.append(await price(sku))
    return prices
""",
            """import asyncio
import os

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


async def price(sku: str) -> dict:
    answer = await client.get(f"https://prices.example/{sku}")
    return answer.json()


@app.post("/cart")
async def cart(skus: list[str]):
    at_once = asyncio.Semaphore(max(1, int(os.getenv("CALLS_AT_ONCE", "8"))))

    async def price_of(sku):
        async with at_once:
            return await price(sku)

    prices = await asyncio.gather(*[price_of(sku) for sku in skus])
    return prices
""",
            "fastapi",
        ),
        Example(
            """import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

client = httpx.AsyncClient(timeout=5)


async def hook(request):
    event = await request.json()
    found = [await client.get(f"https://people.example/{key}") for key in event["people"]]
    return JSONResponse([answer.json() for answer in found])


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
            """import asyncio
import os

import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

client = httpx.AsyncClient(timeout=5)


async def hook(request):
    event = await request.json()
    at_once = asyncio.Semaphore(max(1, int(os.getenv("CALLS_AT_ONCE", "8"))))

    async def get_of(key):
        async with at_once:
            return await client.get(f"https://people.example/{key}")

    found = await asyncio.gather(*[get_of(key) for key in event["people"]])
    return JSONResponse([answer.json() for answer in found])


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
            "starlette",
        ),
        Example(
            """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.post("/notify")
async def notify(people: list[str]):
    sent = []
    for person in people:
        answer = await client.get(f"https://people.example/{person}")
        if answer.status_code == 200:
            sent.append(answer.json())
    return sent
""",
            None,
            "fastapi",
        ),
    )
    good = (
        """import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.post("/pages")
async def pages(first: str, people: list[str]):
    found = []
    url = first
    while url:
        page = (await client.get(url)).json()
        found.append(page)
        url = page["next"]
    for person in people:
        await client.post("https://mail.example", json={"to": person})
    for person in people:
        found.append(await client.get(f"https://people.example/{person}", params={"after": found[-1]["id"]}))
    for _ in range(3):
        answer = await client.get("https://jobs.example/1")
        if answer.status_code == 200:
            break
        await asyncio.sleep(1)
    return found, await asyncio.gather(*[client.get(f"https://a.example/{p}") for p in people])
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every loop of reads on a request's path whose turns do not need each other."""
        for function in request_functions(index):
            if function.is_async:
                for loop in _loops(index, function):
                    yield self._finding(loop)

    def _finding(self, loop: Loop) -> Finding:
        called = " ".join(ast.unparse(loop.step.call.func).split())
        return self.finding(
            loop.function.module, loop.node,
            evidence=f"{loop.function.qualname} awaits {called} once in each turn; no turn needs another's answer",
            recommendation="Await the calls together with asyncio.gather, a few at a time",
            anchor=f"{loop.function.qualname}:{called}",
            mendable=loop.name != "",
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Gather the calls of each loop, eight at a time."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        asyncio_name, imported = import_as(module, "asyncio")
        os_name, of_os = import_as(module, "os")
        edits = [edit for edit in (imported, of_os) if edit]
        for function in index.functions:
            for loop in _loops(index, function) if function.module is module and function.is_async else ():
                if loop.node.lineno in lines and loop.name:
                    edits += _rewrite(loop, asyncio_name, os_name)
        return Mend(
            "Await the calls of a loop together",
            f"The calls only read; {LIMIT} at a time take a fraction of the time, and answers keep their order.",
            (edited(module, edits),),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A loop of reads; `name` is the list of its answers ("" where it does more), `empty` the list's beginning."""

    function: Function
    node: ast.For | ast.Assign
    step: Step
    target: ast.expr
    over: ast.expr
    name: str
    empty: ast.stmt | None


def _loops(index: Index, function: Function) -> Iterator[Loop]:
    for node in index.own_nodes(function):
        if isinstance(node, ast.For) and not node.orelse:
            yield from _of_for(index, function, node)
        elif isinstance(node, ast.Assign):
            yield from _of_list(index, function, node)


def _of_for(index: Index, function: Function, loop: ast.For) -> Iterator[Loop]:
    module = function.module
    first = loop.body[0]
    match first:
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[ast.Await() as waited])
        ) if len(loop.body) == 1:
            step = step_of(index, function, waited)
            empty = _empty_before(module, loop, name)
            plain = empty is not None and is_alone(module, empty) and is_alone(module, first)
            plain = plain and not _is_used_elsewhere(function, loop)
            feeds_itself = uses(name, waited, loop.iter)
            if step is not None and varies(step, loop.target) and not feeds_itself:
                yield Loop(function, loop, step, loop.target, loop.iter, name if plain else "", empty)
        case ast.Assign(targets=[ast.Name()], value=ast.Await() as waited) if not _leaves(loop):
            step = step_of(index, function, waited)
            alone = sum(isinstance(part, ast.Await) for part in ast.walk(loop)) == 1
            if step is not None and alone and varies(step, loop.target) and not _feeds_itself(loop):
                yield Loop(function, loop, step, loop.target, loop.iter, "", None)


def _of_list(index: Index, function: Function, node: ast.Assign) -> Iterator[Loop]:
    match node:
        case ast.Assign(
            targets=[ast.Name(id=name)],
            value=ast.ListComp(
                elt=ast.Await() as waited, generators=[ast.comprehension(ifs=[], is_async=0) as generator]
            ),
        ):
            step = step_of(index, function, waited)
            if step is not None and varies(step, generator.target):
                plain = is_alone(function.module, node) and isinstance(generator.target, ast.Name)
                yield Loop(function, node, step, generator.target, generator.iter, name if plain else "", None)


def _is_used_elsewhere(function: Function, loop: ast.For) -> bool:
    """Whether the loop's variable is read outside of it too, or is more than one name."""
    if not isinstance(loop.target, ast.Name) or loop.type_comment is not None:
        return True
    inside = set(ast.walk(loop))
    return any(
        isinstance(part, ast.Name)
        and part.id == loop.target.id
        and part not in inside
        and isinstance(part.ctx, ast.Load)
        for part in ast.walk(function.node)
    )


def _empty_before(module: Module, loop: ast.For, name: str) -> ast.stmt | None:
    """The statement right before the loop that begins the list."""
    parent = module.parent(loop)
    for field in ("body", "orelse", "finalbody"):
        block = getattr(parent, field, None)
        if isinstance(block, list) and loop in block and block.index(loop) > 0:
            match block[block.index(loop) - 1]:
                case ast.Assign(targets=[ast.Name(id=begun)], value=ast.List(elts=[])) as found if begun == name:
                    return found
    return None


def _leaves(loop: ast.For) -> bool:
    return any(isinstance(part, ast.Break | ast.Return | ast.Raise | ast.Yield) for part in ast.walk(loop))


def _feeds_itself(loop: ast.For) -> bool:
    """Whether a turn uses what an earlier one bound: a cursor, a token, a running sum that the call is given."""
    first = loop.body[0]
    bound = {
        part.id for statement in loop.body for part in ast.walk(statement)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }  # fmt: skip
    value = first.value if isinstance(first, ast.Assign) else first
    return any(isinstance(part, ast.Name) and part.id in bound for part in ast.walk(value))


def _rewrite(loop: Loop, asyncio_name: str, os_name: str) -> list[Edit]:
    module = loop.function.module
    indent = module.indent(loop.node)
    at_once = free_name(module, "at_once")
    one = free_name(module, f"{ast.unparse(loop.step.call.func).rsplit('.', 1)[-1]}_of")
    target = module.segment(loop.target)
    lines = [
        f"{at_once} = {asyncio_name}.Semaphore(max(1, int({os_name}.getenv(\"CALLS_AT_ONCE\", \"{LIMIT}\"))))", "",
        f"async def {one}({target}):",
        f"    async with {at_once}:",
        f"        return await {module.segment(loop.step.call)}", "",
        f"{loop.name} = await {asyncio_name}.gather(*[{one}({target}) for {target} in {module.segment(loop.over)}])",
    ]  # fmt: skip
    text = "".join(f"{indent}{line}\n" if line else "\n" for line in lines)
    edits = [Edit(*whole_lines(module, loop.node), text)]
    if loop.empty is not None:
        edits.append(Edit(*whole_lines(module, loop.empty), ""))
    return edits

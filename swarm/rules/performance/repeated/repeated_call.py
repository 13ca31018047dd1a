"""The same read of an upstream or a table twice in one function."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from swarm.analysis.effects import effects_cache, http_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.analysis.statements import sql_call
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.independence import step_of
from swarm.rules.facts.request_code import loops_around, request_functions
from swarm.rules.rule import Example, Rule


class RepeatedCall(Rule):
    """One request asks an upstream or the database the same question twice, and nothing was written in between.

    Why: the second answer is the first one again, for the price of another wait. Example: `await client.get(url)`
    to look at the status, and once more for the body.

    What to do: keep the first answer in a variable. No patch is written: an answer that changed in between may be
    what is waited for.
    """

    id = "repeated-call"
    category = "performance"
    severity = "low"
    title = "The same is asked twice in one request"
    bad = (
        Example(
            """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.get("/owner/{key}")
async def owner(key: str):
    if (await client.get(f"https://people.example/{key}")).status_code == 404:
        return {}
    answer = await client.get(f"https://people.example/{key}")
    return answer.json()
""",
            None,
            "fastapi",
        ),
        Example(
            """import requests
from flask import Flask

app = Flask(__name__)


def person(key):
    return requests.get("https://people.example", params={"id": key}, timeout=5).json()


@app.get("/card/<key>")
def card(key):
    name = person(key)["name"]
    mail = person(key)["mail"]
    return f"{name} {mail}"
""",
            None,
            "flask",
        ),
    )
    good = (
        """import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.get("/job/{key}")
async def job(key: str, other: bool):
    answer = await client.get(f"https://jobs.example/{key}")
    if answer.json()["state"] == "waiting":
        await client.post(f"https://jobs.example/{key}/start")
        answer = await client.get(f"https://jobs.example/{key}")
    if other:
        found = await client.get("https://a.example")
    else:
        found = await client.get("https://a.example")
    key = answer.json()["next"]
    following = await client.get(f"https://jobs.example/{key}")
    await asyncio.sleep(1)
    again = await client.get(f"https://jobs.example/{key}")
    return [found.json(), following.json(), again.json()]
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """The second of two reads alike, where the first is sure to have been made and nothing came between."""
        for function in request_functions(index):
            for call in _again(index, function):
                text = " ".join(unparsed(call).split())[:100]
                yield self.finding(
                    function.module, call,
                    evidence=f"{function.qualname} asks twice: {text}",
                    recommendation="Keep the first answer in a variable",
                    anchor=f"{function.qualname}:{text}",
                    mendable=False,
                )  # fmt: skip


def _again(index: Index, function: Function) -> Iterator[ast.Call]:
    module = function.module
    seen: dict[str, ast.Call] = {}
    names = [_name(call) for call in index.calls(function)]
    if len(set(names)) == len(names):
        return
    for node in sorted(_relevant(index, function), key=lambda n: (n.lineno, n.col_offset)):
        if not seen and (isinstance(node, ast.Name) or names.count(_name(node)) == 1):
            continue  # nothing to forget, and it is asked but once
        if isinstance(node, ast.Name):
            for text in [text for text, call in seen.items() if node.id in _names(call) and node not in walk(call)]:
                del seen[text]
            continue
        if not _is_read(index, function, node):
            if _may_change(index, function, node):
                seen.clear()
            continue
        text = unparsed(node)
        first = seen.get(text)
        if first is not None and _is_sure(module, first, node):
            yield node
        elif first is None:
            seen[text] = node


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _relevant(index: Index, function: Function) -> Iterator[ast.Call | ast.Name]:
    yield from index.calls(function)
    yield from (node for node in index.own_of(function, ast.Name) if isinstance(node.ctx, ast.Store))


def _is_read(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether it is sure to only ask: a GET, a SELECT, or a function of the service's that does nothing else."""
    request = http_call(index, function.module, call)
    if request is not None:
        return request.reads and request.verb == "GET"
    if index.resolve_call(function.module, call) is None:
        return False
    if _only_selects(index, function, call):
        return True
    if function.is_async and isinstance(function.module.parent(call), ast.Await):
        return step_of(index, function, ast.Await(value=call)) is not None
    return not function.is_async and step_of(index, function, ast.Await(value=call)) is not None


def _only_selects(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether the target's function that is called only reads rows, over a connection that others may share."""
    callee = index.resolve_call(function.module, call)
    reached = [effects for _, effects in effects_cache(index).reached(callee)] if callee is not None else []
    reads = [sql for effects in reached for sql in effects.sql]
    quiet = not any(e.http or e.commits or e.dirties or e.writes_memory or e.unknown_database for e in reached)
    return quiet and bool(reads) and not any(sql.writes for sql in reads)


def _may_change(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether another call may change what the question is about: it writes, waits, or is unknown and awaited."""
    request = http_call(index, function.module, call)
    if request is not None:
        return not request.reads
    sql = sql_call(index, function.module, call)
    if sql is not None:
        return sql.writes
    waits = isinstance(function.module.parent(call), ast.Await)
    dotted = index.resolve(function.module, call.func) or ""
    return waits or dotted in ("time.sleep", "asyncio.sleep") or index.resolve_call(function.module, call) is not None


def _is_sure(module: Module, first: ast.Call, second: ast.Call) -> bool:
    """Whether the second never runs without the first: the first's block is around the second, and no loop is."""
    if list(loops_around(module, first)) != list(loops_around(module, second)):
        return False
    around = [node for node in module.ancestors(second) if isinstance(node, ast.stmt)]
    statement = module.statement(first)
    block = _block(module, statement)
    if module.statement(second) is statement and isinstance(statement, ast.If | ast.While):
        return False
    return any(node in block for node in [module.statement(second), *around]) and not _branches(
        module, first, statement
    )


def _branches(module: Module, node: ast.AST, statement: ast.stmt) -> bool:
    """Whether the call is made only in a part of its statement: behind `and`, `or`, in `x if y else z`, a handler."""
    inner = node
    for around in module.ancestors(node):
        if isinstance(around, ast.BoolOp) and inner is not around.values[0]:
            return True
        if isinstance(around, ast.IfExp) and inner is not around.test:
            return True
        if around is statement:
            return False
        inner = around
    return False


def _block(module: Module, statement: ast.stmt) -> list[ast.stmt]:
    parent = module.parent(statement)
    for field in ("body", "orelse", "finalbody"):
        block = getattr(parent, field, None)
        if isinstance(block, list) and statement in block:
            return block
    return []


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in walk(node) if isinstance(part, ast.Name)}

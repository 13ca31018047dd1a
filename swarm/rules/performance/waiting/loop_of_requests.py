"""Blocking reads that a loop makes one after the other, although no turn needs what another gave."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.independence import (
    Step,
    core_of,
    feeds_itself,
    is_plain,
    only_collects,
    step_of_call,
    uses,
    varies,
)
from swarm.rules.facts.request_code import loops_around, request_functions
from swarm.rules.queries.loops_of_writes import told_writes
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.splices import WIDTH, arguments_text, free_name, import_as, import_from, is_alone

LIMIT = 8
_VIEWS = ("items", "keys", "values")
_COUNTS = ("enumerate", "range", "zip", "reversed")
_WHOLE = (
    "get_json",
    "json",
    "loads",
    "get",
    "split",
    "splitlines",
    "fetchall",
    "all",
    "getlist",
)  # all is there at once


class LoopOfRequests(Rule):
    """A loop in sync code makes one blocking read of an upstream in each turn and keeps the answers.

    Why: the waits add up: twenty calls of 80 ms are 1.6 s, eight at a time they take a quarter of a second. Example:
    `for line in order["lines"]: left[line["sku"]] = stock(line["sku"])`.

    The mend: the same calls in a `ThreadPoolExecutor`, CALLS_AT_ONCE at a time (8; 0 or 1: one after the other), so
    that the upstream is not overrun; answers are taken in the old order, so the first error is the one that counts.
    Only for calls that only read over HTTP, in loops that do nothing else; never where what they call touches a
    database, changes shared objects, or uses what belongs to the request's thread (`flask.request`, `g`).
    """

    id = "loop-of-requests"
    category = "performance"
    severity = "medium"
    order = 42
    title = "A loop makes one blocking call after the other"
    sources = ("https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor",)
    bad = (
        Example(
            """import requests
from flask import Flask, request

app = Flask(__name__)


def stock(sku):
    return requests.get(f"https://stock.example/{sku}", timeout=2).json()["left"]


@app.post("/orders")
def orders():
    order = request.get_json()
    left = {}
    for line in order["lines"]:
        left[line["sku"]] = stock(line["sku"])
    return left
""",
            """import os
from concurrent.futures import ThreadPoolExecutor

import requests
from flask import Flask, request

app = Flask(__name__)


def stock(sku):
    return requests.get(f"https://stock.example/{sku}", timeout=2).json()["left"]


@app.post("/orders")
def orders():
    order = request.get_json()
    left = {}
    with ThreadPoolExecutor(max(1, int(os.getenv("CALLS_AT_ONCE", "8")))) as pool:
        stock_calls = [(line, pool.submit(stock, line["sku"])) for line in order["lines"]]
    for line, stock_call in stock_calls:
        left[line["sku"]] = stock_call.result()
    return left
""",
            "flask",
        ),
        Example(
            """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.Client(timeout=3)


@app.post("/cart")
def cart(skus: list[str]):
    prices = []
    for sku in skus:
        answer = client.get(f"https://prices.example/{sku}")
        answer.raise_for_status()
        prices.append(answer.json())
    return prices


@app.post("/names")
def names(skus: list[str]):
    return [client.get(f"https://names.example/{sku}").json() for sku in skus]
""",
            """import os
from concurrent.futures import ThreadPoolExecutor

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.Client(timeout=3)


@app.post("/cart")
def cart(skus: list[str]):
    prices = []
    with ThreadPoolExecutor(max(1, int(os.getenv("CALLS_AT_ONCE", "8")))) as pool:
        get_calls = [
            (sku, pool.submit(client.get, f"https://prices.example/{sku}"))
            for sku in skus
        ]
    for sku, get_call in get_calls:
        answer = get_call.result()
        answer.raise_for_status()
        prices.append(answer.json())
    return prices


@app.post("/names")
def names(skus: list[str]):
    with ThreadPoolExecutor(max(1, int(os.getenv("CALLS_AT_ONCE", "8")))) as pool:
        get_calls = [pool.submit(client.get, f"https://names.example/{sku}") for sku in skus]
    return [get_call.result().json() for get_call in get_calls]
""",
            "fastapi",
        ),
        Example(  # writes are told, and left in their order
            """import requests
from flask import Flask, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    for host in request.get_json()["hosts"]:
        requests.post(f"https://{host}/events", json={"new": True}, timeout=2).raise_for_status()
    return "sent"
""",
            None,
            "flask",
        ),
    )
    good = (
        """import requests
from flask import Flask, g, request

app = Flask(__name__)


def page(url):
    return requests.get(url, timeout=2).json()


def tell(person):
    return requests.post("https://mail.example", json={"to": person}, timeout=2).ok


def mine(key):
    return requests.get(f"https://a.example/{g.tenant}/{key}", timeout=2).json()


@app.post("/hook")
def hook():
    found, url, sent, own = [], request.json["first"], [], []
    while url:
        found.append(page(url))
        url = found[-1]["next"]
    for person in request.json["people"]:
        sent.append(tell(person))
    for key in request.json["keys"]:
        own.append(mine(key))
    for _ in range(3):
        found.append(page("https://jobs.example/1"))
    for number in range(3):
        found.append(page(found[-1]["next"] + str(number)))
    for key in request.json["keys"]:
        answer = page(f"https://b.example/{key}")
        if answer["stop"]:
            break
    return {"found": found, "sent": sent, "own": own}
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every loop of blocking reads on a request's path whose turns do not need each other."""
        for function in request_functions(index):
            if not function.is_async and not index.on_event_loop(function):
                loops = list(_loops(index, function))
                yield from map(self._finding, loops)
                told = {loop.node for loop in loops}
                yield from told_writes(self, index, function, told, waits="waits for", how="from a pool of threads")

    def _finding(self, loop: _Loop) -> Finding:
        called = " ".join(unparsed(loop.step.call.func).split())
        return self.finding(
            loop.function.module, loop.node,
            evidence=f"{loop.function.qualname} waits for {called} once in each turn; no turn needs another's answer",
            recommendation="Make the calls in a ThreadPoolExecutor, a few at a time",
            anchor=f"{loop.function.qualname}:{called}",
            mendable=_may_be_rewritten(loop),
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Submit the calls of each loop to a pool, and take their answers in the old order."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        os_name, of_os = import_as(module, "os")
        executor, of_pool = import_from(module, "concurrent.futures", "ThreadPoolExecutor")
        pool_of = f'{executor}(max(1, int({os_name}.getenv("CALLS_AT_ONCE", "{LIMIT}"))))'
        edits = [edit for edit in (of_os, of_pool) if edit]
        for function in index.functions:
            if function.module is module and not function.is_async:
                chosen = [loop for loop in _loops(index, function) if loop.node.lineno in lines]
                edits += [_rewrite(loop, pool_of) for loop in chosen if _may_be_rewritten(loop)]
        return Mend(
            "Make the blocking calls of a loop side by side",
            f"The calls only read; {LIMIT} at a time take a fraction of the time, and answers keep their order.",
            (edited(module, edits),),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Loop:
    """A loop of reads; `used` where its statement is kept, which may need the loop's own names.

    `only_told` where it makes a dict, or a list inside of another expression.
    """

    function: Function
    node: ast.For | ast.Assign | ast.Return
    step: Step
    target: ast.expr
    over: ast.expr
    used: bool
    only_told: bool = False


def _loops(index: Index, function: Function) -> Iterator[_Loop]:
    for node in index.own_nodes(function):
        match node:
            case ast.For(body=[ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=kept), attr="append"),
                                                       args=[value], keywords=[]))],
                         orelse=[]) if not uses(kept, value, node.iter):  # fmt: skip
                yield from _of(index, function, node, value, node.target, node.iter, True)
            case ast.For(body=[ast.Assign(targets=[ast.Subscript(value=ast.Name(id=kept), slice=key)], value=value)],
                         orelse=[]) if is_plain(key) and not uses(kept, value, node.iter):  # fmt: skip
                yield from _of(index, function, node, value, node.target, node.iter, True)
            case ast.For(body=[ast.Assign(targets=[ast.Name(id=kept)], value=value), *rest], orelse=[]):
                if only_collects(rest, kept) and not feeds_itself(node, value):
                    yield from _of(index, function, node, value, node.target, node.iter, True)
            case (
                ast.Assign(targets=[ast.Name()], value=ast.ListComp() as made)
                | ast.Return(value=ast.ListComp() as made)
            ):
                match made.generators:
                    case [ast.comprehension(ifs=[], is_async=0) as part]:
                        yield from _of(index, function, node, made.elt, part.target, part.iter, False)
            case (
                ast.Assign(targets=[ast.Name()], value=ast.DictComp(generators=[part]) as by_key)
                | ast.Return(value=ast.DictComp(generators=[part]) as by_key)
            ) if not part.ifs:
                for loop in _of(index, function, node, by_key.value, part.target, part.iter, False):
                    yield replace(loop, only_told=True)
            case ast.ListComp(elt=value, generators=[part]) if not part.ifs and _is_inside(function.module, node):
                whole = function.module.statement(node)
                if isinstance(whole, ast.Return | ast.Assign):
                    for loop in _of(index, function, whole, value, part.target, part.iter, False):
                        yield replace(loop, only_told=True)


def _is_inside(module: Module, made: ast.AST) -> bool:
    """Whether a list is made as a part of a statement, not as all of its value: `return jsonify([…])`."""
    return not isinstance(module.parent(made), ast.stmt) and not any(loops_around(module, made))


def _of(
    index: Index, function: Function, node: ast.For | ast.Assign | ast.Return, value: ast.expr, target: ast.expr,
    over: ast.expr, used: bool,
) -> Iterator[_Loop]:  # fmt: skip
    call = core_of(value)
    step = step_of_call(index, function, call) if isinstance(call, ast.Call) else None
    named = all(isinstance(part, ast.Name | ast.Tuple | ast.Store) for part in walk(target))
    if step is not None and varies(step, target) and named and _is_finite(over):
        yield _Loop(function, node, step if call is value else replace(step, value=value), target, over, used)


def _collected(indent: str, name: str, entry: str, target: str, over: str) -> str:
    line = f"{indent}{name} = [{entry} for {target} in {over}]"
    if len(line) <= WIDTH or "\n" in line:
        return line
    return f"{indent}{name} = [\n{indent}    {entry}\n{indent}    for {target} in {over}\n{indent}]"


def _is_finite(over: ast.expr) -> bool:
    """Whether what is looped over is there already: what is made turn by turn may wait for what a turn does."""
    match over:
        case ast.Call(func=ast.Attribute(value=value, attr=name), args=[], keywords=[]) if name in _VIEWS:
            return is_plain(value)
        case ast.Call(func=ast.Attribute(attr=name), args=given) if name in _WHOLE:
            return all(is_plain(value) for value in given)
        case ast.Subscript(value=value, slice=ast.Constant()):
            return _is_finite(value)
        case ast.Call(func=ast.Name(id=name), args=given) if name in _COUNTS:
            return all(_is_finite(value) for value in given)
        case ast.GeneratorExp():
            return False
    return is_plain(over)


def _may_be_rewritten(loop: _Loop) -> bool:
    """Whether the loop stands on lines of its own, without a remark that would be lost."""
    return (
        not loop.only_told
        and is_alone(loop.function.module, loop.node)
        and "#" not in loop.function.module.segment(loop.node)
    )


def _rewrite(loop: _Loop, pool_of: str) -> Edit:
    module = loop.function.module
    indent = module.indent(loop.node)
    called = unparsed(loop.step.call.func).rsplit(".", 1)[-1]
    pool, one, all_of = (free_name(module, name) for name in ("pool", f"{called}_call", f"{called}_calls"))
    target, over = module.segment(loop.target), module.segment(loop.over)
    given = arguments_text(module, loop.step.call)
    submitted = f"{pool}.submit({module.segment(loop.step.call.func)}{', ' if given.strip() else ''}{given.strip()})"
    whole, within = module.span(loop.node), module.span(loop.step.call)
    lines = [f"with {pool_of} as {pool}:", _collected(f"{indent}    ", all_of, submitted, target, over)]
    if isinstance(loop.node, ast.For):
        statement = module.span(loop.node.body[0])[0], module.span(loop.node.body[-1])[1]
        body = f"{module.text[statement[0] : within[0]]}{one}.result(){module.text[within[1] : statement[1]]}"
        held = f"({target})" if isinstance(loop.target, ast.Tuple) and not target.startswith("(") else target
        lines[1] = _collected(f"{indent}    ", all_of, f"({held}, {submitted})", target, over)
        lines += [f"{indent}for {held}, {one} in {all_of}:", f"{module.indent(loop.node.body[0])}{body}"]
    else:
        keeps = f"{module.segment(loop.node.targets[0])} =" if isinstance(loop.node, ast.Assign) else "return"
        lines.append(f"{indent}{keeps} [{one}.result(){loop.step.tail(module)} for {one} in {all_of}]")
    return Edit(*whole, "\n".join(lines))

"""JSON that is written only to be read again, or laid out for people on every request."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.request_code import loops_around, request_functions
from swarm.rules.rule import Example, Rule


class CopiedByJson(Rule):
    """A request writes JSON and reads it at once, writes the same text in every turn of a loop, or indents it.

    Why: text is the slowest way to copy; large bodies hold the event loop meanwhile, and an indented body is up to
    a third longer. Example: `json.loads(json.dumps(event))`, `json.dumps(event)` once for each subscriber.

    What to do: `dict(event)` or `copy.deepcopy`; write once before the loop; leave `indent` to tools.
    """

    id = "copied-by-json"
    category = "performance"
    severity = "low"
    title = "JSON is written for nothing"
    sources = ("https://docs.python.org/3/library/json.html",)
    bad = (
        Example(
            """import json

from fastapi import FastAPI

app = FastAPI()


@app.post("/events")
async def events(event: dict):
    return json.loads(json.dumps(event))
""",
            None,
            "fastapi",
        ),
        Example(
            """import json

from flask import Flask, request

app = Flask(__name__)
queues = {}


@app.post("/events")
def events():
    event = request.get_json()
    for queue in queues.values():
        queue.put(json.dumps(event))
    return json.dumps(event, indent=2)
""",
            None,
            "flask",
        ),
    )
    good = (
        """import json

from flask import Flask, request

app = Flask(__name__)
queues = {}


@app.post("/events")
def events():
    event = request.get_json()
    text = json.dumps(event)
    for name, queue in queues.items():
        queue.put(text)
        queue.put(json.dumps({"to": name, "event": event}))
    return json.dumps(json.loads(text))
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Round trips, repeated writing of the same value in a loop, and indents."""
        for function in request_functions(index):
            for call in index.calls(function):
                why = _waste(index, function, call)
                if why:
                    yield self.finding(
                        function.module, call,
                        evidence=f"{function.qualname} {why}: {' '.join(unparsed(call).split())[:80]}",
                        recommendation="Copy without a text, write once before the loop, leave out the indent",
                        anchor=f"{function.qualname}:{unparsed(call)}",
                        mendable=False,
                    )  # fmt: skip


def _waste(index: Index, function: Function, call: ast.Call) -> str:
    module = function.module
    dotted = index.resolve(module, call.func)
    first = call.args[0] if call.args else None
    text = _only_value(index, function, first) if dotted == "json.loads" else None
    if isinstance(text, ast.Call) and index.resolve(module, text.func) == "json.dumps":
        if not any(keyword.arg in ("default", "cls") for keyword in text.keywords):
            return "writes JSON only to read it again"
        return "writes JSON, reads it and writes it again" if _is_only_written(index, function, call) else ""
    if dotted != "json.dumps" or first is None:
        return ""
    indents = [keyword.value for keyword in call.keywords if keyword.arg == "indent"]
    if any(not isinstance(value, ast.Constant) or value.value is not None for value in indents):
        return "lays JSON out for people"
    loop = next(iter(loops_around(module, call)), None)
    if not isinstance(loop, ast.For | ast.AsyncFor) or not isinstance(first, ast.Name):
        return ""
    set_inside = {
        part.id for part in walk(loop) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }  # fmt: skip
    changed = any(
        isinstance(part, ast.Subscript | ast.Attribute) and isinstance(part.ctx, ast.Store)
        and _root(part) == first.id
        for part in walk(loop)
    ) or any(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and _root(part.func.value) == first.id
        and part.func.attr in ("update", "append", "pop", "setdefault", "extend", "insert", "clear")
        for part in walk(loop)
    )  # fmt: skip
    return "" if first.id in set_inside or changed else "writes the same JSON in every turn of a loop"


def _only_value(index: Index, function: Function, value: ast.expr | None) -> ast.AST | None:
    """A value, or the only one of a local name that nothing else uses."""
    if not isinstance(value, ast.Name):
        return value
    bound = index.kinds.bindings(function.node).get(value.id, [])
    uses = [node for node in walk(function.node) if isinstance(node, ast.Name) and node.id == value.id]
    return bound[0] if len(bound) == 1 and len(uses) == 2 else None


def _is_only_written(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether what was read is only used to be written as JSON again."""
    module = function.module
    parent = module.parent(call)
    if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Name):
        return isinstance(parent, ast.Call) and index.resolve(module, parent.func) == "json.dumps"
    name = parent.targets[0].id
    uses = [node for node in walk(function.node) if isinstance(node, ast.Name) and node.id == name]
    around = [module.parent(use) for use in uses if use is not parent.targets[0]]
    return bool(around) and all(
        isinstance(one, ast.Call) and index.resolve(module, one.func) == "json.dumps" for one in around
    )


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""

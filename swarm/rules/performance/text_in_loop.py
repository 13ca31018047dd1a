"""Texts, bytes and lists that grow by copies: each turn of a loop copies all that there is."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from swarm.analysis.index import Function, Index
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.request_code import loops_around, request_functions
from swarm.rules.rule import Example, Rule


class TextInLoop(Rule):
    """A loop on a request's path puts a text, bytes or a list together with `+`, copying what it has each turn.

    Why: the time grows with the square of the length: 10,000 lines of 100 characters are 5 GB of copying. (CPython
    spares the copy for `+=` on a local text that nothing else holds; not on an attribute, an item or bytes.)
    Example: `self.text = self.text + line` or `rows = rows + [row]`.

    What to do: collect the parts in a list and `"".join` them, or `append`.
    """

    id = "text-in-loop"
    category = "performance"
    severity = "low"
    title = "A text or list grows by copies in a loop"
    sources = ("https://docs.python.org/3/library/stdtypes.html#common-sequence-operations",)
    bad = (
        Example(
            """from fastapi import FastAPI

app = FastAPI()


@app.post("/report")
async def report(rows: list[dict]):
    lines = []
    for row in rows:
        lines = lines + [f"{row['name']}: {row['count']}"]
    return lines
""",
            None,
            "fastapi",
        ),
        Example(
            """from flask import Flask, request

app = Flask(__name__)


@app.post("/upload")
def upload():
    body = b""
    while chunk := request.stream.read(4096):
        body += chunk
    return str(len(body))
""",
            None,
            "flask",
        ),
    )
    good = (
        """from fastapi import FastAPI

app = FastAPI()


@app.post("/report")
async def report(rows: list[dict]):
    total, lines, page = 0, [], ""
    for row in rows:
        total = total + row["count"]
        lines += [row["name"]]
        page += row["name"]
    return total, ", ".join(lines), page
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every growth by a copy in a loop, of what began as a text, bytes or a list in the same function."""
        for function in request_functions(index):
            begun = dict(_begun(index, function))
            for statement, name, kind in _grown(index, function, begun):
                if any(True for _ in loops_around(function.module, statement)):
                    yield self.finding(
                        function.module, statement,
                        evidence=f"{function.qualname} copies all of {name} ({kind}) each time that a part is added",
                        recommendation="Collect the parts in a list, and join them behind the loop",
                        anchor=f"{function.qualname}:{name}",
                        mendable=False,
                    )  # fmt: skip


def _begun(index: Index, function: Function) -> Iterator[tuple[str, str]]:
    """What names and attributes the function sets to an empty or fixed text, bytes or list."""
    for node in index.own_nodes(function):
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        value = node.value
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            match value:
                case ast.Constant(value=str()) | ast.JoinedStr():
                    yield ast.unparse(target), "a text"
                case ast.Constant(value=bytes()):
                    yield ast.unparse(target), "bytes"
                case ast.List():
                    yield ast.unparse(target), "a list"


def _grown(index: Index, function: Function, begun: dict[str, str]) -> Iterator[tuple[ast.stmt, str, str]]:
    for node in index.own_nodes(function):
        match node:
            case ast.Assign(targets=[target], value=ast.BinOp(op=ast.Add()) as added) if _begins_with(added, target):
                name = ast.unparse(target)
                if begun.get(name) in ("a list", "bytes") or (name in begun and not isinstance(target, ast.Name)):
                    yield node, name, begun[name]
            case ast.AugAssign(target=target, op=ast.Add()):
                name = ast.unparse(target)
                if begun.get(name) == "bytes" or (begun.get(name) == "a text" and not isinstance(target, ast.Name)):
                    yield node, name, begun[name]


def _begins_with(added: ast.expr, target: ast.expr) -> bool:
    """Whether a sum's first part is the target itself: `text = text + row + "\\n"`."""
    while isinstance(added, ast.BinOp) and isinstance(added.op, ast.Add):
        added = added.left
    return ast.unparse(added) == ast.unparse(target)

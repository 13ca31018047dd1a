"""Texts, bytes and lists that grow by copies: each turn of a loop copies all that there is."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from swarm.analysis.index import Function, Index
from swarm.analysis.module import unparsed
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.request_code import loops_around, request_functions
from swarm.rules.rule import Example, Rule


class TextInLoop(Rule):
    """A loop on a request's path puts a text, bytes or a list together with `+`, copying what it has each turn.

    Why: the time grows with the square of the length: 10,000 lines of 100 characters are 5 GB of copying. (CPython
    spares the copy for `+=` on a local text that nothing else holds; not on an attribute, an item or bytes, nor in
    `text = text + row + "\\n"`, whose first sum is stored nowhere.)
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
        Example(
            """from flask import Flask, request

app = Flask(__name__)


@app.post("/csv")
def csv():
    out = {"body": ""}
    for row in request.json["rows"]:
        out["body"] += f"{row['a']},{row['b']}\\n"
    return out
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
        """Every growth by a copy in a loop, of what began as a text, bytes, a list or a dict in the same object."""
        for function in request_functions(index):
            begun = {**_begun_by_class(index, function), **dict(_begun(index, function))}
            for statement, name, kind in _grown(index, function, begun):
                own = name.startswith("self.") and name not in dict(_begun(index, function))
                if any(True for _ in loops_around(function.module, statement)) or (
                    own and _runs_in_loop(index, function)
                ):
                    yield self.finding(
                        function.module, statement,
                        evidence=f"{function.qualname} copies all of {name} ({kind}) each time that a part is added",
                        recommendation="Collect the parts in a list, and join them behind the loop",
                        anchor=f"{function.qualname}:{name}",
                        mendable=False,
                    )  # fmt: skip


def _runs_in_loop(index: Index, function: Function) -> bool:
    """Whether a request calls the function in a loop."""
    for caller in index.callers(function):
        for call in index.calls(caller):
            if index.resolve_call(caller.module, call) is function and any(loops_around(caller.module, call)):
                return True
    return False


def _begun_by_class(index: Index, function: Function) -> dict[str, str]:
    """What the class of a method begins its attributes with."""
    parent = function.module.parent(function.node)
    dotted = f"{function.module.dotted}.{function.qualname.rpartition('.')[0]}"
    info = index.classes.get(dotted) if isinstance(parent, ast.ClassDef) else None
    kinds = {f"self.{name}": _kind(value) for name, value in info.attributes.items()} if info is not None else {}
    return {name: kind for name, kind in kinds.items() if kind}


def _begun(index: Index, function: Function) -> Iterator[tuple[str, str]]:
    """What names and attributes the function sets to an empty or fixed text, bytes, list, tuple or dict."""
    for node in index.own_of(function, ast.Assign, ast.AnnAssign):
        kind = _kind(node.value)
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if kind and not _begins_with(node.value, target) and not _holds(node.value, target):
                yield unparsed(target), kind
            pairs = zip(node.value.keys, node.value.values, strict=True) if isinstance(node.value, ast.Dict) else ()
            for key, value in pairs:  # `out = {"body": ""}`
                if isinstance(key, ast.Constant) and _kind(value):
                    yield f"{unparsed(target)}[{unparsed(key)}]", _kind(value)


def _kind(value: ast.expr | None) -> str:
    match value:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return "a text"
        case ast.Constant(value=bytes()):
            return "bytes"
        case ast.List():
            return "a list"
        case ast.Tuple():
            return "a tuple"
        case ast.Dict():
            return "a dict"
    return ""


def _grown(index: Index, function: Function, begun: dict[str, str]) -> Iterator[tuple[ast.stmt, str, str]]:
    copied = ("a list", "bytes", "a tuple")
    for node in index.own_of(function, ast.Assign, ast.AugAssign) if begun else ():
        match node:
            case ast.Assign(targets=[target], value=ast.BinOp(op=ast.Add()) as added) if _begins_with(added, target):
                name = unparsed(target)
                spared = isinstance(target, ast.Name) and not isinstance(added.left, ast.BinOp)
                if begun.get(name) in copied or (begun.get(name) == "a text" and not spared):
                    yield node, name, begun[name]
            case ast.Assign(targets=[target], value=value) if _holds(value, target):
                name = unparsed(target)
                if begun.get(name) in ("a list", "a tuple", "a dict"):
                    yield node, name, begun[name]
            case ast.AugAssign(target=target, op=ast.Add()):
                name = unparsed(target)
                is_text = begun.get(name) == "a text" and not isinstance(target, ast.Name)
                if begun.get(name) in ("bytes", "a tuple") or is_text:
                    yield node, name, begun[name]


def _holds(value: ast.expr | None, target: ast.expr) -> bool:
    """Whether a display or a union begins with a copy of the target: `[*rows, row]`, `{**merged, **part}`."""
    name = unparsed(target)
    match value:
        case ast.List(elts=[ast.Starred(value=first), _, *_]) | ast.Tuple(elts=[ast.Starred(value=first), _, *_]):
            return unparsed(first) == name
        case ast.Dict(keys=[None, _, *_], values=[first, *_]):
            return unparsed(first) == name
        case ast.BinOp(op=ast.BitOr(), left=left):
            return unparsed(left) == name
    return False


def _begins_with(added: ast.expr | None, target: ast.expr) -> bool:
    """Whether a sum's first part is the target itself: `text = text + row + "\\n"`."""
    while isinstance(added, ast.BinOp) and isinstance(added.op, ast.Add):
        added = added.left
    return added is not None and unparsed(added) == unparsed(target)

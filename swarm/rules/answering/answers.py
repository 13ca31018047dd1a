"""What a handler's answers depend on, and how it answers a failure."""

from __future__ import annotations

import ast
import http
import re

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.rules.facts.independence import PURE_BUILTINS
from swarm.rules.facts.logging_calls import is_log_call, is_print

ANSWERING = ("fastapi.", "starlette.", "flask.", "werkzeug.", "pydantic.")
PURE_CALLS = frozenset({
    "json.dumps", "time.time", "uuid.uuid4", "datetime.datetime.now", "datetime.datetime.utcnow", "time.monotonic",
    "time.perf_counter", "http.HTTPStatus",
})  # fmt: skip
PURE_METHODS = frozenset({
    "get", "items", "keys", "values", "lower", "upper", "strip", "isoformat", "model_dump", "dict", "hexdigest",
    "decode", "encode", "format", "join", "split", "copy", "hex",
})  # fmt: skip
_STATUS_NAME = re.compile(r"HTTP_(\d{3})_")


def is_inert(index: Index, handler: Function, statement: ast.stmt) -> bool:
    """Whether a statement only builds an answer from constants and what the handler holds already."""
    match statement:
        case ast.Return(value=value):
            return value is None or (
                is_pure(index, handler, value) and (status_of(index, handler, value) or 200) < 400
            )
        case ast.Pass():
            return True
        case ast.Expr(value=ast.Call() as call):
            told = is_log_call(handler.module, call) or is_print(handler.module, call)
            return told and all(
                is_pure(index, handler, part) for part in [*call.args, *(k.value for k in call.keywords)]
            )
        case ast.Assign(targets=[ast.Name()], value=value):
            return is_pure(index, handler, value)
        case ast.If(test=test, body=body, orelse=orelse):
            return is_pure(index, handler, test) and all(is_inert(index, handler, part) for part in [*body, *orelse])
    return False


def is_pure(index: Index, handler: Function, value: ast.expr) -> bool:
    """Whether an expression asks nobody: no awaits, no calls but of pure functions and of answers' classes."""
    module = handler.module
    for node in walk(value):
        if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr | ast.Lambda):
            return False
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and _is_shared(index, handler, node):
            return False
        if not isinstance(node, ast.Call):
            continue
        dotted = index.resolve(module, node.func) or ""
        info = index.classes.get(dotted)
        is_model = info is not None and "__init__" not in info.methods
        is_known = dotted in PURE_CALLS or dotted in PURE_BUILTINS or dotted.startswith(ANSWERING)
        is_method = isinstance(node.func, ast.Attribute) and node.func.attr in PURE_METHODS
        if not (is_known or is_model or (is_method and index.named_function(module, node.func) is None)):
            return False
    return True


def _is_shared(index: Index, handler: Function, name: ast.Name) -> bool:
    """Whether a name stands for something of the module that others may change."""
    home, rest = index.tree.split(index.resolve(handler.module, name) or "", handler.module)
    statement = home.globals.get(rest.partition(".")[0]) if home is not None else None
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return False
    return not isinstance(statement.value, ast.Constant)


def status_of(index: Index, handler: Function, value: ast.expr) -> int | None:
    """The status of an answer, or of an HTTPException; None where it is computed."""
    match value:
        case ast.Tuple(elts=[_, status, *_]):
            return _number(status)
        case ast.Call():
            for keyword in value.keywords:
                if keyword.arg in ("status_code", "status", "code"):
                    return _number(keyword.value)
            dotted = index.resolve(handler.module, value.func) or ""
            name = dotted.rpartition(".")[2]
            if name in ("HTTPException", "abort"):
                return _number(value.args[0]) if value.args else None
            if name.endswith("Response") and dotted.startswith(ANSWERING) and len(value.args) > 1:
                return _number(value.args[1])
            return 200
    return 200


def _number(node: ast.expr) -> int | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    name = unparsed(node)
    if found := _STATUS_NAME.search(name):
        return int(found[1])
    member = getattr(http.HTTPStatus, name.removesuffix(".value").rpartition(".")[2], None)
    return int(member) if isinstance(member, http.HTTPStatus) else None


def failure_answers(index: Index, handler: Function, around: ast.Try | ast.TryStar, after: list[ast.stmt]) -> str:
    """Why a failure in a `try` must be known before the answer; "" where it is only answered with a 5xx."""
    usual = {ast.dump(part) for s in after for part in walk(s) if isinstance(part, ast.Return)}
    for clause in around.handlers:
        caught = unparsed(clause.type) if clause.type is not None else "every failure"
        for node in [part for statement in clause.body for part in walk(statement)]:
            if isinstance(node, ast.Raise) and node.exc is not None:
                status = status_of(index, handler, node.exc)
                is_plain_error = not (isinstance(node.exc, ast.Call) and "HTTP" in unparsed(node.exc.func))
                if not is_plain_error and (status is None or status < 500):
                    return f"{caught} is answered with {status or 'a status of its own'}"
            if isinstance(node, ast.Return):
                status = status_of(index, handler, node.value) if node.value is not None else 200
                if status is None or (status < 500 and ast.dump(node) not in usual):
                    return f"{caught} is answered with {status or 'a status of its own'}"
    return ""

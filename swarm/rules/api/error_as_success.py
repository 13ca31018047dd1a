"""Failures that are answered with 200: the sender believes that all is well and never delivers again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.index import Function, Index
from swarm.analysis.kinds.client_kinds import RESPONSES
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Rule

ERROR_KEYS = frozenset({"error", "errors", "detail", "exception"})
FAILED = ("error", "failed", "failure", "fail")
GOOD_KEYS = frozenset({"ok", "success", "succeeded", "successful"})
STATUS = ("status_code", "status")
# what somebody writes beside such an answer who means it
MEANT = re.compile(
    r"\b(?:200|2xx|retr(?:y|ies)|redeliver\w*|re-?send\w*|resent|deliver(?:s|y)? again|acknowledge\w*|ack)\b"
)
TOLD_BY = ("ok", "status_code", "status", "is_success", "is_error", "is_client_error", "is_server_error")
MOST_ANSWERING = 8


class ErrorAsSuccess(Rule):
    """A webhook catches an exception and answers 200 with an error inside.

    Why: senders of webhooks look at the status alone; a 200 ends the matter, so the event is lost, and no monitor
    sees a failure. Example: `except Exception as e: return {"error": str(e)}`.

    No mend: answering 5xx makes the sender deliver again, which is right only where the work may be repeated.
    """

    id = "error-as-success"
    category = "api"
    severity = "medium"
    title = "A failure is answered with 200"
    cwe = ("CWE-393",)
    sources = ("https://github.com/standard-webhooks/standard-webhooks",)
    bad = (
        Example(
            """from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook(event: dict):
    try:
        return {"id": event["id"]}
    except Exception as error:
        return {"status": "error", "why": str(error)}
""",
            None,
            "fastapi",
        ),
        Example(
            """from flask import Flask, jsonify, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    try:
        return jsonify(id=request.json["id"])
    except KeyError:
        return jsonify(error="no id")
""",
            None,
            "flask",
        ),
        Example(
            """import requests
from flask import Flask, jsonify, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    try:
        requests.post("https://a.example", json=request.json, timeout=5).raise_for_status()
    except requests.RequestException:
        return jsonify(status="error", detail="not passed on"), 200
    return jsonify(status="ok")
""",
            None,
            "flask",
        ),
        Example(
            """import requests
from flask import Flask, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    answer = requests.post("https://a.example", json=request.json, timeout=5)
    if not answer.ok:
        return {"status": "failed"}
    return {"status": "ok"}
""",
            None,
            "flask",
        ),
    )
    good = (
        """from fastapi import FastAPI
from fastapi.responses import JSONResponse
from flask import jsonify

app = FastAPI()


@app.post("/hook")
async def hook(event: dict):
    try:
        return {"id": event["id"]}
    except KeyError:
        return JSONResponse({"error": "no id"}, status_code=422)
    except ValueError:
        return jsonify(error="bad"), 400


@app.get("/health")
async def health():
    try:
        return {"ok": True}
    except Exception:
        return {"status": "error"}


@app.post("/other")
async def other(event: dict):
    try:
        return {"id": event["id"]}
    except KeyError:
        return {"id": None}
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every such answer in a route that takes a POST or PUT, in what such a route returns from, and for all."""
        takers = [route for route in index.routes if {"POST", "PUT"} & set(route.methods)]
        told: set[ast.AST] = set()
        for route in takers:
            for function in _answering(index, route.function):
                for node, kind in _hidden(index, function):
                    if node not in told:
                        told.add(node)
                        yield self._finding(function, node, f"catches {kind}", kind)
                for node in _after_bad_status(index, function):
                    if node not in told:
                        told.add(node)
                        yield self._finding(function, node, "meets a bad status", "status")
        for function in _catching_all(index) if takers else ():
            for node in index.own_of(function, ast.Return):
                if node.value is not None and _is_hidden(index, function.module, node.value, _second_name(function)):
                    yield self._finding(function, node, "is called with errors", "handler")

    def _finding(self, function: Function, node: ast.AST, how: str, kind: str) -> Finding:
        return self.finding(
            function.module, node,
            evidence=f"{function.qualname} {how} and answers 200 with an error inside",
            recommendation="Answer 5xx where the sender should deliver again, 4xx where it should not",
            anchor=f"{function.qualname}:{kind}", mendable=False, deliberate=_is_explained(function.module, node),
        )  # fmt: skip


def _is_explained(module: Module, node: ast.AST) -> bool:
    """Whether a comment of the `except` block speaks of how the sender takes such an answer."""
    block = next((one for one in module.ancestors(node) if isinstance(one, ast.ExceptHandler)), None)
    first = block.lineno if block is not None else getattr(node, "lineno", 1)
    lines = (module.line(number) for number in range(first, (getattr(node, "end_lineno", None) or first) + 1))
    return any(MEANT.search(line.partition("#")[2]) for line in lines)


def _answering(index: Index, handler: Function) -> list[Function]:
    """The handler, and the target's functions whose result it gives back as its answer."""
    found = [handler]
    for function in found:
        for node in index.own_nodes(function):
            value = node.value if isinstance(node, ast.Return) else None
            value = value.value if isinstance(value, ast.Await) else value
            if isinstance(value, ast.Call) and len(found) < MOST_ANSWERING:
                callee = index.resolve_call(function.module, value)
                found += [callee] if callee is not None and callee not in found else []
    return found


def _hidden(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    """The answers of `except` blocks that tell of an error under 200, with what is caught."""
    module = function.module
    for handler in index.own_of(function, ast.ExceptHandler):
        parts = [part for statement in handler.body for part in walk(statement)]
        if any(isinstance(part, ast.Attribute) and part.attr in STATUS and isinstance(part.ctx, ast.Store)
               for part in parts):  # fmt: skip
            continue  # `response.status_code = 502`
        kind = unparsed(handler.type) if handler.type else "everything"
        for node in parts:
            match node:
                case ast.Return(value=value) if value is not None:
                    if _is_hidden(index, module, value, handler.name):
                        yield node, kind
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    if _is_hidden(index, module, value, handler.name) and _is_answered(index, function, name):
                        yield node, kind


def _after_bad_status(index: Index, function: Function) -> Iterator[ast.Return]:
    """Answers that tell of an error under 200 where another service's answer was asked for its status."""
    module = function.module
    for decision in index.own_of(function, ast.If):
        asked = [part for part in walk(decision.test) if isinstance(part, ast.Attribute) and part.attr in TOLD_BY]
        if any(index.kinds.of(module, part.value) in RESPONSES.values() for part in asked):
            for part in (node for statement in decision.body for node in walk(statement)):
                if isinstance(part, ast.Return) and part.value is not None \
                        and _is_hidden(index, module, part.value, None):  # fmt: skip
                    yield part


def _is_answered(index: Index, function: Function, name: str) -> bool:
    """Whether a variable alone is the answer, and nothing gives that answer a status."""
    for node in index.own_nodes(function):
        value = node.value if isinstance(node, ast.Return) else None
        if isinstance(value, ast.Call) and value.args and _has_plain_status(index, function.module, value):
            value = value.args[0]
        if isinstance(value, ast.Name) and value.id == name:
            return True
    return False


def _catching_all(index: Index) -> Iterator[Function]:
    """Functions that answer for any exception: `@app.errorhandler(Exception)`, `@app.exception_handler(…)`."""
    for function in index.functions:
        for decorator in function.node.decorator_list:
            match decorator:
                case ast.Call(
                    func=ast.Attribute(attr="errorhandler" | "exception_handler"), args=[ast.Name(id=name)]
                ):
                    if name in ("Exception", "BaseException"):
                        yield function


def _second_name(function: Function) -> str | None:
    given = [argument.arg for argument in parameters(function.node)]
    return given[-1] if given else None


def _is_hidden(index: Index, module: Module, value: ast.expr, caught: str | None) -> bool:
    """Whether the answer tells of an error (`caught` is its variable) and has no status of its own but 200."""
    if isinstance(value, ast.Tuple) and len(value.elts) == 2:
        return unparsed(value.elts[1]) == "200" and _tells(index, module, value.elts[0], caught)
    return _tells(index, module, value, caught)


def _tells(index: Index, module: Module, value: ast.expr, caught: str | None) -> bool:
    if isinstance(value, ast.Dict):
        given = [(key.value, item) for key, item in zip(value.keys, value.values, strict=True)
                 if isinstance(key, ast.Constant)]  # fmt: skip
        return any(_is_bad_news(str(key), item, caught) for key, item in given)
    if isinstance(value, ast.Call):
        if not _has_plain_status(index, module, value):
            return False
        inner = len(value.args) > 0 and _tells(index, module, value.args[0], caught)
        return inner or any(_is_bad_news(k.arg or "", k.value, caught) for k in value.keywords)
    return False


def _is_bad_news(key: str, value: ast.expr, caught: str | None) -> bool:
    if isinstance(value, ast.Constant):
        said_no = key.lower() in GOOD_KEYS and value.value is False
        return said_no or value.value in FAILED or (key in ERROR_KEYS and value.value not in (None, False, ""))
    return key in ERROR_KEYS or any(isinstance(part, ast.Name) and part.id == caught for part in walk(value))


def _has_plain_status(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a call makes an answer from data that goes out with 200."""
    dotted = index.resolve(module, call.func) or unparsed(call.func)
    name = dotted.rsplit(".", 1)[-1]
    if dotted in index.classes:  # a model of the answer
        return not call.args and not dotted.endswith(("Error", "Exception"))
    if name == "make_response" and len(call.args) == 2:
        return unparsed(call.args[1]) in ("200", "HTTPStatus.OK")
    if name not in ("jsonify", "JSONResponse", "ORJSONResponse", "dict", "make_response") or len(call.args) > 1:
        return False
    is_data = name in ("jsonify", "dict")  # `jsonify(status="error")` names a field, no status
    given = [keyword.value for keyword in call.keywords if keyword.arg in STATUS and not is_data]
    return all(unparsed(value).rsplit(".", 1)[-1] in ("200", "HTTP_200_OK", "OK") for value in given)

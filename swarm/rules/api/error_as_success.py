"""Failures that are answered with 200: the sender believes that all is well and never delivers again."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from swarm.analysis.index import Index, Route
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Rule

ERROR_KEYS = frozenset({"error", "errors", "detail", "exception"})
FAILED = frozenset({"error", "failed", "failure"})


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

    def find(self, index: Index) -> Iterable[Finding]:
        """Every such answer in a route that takes a POST or PUT."""
        for route in index.routes:
            if {"POST", "PUT"} & set(route.methods):
                yield from self._in_route(index, route)

    def _in_route(self, index: Index, route: Route) -> Iterable[Finding]:
        module = route.function.module
        for handler in (node for node in index.own_nodes(route.function) if isinstance(node, ast.ExceptHandler)):
            for node in (part for statement in handler.body for part in ast.walk(statement)):
                if isinstance(node, ast.Return) and node.value is not None and _is_hidden(index, module, node.value):
                    kind = ast.unparse(handler.type) if handler.type else "everything"
                    yield self.finding(
                        module, node,
                        evidence=f"{route.function.qualname} catches {kind} and answers 200 with an error inside",
                        recommendation="Answer 5xx where the sender should deliver again, 4xx where it should not",
                        anchor=f"{route.function.qualname}:{kind}", mendable=False,
                    )  # fmt: skip


def _is_hidden(index: Index, module: Module, value: ast.expr) -> bool:
    """Whether the answer tells of an error and has no status of its own."""
    if isinstance(value, ast.Dict):
        keys = {key.value for key in value.keys if isinstance(key, ast.Constant)}
        words = {item.value for item in value.values if isinstance(item, ast.Constant)}
        return bool(keys & ERROR_KEYS or words & FAILED)
    if isinstance(value, ast.Call):
        name = (index.resolve(module, value.func) or ast.unparse(value.func)).rsplit(".", 1)[-1]
        given = {keyword.arg for keyword in value.keywords}
        if name not in ("jsonify", "JSONResponse", "ORJSONResponse") or given & {"status_code", "status"}:
            return False
        inner = any(_is_hidden(index, module, argument) for argument in value.args) and len(value.args) == 1
        return bool(given & ERROR_KEYS) or inner
    return False

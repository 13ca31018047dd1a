"""The rule no-health-check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import AppObject, Index
from swarm.analysis.source import FunctionNode, Module
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.placing import bound_names, code_mentions, free_name, main_app

_HEALTH = re.compile(
    r"/_{0,2}(health[\w-]*|healthz?|livez?|liveness|readyz?|readiness|alive|ping|status|heartbeat|lbheartbeat|up)_{0,2}/?$",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(^|_)(health|healthz|liveness|readiness|heartbeat)(_|$)", re.IGNORECASE)  # of a handler


class NoHealthCheck(Rule):
    """No route says that the service lives: a load balancer or orchestrator cannot tell a hung process from a
    good one.

    The mend adds `GET /health` in the framework's own style, beside the application. It answers that the process
    takes requests and never asks databases or upstreams: a check that fails when a neighbour does restarts healthy
    processes. Where a route of the service would catch the path already, there is a recommendation only.
    """

    id = "no-health-check"
    category = "monitoring"
    severity = "medium"
    title = "No health check"
    sources = ("kubernetes.io: liveness, readiness and startup probes",)
    bad = (
        Example(
            'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.post("/orders")\n'
            'async def take(order: dict) -> dict:\n    return {"ok": True}\n',
            'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/health")\n'
            "async def health() -> dict[str, str]:\n"
            '    return {"status": "ok"}\n\n\n@app.post("/orders")\n'
            'async def take(order: dict) -> dict:\n    return {"ok": True}\n',
            "fastapi",
        ),
        Example(
            "from flask import Flask\n\n\ndef create_app():\n    app = Flask(__name__)\n"
            '    app.config["X"] = 1\n\n    @app.post("/orders")\n    def take():\n        return {"ok": True}\n\n'
            "    return app\n",
            "from flask import Flask\n\n\ndef create_app():\n    app = Flask(__name__)\n\n"
            '    @app.get("/health")\n    def health():\n        return {"status": "ok"}\n\n'
            '    app.config["X"] = 1\n\n    @app.post("/orders")\n    def take():\n        return {"ok": True}\n\n'
            "    return app\n",
            "flask",
        ),
        # a route that takes any path stands in the way: a recommendation only
        Example(
            "from flask import Flask\n\napp = Flask(__name__)\n\n\n"
            '@app.get("/<path:page>")\ndef show(page):\n    return page\n',
            None,
            "flask",
        ),
    )
    good = (
        'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/api/healthz")\nasync def alive():\n'
        "    return {}\n",
        'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef health_check():\n'
        '    return {"status": "HEALTHY"}\n',
        'from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.route("/ping")\ndef ping():\n    return "pong"\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application."""
        app = main_app(index)
        asked = [route for route in index.routes if {"GET", "HEAD"} & set(route.methods)]
        if app is None or any(_HEALTH.search(route.path) or _NAMED.search(route.function.name) for route in asked):
            return
        if code_mentions(index, r"[\"']/[\w/.-]*(health|readyz|livez|heartbeat)[\w-]*/?[\"']"):
            return
        yield self.finding(
            app.module,
            app.node,
            evidence="no route looks like a health check",
            recommendation="Add a route that answers 200 as long as the process takes requests.",
            anchor=f"app {app.name}",
            mendable=not _caught_already(index) and not isinstance(app.node, ast.Return),
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A route right after the application."""
        app = main_app(index)
        if app is None or app.module.path != findings[0].file or _caught_already(index):
            return None
        return Mend(
            "Add a health check",
            "Adds GET /health, which answers 200 as long as the process takes requests; it asks no upstream.",
            (edited(app.module, _edits(app)),),
        )


def _caught_already(index: Index) -> bool:
    return any(re.fullmatch(r"/?(\{[^}]*\}|<[^>]*>)/?", route.path) for route in index.routes)


def _edits(app: AppObject) -> list[Edit]:
    module = app.module
    name = free_name(module, "health", "health_check")
    if app.framework == "starlette":
        return _starlette_edits(app, name)
    typed = _is_typed(module)
    if app.framework == "fastapi":
        head = f"async def {name}() -> dict[str, str]:" if typed else f"async def {name}():"
    else:
        head = f"def {name}() -> dict[str, str]:" if typed else f"def {name}():"
    lines = [f'@{app.name}.get("/health")', head, '    return {"status": "ok"}']
    return [_block(module, app.node, lines)]


def _is_typed(module: Module) -> bool:
    """Whether the module's functions say what they return; for FastAPI true where there is none."""
    functions: list[FunctionNode] = [*module.nodes(ast.FunctionDef), *module.nodes(ast.AsyncFunctionDef)]
    if any(function.returns is not None for function in functions):
        return True
    return not functions


def _block(module: Module, node: ast.stmt, lines: list[str]) -> Edit:
    """A function after the application and what is fastened to it on the following lines."""
    if module.enclosing_function(node) is None:
        node = _fastened(module, node)
    indent = module.indent(node)
    blank = "\n" if indent else "\n\n"
    end = module.line_start((node.end_lineno or node.lineno) + 1)
    lead = "" if module.text[:end].endswith("\n") else "\n"
    following = module.text[end:]
    text = "".join(f"{indent}{line}\n" for line in lines)
    if not following.strip():
        return Edit(end, end, lead + blank + text)
    there = len(following) - len(following.lstrip("\n"))
    wanted = len(blank) if lines[-1].startswith(" ") or not there else 1  # behind a function as many as before it
    return Edit(end, end, lead + blank + text + "\n" * max(0, wanted - there))


def _fastened(module: Module, node: ast.stmt) -> ast.stmt:
    """The last of the statements that follow a module-level application without a blank line."""
    body = module.tree.body
    place = body.index(node) if node in body else len(body)
    last = node
    for statement in body[place + 1 :]:
        same = isinstance(statement, ast.Expr | ast.Assign) and statement.lineno == (last.end_lineno or 0) + 1
        if not same:
            break
        last = statement
    return last


def _starlette_edits(app: AppObject, name: str) -> list[Edit]:
    module = app.module
    response = "JSONResponse" if "JSONResponse" not in bound_names(module) - set(module.imports) else ""
    if not response:
        return []
    edits = [module.insert_import("from starlette.responses import JSONResponse")]
    if module.imports.get("JSONResponse", "").endswith(".JSONResponse"):
        edits = []
    lines = [
        f"async def {name}(request):",
        '    return JSONResponse({"status": "ok"})',
        "",
        f'{app.name}.add_route("/health", {name})',
    ]
    if module.enclosing_function(app.node) is None:
        lines.insert(2, "")
    indent = module.indent(app.node)
    block = _block(module, app.node, lines)
    return [*edits, Edit(block.start, block.end, block.text.replace(f"\n{indent}\n", "\n\n"))]

"""The rule open-inner-route."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Index, Route
from swarm.core.findings import Finding, Severity
from swarm.rules.distinct import once_a_handler
from swarm.rules.rule import Example, Rule
from swarm.rules.security.guards.guarding import is_guarded
from swarm.rules.security.guards.judging import ways_of

_INNER = re.compile(
    r"(^|[/_-])(admin|debug|internal|console|dump|backup|maintenance|impersonate|sudo|reindex|shutdown|flush|purge"
    r"|migrate|reset_?db|env|environ|_?config)([/_-]|$)", re.IGNORECASE
)  # fmt: skip
_FIGURES = re.compile(r"(^|/)(metrics|prometheus|actuator(/\w+)?)/?$", re.IGNORECASE)
_PERSONS = re.compile(
    r"(^|/)(users?|customers?|contacts?|leads?|patients?|members?|accounts?|persons?|people|employees?|subscribers?"
    r"|profiles?|gdpr|privacy|export)(/|$)", re.IGNORECASE
)  # fmt: skip
_SAYS_WHO = re.compile(
    r"(^|/)(login|log-in|signin|sign-in|signup|register|logout|token|auth|oauth|me|health|validat\w+|exists|available|availability)(/|$)"
)


class OpenInnerRoute(Rule):
    """A route for administrators or debugging, or one that reads and deletes what is stored about persons, asks
    nobody who he is: whoever finds the address uses it.

    Nothing is said of routes behind a dependency, hook, decorator or middleware that asks, and of those that let
    people in. There is no mend: who may call them, only the owner knows. Where a gateway asks, this is no finding for
    you; tell it with a comment `# deliberate` at the handler.
    """

    id = "open-inner-route"
    category = "security"
    severity = "high"
    cwe = ("CWE-306", "CWE-862")
    title = "A route of the inside is open to everybody"
    sources = ("OWASP API5:2023", "OWASP API1:2023", "OWASP ASVS 5.0 8.2.1")
    bad = (
        Example(
            "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.post('/admin/reload')\n"
            "async def reload():\n    return {'done': True}\n",
            None,
            "fastapi",
        ),
        Example(
            "import sqlite3\n\nfrom flask import Flask, jsonify\n\napp = Flask(__name__)\n\n\n"
            "@app.get('/customers/<int:number>')\ndef customer(number):\n    db = sqlite3.connect('shop.db')\n"
            "    rows = db.execute('SELECT * FROM customers WHERE id = ?', (number,)).fetchall()\n"
            "    return jsonify(rows)\n",
            None,
            "flask",
        ),
        Example(
            "import os\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\n\n"
            "async def env(request):\n"
            "    return JSONResponse(dict(os.environ))\n\n\n"
            "app = Starlette(routes=[Route('/debug/env', env)])\n",
            None,
            "starlette",
        ),
    )
    good = (
        "from fastapi import Depends, FastAPI, Header, HTTPException\n\napp = FastAPI()\n\n\n"
        "def admin(x_admin_token: str = Header()):\n    if x_admin_token != app.state.token:\n"
        "        raise HTTPException(403)\n\n\n@app.post('/admin/reload', dependencies=[Depends(admin)])\n"
        "async def reload():\n    return {'done': True}\n",
        "from flask import Flask\nfrom flask_login import login_required\n\napp = Flask(__name__)\n\n\n"
        "@app.get('/admin/stats')\n@login_required\ndef stats():\n    return {}\n",
        "from starlette.applications import Starlette\nfrom starlette.middleware import Middleware\n"
        "from starlette.middleware.authentication import AuthenticationMiddleware\n"
        "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\nimport backend\n\n\n"
        "async def stats(request):\n    return JSONResponse({})\n\n\n"
        "app = Starlette(routes=[Route('/admin/stats', stats)],\n"
        "                middleware=[Middleware(AuthenticationMiddleware, backend=backend.Basic())])\n",
        # nothing of the inside, and nothing is stored
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/prices')\nasync def prices():\n"
        "    return {}\n\n\n@app.get('/users/count')\nasync def count():\n    return {'count': 3}\n",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every open route of the inside, each handler once."""
        for route, what, severity in once_a_handler(_open(index)):
            yield self.finding(
                route.function.module,
                route.function.node,
                evidence=f"{'/'.join(route.methods)} {route.path}: {what}, and nothing asks who calls it",
                recommendation="Say who may call it: a token of your own, a login, or a network nobody else reaches.",
                anchor=route.function.qualname,
                mendable=False,
                confidence="medium",
                severity=severity,
            )


def _open(index: Index) -> Iterator[tuple[Route, str, Severity]]:
    for route in index.routes:
        if is_added(route.function.module) or "WEBSOCKET" in route.methods or _SAYS_WHO.search(route.path):
            continue
        what, severity = inside(index, route)
        if what and not is_guarded(index, route):
            yield route, what, severity


def inside(index: Index, route: Route) -> tuple[str, Severity]:
    """What of the inside the route shows or does; "" for nothing."""
    if _INNER.search(route.path):
        return "a route for administrators or debugging", "high"
    if _FIGURES.search(route.path):
        return "figures of the service's inside", "low"
    if not _PERSONS.search(route.path) or not set(route.methods) & {"GET", "DELETE"}:
        return "", "info"
    reached = [effects_cache(index).of(function) for function in ways_of(index, route.function)]
    if any(effects.tables_read or effects.tables_written for effects in reached):
        does = "deletes" if "DELETE" in route.methods else "reads"
        return f"it {does} what is stored about persons", "medium"
    return "", "info"

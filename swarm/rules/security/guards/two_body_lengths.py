"""The rule two-body-lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.writing.middlewares import Middleware, installed, is_installed
from swarm.rules.writing.placing import GUARDS, main_app

_CLASS = "BodyLengthsMiddleware"


class TwoBodyLengths(Rule):
    """Servers built on h11 hand on a request with a Content-Length and a Transfer-Encoding, and keep its connection
    open. A proxy that goes by the other of the two takes the rest of the body for another request: one sender's
    words become the beginning of somebody else's request.

    The mend adds a small ASGI middleware of the standard library that answers 400 to such requests and closes their
    connection; no correct sender makes them. `BODY_LENGTHS=0` turns it off. WSGI servers refuse them by themselves,
    or close the connection.
    """

    id = "two-body-lengths"
    category = "security"
    severity = "low"
    cwe = ("CWE-444",)
    title = "Requests that tell their length twice are taken"
    sources = ("RFC 9112 6.1, 6.3", "OWASP ASVS 5.0 4.2.1")
    bad = (
        Example(
            'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.post("/hook")\nasync def hook(event: dict):\n'
            '    return {"ok": True}\n',
            "from fastapi import FastAPI\n\nfrom body_lengths import BodyLengthsMiddleware\n\napp = FastAPI()\n"
            'app.add_middleware(BodyLengthsMiddleware)\n\n\n@app.post("/hook")\nasync def hook(event: dict):\n'
            '    return {"ok": True}\n',
            "fastapi",
        ),
    )
    good = (
        # somebody looks at it
        'from fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\n\n\n@app.post("/hook")\n'
        'async def hook(request: Request):\n    if "transfer-encoding" in request.headers:\n'
        '        raise HTTPException(400)\n    return {"ok": True}\n',
        # a WSGI server closes the connection, or refuses them
        'from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post("/hook")\ndef hook():\n'
        '    return {"n": len(request.data)}\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application."""
        app = main_app(index)
        if app is None or app.framework == "flask" or is_installed(index, _CLASS):
            return
        takes_bodies = any(set(route.methods) & {"POST", "PUT", "PATCH"} for route in index.routes)
        if not takes_bodies or any(_looks_at_it(module) for module in index.tree.modules.values()):
            return
        yield self.finding(
            app.module,
            app.node,
            evidence="routes take bodies, and nothing refuses a Content-Length beside a Transfer-Encoding",
            recommendation="Answer 400 to such requests and close the connection, here or in the proxy in front.",
            anchor=f"app {app.name}",
            mendable=True,
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A middleware in a module of its own, outside of all that answers."""
        text = (Path(__file__).parent / "templates" / "body_lengths.txt").read_text(encoding="utf-8")
        return installed(
            index,
            findings,
            Middleware("body_lengths", _CLASS, text, ""),
            "Refuse requests that tell their length twice",
            "A Content-Length beside a Transfer-Encoding gets 400, and its connection is closed. "
            "BODY_LENGTHS=0 turns it off.",
        )


def _looks_at_it(module: Module) -> bool:
    """Whether the service's own code knows the header; what other mends added to read bodies refuses nothing."""
    added = GUARDS | {"BodyLimitMiddleware"}
    return "transfer-encoding" in module.text.lower() and not added & module.globals.keys()

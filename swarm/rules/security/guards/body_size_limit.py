"""The rule body-size-limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.writing.middlewares import installed, middleware_text
from swarm.rules.writing.placing import code_mentions, main_app

# reading the length, not writing it: an answer with a Content-Length limits nothing
_KNOWN = (
    r"MAX_CONTENT_LENGTH|(get\(|\[|==)\s*b?[\"']content-length|\.content_length|[\"']CONTENT_LENGTH[\"']|max_body|body_limit"
    r"|max_request|limit_?upload|size_?limit|\b413\b|ENTITY_TOO_LARGE|CONTENT_TOO_LARGE|RequestEntityTooLarge"
)


class BodySizeLimit(Rule):
    """Nothing limits how large a request's body may be: one sender can fill the memory, and an unsigned body is read
    to its end before its signature can be refused.

    The mend adds a small module of the standard library that answers 413 before the body is read; `MAX_BODY_BYTES`
    sets the limit (default 1 MB, far above any webhook), 0 turns it off. It never touches websockets, and hands
    a body with a Content-Length on as it comes; one sent in chunks is read up to the limit first.
    """

    id = "body-size-limit"
    category = "security"
    severity = "medium"
    cwe = ("CWE-770",)
    title = "No limit on the size of a body"
    sources = ("OWASP API4:2023", "OWASP ASVS 5.0 5.2.1")
    bad = (
        Example(
            'from fastapi import FastAPI, Request\n\napp = FastAPI(\n    title="Hooks",\n)  # the app\n\n\n'
            '@app.post("/hook")\nasync def hook(request: Request):\n    return {"n": len(await request.body())}\n',
            "from fastapi import FastAPI, Request\n\nfrom body_limit import BodyLimitMiddleware\n\n"
            'app = FastAPI(\n    title="Hooks",\n)  # the app\napp.add_middleware(BodyLimitMiddleware)\n\n\n'
            '@app.post("/hook")\nasync def hook(request: Request):\n    return {"n": len(await request.body())}\n',
            "fastapi",
        ),
        Example(
            'from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post("/hook")\ndef hook():\n'
            '    return {"n": len(request.get_data())}\n',
            "from flask import Flask, request\n\nfrom body_limit import BodyLimitMiddleware\n\n"
            "app = Flask(__name__)\napp.wsgi_app = BodyLimitMiddleware(app.wsgi_app)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    return {"n": len(request.get_data())}\n',
            "flask",
        ),
    )
    good = (
        'from flask import Flask, request\n\napp = Flask(__name__)\napp.config["MAX_CONTENT_LENGTH"] = 65536\n\n\n'
        '@app.post("/hook")\ndef hook():\n    return {"n": len(request.get_data())}\n',
        # nothing takes a body here
        'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/price")\nasync def price():\n    return 1\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application."""
        app = main_app(index)
        takes_bodies = any(set(route.methods) & {"POST", "PUT", "PATCH"} for route in index.routes)
        if app is None or not takes_bodies or code_mentions(index, _KNOWN):
            return
        yield self.finding(
            app.module,
            app.node,
            evidence="routes take bodies, and nothing looks at their size",
            recommendation="Refuse bodies over a limit with 413 before reading them.",
            anchor=f"app {app.name}",
            mendable=True,
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A limiting middleware in a module of its own."""
        return installed(
            index,
            findings,
            middleware_text(Path(__file__).parent / "templates", "body_limit", "BodyLimitMiddleware"),
            "Refuse bodies that are too large",
            "Answers 413 to bodies over MAX_BODY_BYTES (default 1 MB; 0 turns it off) before reading them.",
        )

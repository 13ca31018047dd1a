"""The rule no-request-id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.writing.middlewares import installed, middleware_text
from swarm.rules.writing.placing import main_app, text_mentions

_KNOWN = (
    r"request[-_]?id|correlation[-_]?id|trace[-_]?id|traceparent|opentelemetry|ddtrace|structlog\.contextvars"
    r"|requestid(middleware)?\b|elastic-?apm|newrelic"
)


class NoRequestId(Rule):
    """No id ties the log lines of one request together, nor a sender's report to what happened here.

    The mend adds a small module of the standard library that takes `X-Request-ID` (only letters, digits, `.`,
    `_`, `-`,
    at most 128: anything else is replaced, so that nobody writes into the log) or makes one, keeps it in a context
    variable, gives every log record a `request_id`, and sends it back. `REQUEST_ID_HEADER` names the header; empty or
    0 turns everything off. It never changes the log's format: `%(request_id)s` shows the id when the team wants it.
    """

    id = "no-request-id"
    category = "monitoring"
    severity = "low"
    title = "No request id"
    sources = ("OWASP ASVS 5.0 16.2.1",)
    bad = (
        Example(
            "from starlette.applications import Starlette\n\napp = Starlette()\n",
            "from starlette.applications import Starlette\n\nfrom request_id import RequestIdMiddleware\n\n"
            "app = Starlette()\napp.add_middleware(RequestIdMiddleware)\n",
            "starlette",
        ),
        Example(
            "import logging\n\nfrom flask import Flask\n\napp = Flask(__name__)\nlog = logging.getLogger(__name__)\n",
            "import logging\n\nfrom flask import Flask\n\nfrom request_id import RequestIdMiddleware\n\n"
            "app = Flask(__name__)\napp.wsgi_app = RequestIdMiddleware(app.wsgi_app)\n"
            "log = logging.getLogger(__name__)\n",
            "flask",
        ),
    )
    good = (
        "from asgi_correlation_id import CorrelationIdMiddleware\nfrom fastapi import FastAPI\n\napp = FastAPI()\n"
        "app.add_middleware(CorrelationIdMiddleware)\n",
        "from flask import Flask, g, request\n\napp = Flask(__name__)\n\n\n@app.before_request\ndef mark():\n"
        '    g.request_id = request.headers.get("X-Request-ID")\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application."""
        app = main_app(index)
        if app is None or text_mentions(index, _KNOWN):
            return
        yield self.finding(
            app.module,
            app.node,
            evidence="no module reads, makes or logs an id of the request",
            recommendation="Take X-Request-ID or make one, log it with every line, and send it back.",
            anchor=f"app {app.name}",
            mendable=True,
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A request id middleware in a module of its own."""
        return installed(
            index,
            findings,
            middleware_text(Path(__file__).parent, "request_id", "RequestIdMiddleware"),
            "Give every request an id",
            "Takes or makes X-Request-ID, puts it into every log record as request_id, and sends it back. "
            "REQUEST_ID_HEADER=0 turns it off.",
        )

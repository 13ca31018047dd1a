"""The rule guessed-content-type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.security.guards.generated import middleware
from swarm.rules.writing.middlewares import installed, is_installed
from swarm.rules.writing.placing import main_app, text_mentions

_CLASS = "AnswerHeadersMiddleware"
_KNOWN = r"nosniff|X-Content-Type-Options|\btalisman\b|secweb|secure_headers|\bsecure\.(Secure|SecureHeaders)|helmet"


class GuessedContentType(Rule):
    """Nothing says of an answer that its type is not to be guessed: a browser that is led to it may take JSON with a
    sender's words in it for a page.

    The mend adds a small module of the standard library that gives JSON answers `X-Content-Type-Options: nosniff`
    where they have none; pages, scripts and files stay as they are. `NOSNIFF=0` turns it off. A proxy in front may do
    the same.
    """

    id = "guessed-content-type"
    category = "security"
    severity = "low"
    cwe = ("CWE-693",)
    title = "Nothing says that an answer's type is not to be guessed"
    sources = ("OWASP ASVS 5.0 3.4.4", "fetch.spec.whatwg.org: X-Content-Type-Options")
    order = 82
    bad = (
        Example(
            "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/leads')\nasync def leads():\n"
            "    return []\n",
            "from fastapi import FastAPI\n\nfrom answer_headers import AnswerHeadersMiddleware\n\napp = FastAPI()\n"
            "app.add_middleware(AnswerHeadersMiddleware)\n\n\n@app.get('/leads')\nasync def leads():\n"
            "    return []\n",
            "fastapi",
        ),
        Example(
            "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get('/leads')\ndef leads():\n    return []\n",
            "from flask import Flask\n\nfrom answer_headers import AnswerHeadersMiddleware\n\n"
            "app = Flask(__name__)\napp.wsgi_app = AnswerHeadersMiddleware(app.wsgi_app)\n\n\n"
            "@app.get('/leads')\ndef leads():\n    return []\n",
            "flask",
        ),
    )
    good = (
        "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.after_request\ndef headers(response):\n"
        "    response.headers['X-Content-Type-Options'] = 'nosniff'\n    return response\n\n\n"
        "@app.get('/leads')\ndef leads():\n    return []\n",
        "from flask import Flask\nfrom flask_talisman import Talisman\n\napp = Flask(__name__)\nTalisman(app)\n\n\n"
        "@app.get('/leads')\ndef leads():\n    return []\n",
        "print('no service')\n",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application."""
        app = main_app(index)
        if app is None or not index.routes or is_installed(index, _CLASS) or text_mentions(index, _KNOWN):
            return
        yield self.finding(
            app.module,
            app.node,
            evidence="no answer carries X-Content-Type-Options",
            recommendation="Send X-Content-Type-Options: nosniff with every answer, here or in the proxy in front.",
            anchor=f"app {app.name}",
            mendable=True,
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A middleware in a module of its own."""
        return installed(
            index,
            findings,
            middleware("answer_headers", _CLASS),
            "Say that the type of JSON answers is not to be guessed",
            "JSON answers carry X-Content-Type-Options: nosniff. NOSNIFF=0 turns it off.",
        )

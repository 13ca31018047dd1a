"""The rule open-redirect."""

from __future__ import annotations

from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import Taint
from swarm.analysis.index import Index
from swarm.rules.rule import Example
from swarm.rules.security.data_flow import FlowRule, Hit, calls

_REDIRECTS = (
    "flask.redirect", "werkzeug.utils.redirect", "starlette.responses.RedirectResponse",
    "fastapi.responses.RedirectResponse",
)  # fmt: skip


class OpenRedirect(FlowRule):
    """A request chooses where an answer leads: a link to the service takes its victim to any other host.

    Left alone: addresses whose host is fixed (`"/orders/" + id`), hosts that were checked against a list, targets
    that were checked to begin with one slash and not with two, `url_for`.
    """

    id = "open-redirect"
    category = "security"
    severity = "medium"
    cwe = ("CWE-601",)
    title = "A request chooses where it is sent on to"
    sources = ("OWASP ASVS 5.0 3.7.2", "OWASP: unvalidated redirects")
    harm = "is where the answer leads"
    recommendation = "Lead to paths of the service alone, or compare the host with a fixed list."
    bad = (
        Example(
            "from flask import Flask, redirect, request\n\napp = Flask(__name__)\n\n\n@app.get('/out')\ndef out():\n"
            "    return redirect(request.args.get('next') or '/')\n",
            None,
            "flask",
        ),
        Example(
            "from fastapi import FastAPI\nfrom fastapi.responses import RedirectResponse\n\napp = FastAPI()\n\n\n"
            "@app.get('/out')\nasync def out(to: str = '/'):\n    return RedirectResponse(url=to)\n",
            None,
            "fastapi",
        ),
    )
    good = (
        "from urllib.parse import urlparse\n\nfrom flask import Flask, abort, redirect, request\n\n"
        "app = Flask(__name__)\n\n\n@app.get('/out')\ndef out():\n    target = request.args['next']\n"
        "    if urlparse(target).netloc not in ('shop.example', 'blog.example'):\n        abort(400)\n"
        "    return redirect(target)\n",
        "from fastapi import FastAPI\nfrom fastapi.responses import RedirectResponse\n\napp = FastAPI()\n\n\n"
        "@app.get('/o/{name}')\nasync def out(name: str):\n    return RedirectResponse(f'/orders/{name}')\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Where redirects lead."""
        if calls(seen, *_REDIRECTS):
            yield Hit(seen.argument(0, "location", "url"), ("host",), _stays_here)
        elif seen.what == "store" and str(seen.argument(0).constant).lower() == "location" \
                and "headers" in seen.receiver.dotted:  # fmt: skip
            yield Hit(seen.argument(1), ("host",), _stays_here)


def _stays_here(taint: Taint) -> bool:
    """Whether it was checked to begin with one slash and not with two."""
    return "first:/" in taint.marks and bool({"not-first://", "without://"} & taint.marks)

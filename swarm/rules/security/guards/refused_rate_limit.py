"""The rule refused-rate-limit."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.security.guards.generated import middleware
from swarm.rules.writing.middlewares import installed, is_installed
from swarm.rules.writing.placing import code_mentions, main_app, text_mentions

_CLASS = "RateLimitMiddleware"
# answering 429 or a library that does; a client that reads a 429 of another service limits nobody
_KNOWN = (
    r"slowapi|flask[-_]limiter|fastapi[-_]limiter|starlette[-_]limiter|asgi[-_]ratelimit|RateLimit(er|ing)?Middleware"
    r"|status_code\s*=\s*(\w+\.)*(HTTP_)?429|\b(abort|HTTPException)\(\s*429|\blimiter\.limit\(|,\s*429\s*\n"
    r"|\b(raise|return)\b.*\bTOO_MANY_REQUESTS"
)


class RefusedRateLimit(Rule):
    """Nothing slows down a sender whose requests are refused again and again: signatures and tokens can be tried as
    fast as the network carries them, and every try costs the service work.

    The mend adds a small module of the standard library that counts by sender. Over `REFUSED_PER_MINUTE` refused
    requests (default 60) the next refused ones are answered 429 with Retry-After, while a good one still passes: a
    limit on good ones loses webhooks. Over `RATE_LIMIT_PER_SENDER` requests a second (default 500, far above a
    sender's traffic) all are. 0 turns either off. A sender is the peer's address; `TRUSTED_PROXIES` names the proxies
    whose X-Forwarded-For is believed. Each process counts for itself, and remembers 10,000 senders at most.
    """

    id = "refused-rate-limit"
    category = "security"
    severity = "low"
    cwe = ("CWE-307", "CWE-770")
    title = "Refused requests are not slowed down"
    sources = ("OWASP API4:2023", "OWASP ASVS 5.0 2.4.1")
    order = 84
    bad = (
        Example(
            "import hmac\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    digest = hmac.new(b"k", request.get_data(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(digest.encode(), request.headers.get("X-Sig", "").encode()):\n'
            "        abort(401)\n    return {}\n",
            "import hmac\n\nfrom flask import Flask, abort, request\n\nfrom rate_limit import RateLimitMiddleware\n\n"
            "app = Flask(__name__)\napp.wsgi_app = RateLimitMiddleware(app.wsgi_app)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    digest = hmac.new(b"k", request.get_data(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(digest.encode(), request.headers.get("X-Sig", "").encode()):\n'
            "        abort(401)\n    return {}\n",
            "flask",
        ),
    )
    good = (
        "import hmac\n\nfrom flask import Flask\nfrom flask_limiter import Limiter\n\napp = Flask(__name__)\n"
        'limiter = Limiter(app=app)\n\n\n@app.post("/hook")\ndef hook():\n'
        '    return {"d": hmac.new(b"k", b"", "sha256").hexdigest()}\n',
        "import hmac\n\nfrom fastapi import FastAPI, HTTPException\n\napp = FastAPI()\n\n\n"
        '@app.post("/hook")\nasync def hook(sig: str) -> None:\n    hmac.compare_digest(sig.encode(), b"")\n'
        "    raise HTTPException(status_code=429)\n",
        # nothing is refused here
        'from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get("/time")\ndef tell():\n    return "noon"\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application, where signatures are checked and nothing counts."""
        app = main_app(index)
        if (
            app is None
            or is_installed(index, _CLASS)
            or text_mentions(index, _KNOWN)
            or not code_mentions(index, r"\bhmac\b|verify_signature|ed25519")
        ):
            return
        checks = any(
            node.attr in ("new", "compare_digest", "verify")
            for function in index.reachable()
            for node in index.own_of(function, ast.Attribute)
        )
        if not checks:
            return
        yield self.finding(
            app.module,
            app.node,
            evidence="signatures are checked, and nothing counts the requests that are refused",
            recommendation="Answer 429 with Retry-After to a sender of many refused requests.",
            anchor=f"app {app.name}",
            mendable=True,
            confidence="medium",
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A counting middleware in a module of its own."""
        return installed(
            index,
            findings,
            middleware("rate_limit", _CLASS),
            "Slow down senders of bad requests",
            "Beyond REFUSED_PER_MINUTE (default 60) a sender's refused requests are answered 429, good ones pass; "
            "beyond RATE_LIMIT_PER_SENDER a second (default 500) all are. 0 turns either off.",
        )

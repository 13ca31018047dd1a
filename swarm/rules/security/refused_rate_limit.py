"""The rule refused-rate-limit."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.placing import code_mentions, main_app, text_mentions
from swarm.rules.rule import Example, Rule

_KNOWN = (
    r"slowapi|flask[-_]limiter|fastapi[-_]limiter|rate_?limit|ratelimit|limits\b|throttl|\b429\b|TOO_MANY_REQUESTS"
    r"|token_?bucket"
)


class RefusedRateLimit(Rule):
    """Nothing slows down a sender whose requests are refused again and again: signatures and tokens can be tried as
    fast as the network carries them, and every try costs the service work.

    There is a recommendation only: what a source is (address, proxy header, account) and where counts are kept is the
    operator's to say, and often the proxy in front is the better place. Count refused requests alone: a limit on good
    ones loses webhooks.
    """

    id = "refused-rate-limit"
    category = "security"
    severity = "low"
    cwe = ("CWE-307", "CWE-770")
    title = "Refused requests are not slowed down"
    sources = ("OWASP API4:2023", "OWASP ASVS 5.0 2.4.1")
    bad = (
        Example(
            "import hmac\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    digest = hmac.new(b"k", request.get_data(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(digest.encode(), request.headers.get("X-Sig", "").encode()):\n'
            "        abort(401)\n    return {}\n",
            None,
            "flask",
        ),
    )
    good = (
        "import hmac\n\nfrom flask import Flask\nfrom flask_limiter import Limiter\n\napp = Flask(__name__)\n"
        'limiter = Limiter(app=app)\n\n\n@app.post("/hook")\ndef hook():\n'
        '    return {"d": hmac.new(b"k", b"", "sha256").hexdigest()}\n',
        # nothing is refused here
        'from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get("/time")\ndef tell():\n    return "noon"\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application, where signatures are checked and nothing counts."""
        app = main_app(index)
        if (
            app is None
            or text_mentions(index, _KNOWN)
            or not code_mentions(index, r"\bhmac\b|verify_signature|ed25519")
        ):
            return
        checks = any(
            isinstance(node, ast.Attribute) and node.attr in ("new", "compare_digest", "verify")
            for function in index.reachable()
            for node in index.own_nodes(function)
        )
        if not checks:
            return
        yield self.finding(
            app.module,
            app.node,
            evidence="signatures are checked, and nothing counts the requests that are refused",
            recommendation="Answer 429 with Retry-After to a source with many refused requests, "
            "here or in the proxy.",
            anchor=f"app {app.name}",
            mendable=False,
            confidence="medium",
        )

"""The rule no-security-audit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.security.guards.generated import middleware
from swarm.rules.security.signatures.webhook_shapes import body_routes, checks_signatures
from swarm.rules.writing.audit_chain import chained
from swarm.rules.writing.middlewares import installed, is_installed
from swarm.rules.writing.placing import main_app, text_mentions

_CLASS = "SecurityAuditMiddleware"
_KNOWN = (
    r"audit[-_. ]?(log|trail|event|record|entry|logger)|security[-_.](log|audit|event)|log_security|\bsiem\b"
    r"|getLogger\([^)\n]*\baudit\b"
)


class NoSecurityAudit(Rule):
    """Nobody can say afterwards who was refused, who used the data, which deliveries were accepted, and when.

    The mend adds a small module of the standard library that writes one JSON line for each such event to the logger
    `security.audit` and to a file: time in UTC, event, address, a digest of what the sender proved itself with,
    method, route, status, and the id of the request. No body, no query, no secret, no
    person. Each line of the file holds the digest of the one before, so that a changed or missing one shows; the
    module's `verify` tells where.
    `AUDIT_LOG_PATH` names the file (0: none), `AUDIT_PATHS` further paths to watch; `SECURITY_AUDIT=0` turns all off.
    """

    id = "no-security-audit"
    category = "security"
    severity = "low"
    cwe = ("CWE-778",)
    title = "No audit trail of security events"
    sources = ("OWASP ASVS 5.0 16.2.1, 16.3.1, 16.4.2", "OWASP Top 10 A09:2021")
    order = 86
    bad = (
        Example(
            "import hmac\n\nfrom fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\n\n\n"
            '@app.post("/hook")\nasync def hook(request: Request) -> dict[str, bool]:\n'
            '    made = hmac.new(b"k", await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
            '        raise HTTPException(401)\n    return {"ok": True}\n',
            "import hmac\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
            "from security_audit import SecurityAuditMiddleware\n\napp = FastAPI()\n"
            "app.add_middleware(SecurityAuditMiddleware)\n\n\n"
            '@app.post("/hook")\nasync def hook(request: Request) -> dict[str, bool]:\n'
            '    made = hmac.new(b"k", await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
            '        raise HTTPException(401)\n    return {"ok": True}\n',
            "fastapi",
        ),
    )
    good = (
        "import hmac\nimport logging\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n"
        'audit_log = logging.getLogger("audit")\n\n\n@app.post("/hook")\ndef hook():\n'
        '    if not hmac.compare_digest(b"", request.headers["X-Sig"].encode()):\n'
        '        audit_log.warning("refused")\n        abort(401)\n    return {}\n',
        'from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get("/time")\ndef tell():\n    return "noon"\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application of a service that refuses and accepts by signature."""
        app = main_app(index)
        if app is None or is_installed(index, _CLASS) or text_mentions(index, _KNOWN):
            return
        if not body_routes(index) or not checks_signatures(index):
            return
        yield self.finding(
            app.module,
            app.node,
            evidence="deliveries are accepted and refused by signature, and no trail of it is kept",
            recommendation="Keep who, what, when (UTC) and the outcome of each security event, so that changes show.",
            anchor=f"app {app.name}",
            mendable=True,
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A middleware that keeps the trail, in a module of its own."""
        return installed(
            index,
            findings,
            chained(middleware("security_audit", _CLASS)),
            "Keep an audit trail of security events",
            "One JSON line for each refusal, accepted delivery and use of data, to the logger security.audit and, "
            "chained by digests, to AUDIT_LOG_PATH. SECURITY_AUDIT=0 turns it off.",
        )

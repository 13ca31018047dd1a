"""The rule unchecked-delivery-age."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.security.guards.generated import middleware
from swarm.rules.security.signatures.webhook_shapes import body_routes, checks_signatures, senders
from swarm.rules.writing.middlewares import installed, is_installed
from swarm.rules.writing.placing import code_mentions, main_app

_CLASS = "DeliveryAgeMiddleware"
_KNOWN = r"tolerance|max_age_s|too_old|is_fresh|is_stale|clock_skew|replay_window"


class UncheckedDeliveryAge(Rule):
    """The signed body says when the delivery was sent, and nobody looks: who once saw it can bring it at any time.

    The mend adds a small module of the standard library that refuses a body whose time is more than
    `WEBHOOK_TOLERANCE_S` seconds away from now (default 300; 0 turns it off) with 401. Times are ISO 8601, or Unix
    seconds or milliseconds. A body without a time passes, and so does an old delivery from a sender that was told to
    come back later (429) in the last two hours. It is written for senders whose documents put the time there
    (`WEBHOOK_TIME_FIELDS` overrules where): in another's payload a `timestamp` may be when the thing happened.
    Times in signed headers are the rule missing-freshness's.
    """

    id = "unchecked-delivery-age"
    category = "security"
    severity = "medium"
    cwe = ("CWE-294",)
    title = "The age of a signed delivery is not checked"
    sources = (
        "HighLevel: webhook integration guide (a window of five minutes)",
        "docs.svix.com: why verify webhooks",
    )
    order = 74
    bad = (
        Example(
            "import hmac\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    digest = hmac.new(b"k", request.get_data(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(digest.encode(), request.headers.get("X-GHL-Signature", "").encode()):\n'
            "        abort(401)\n    return {}\n",
            "import hmac\n\nfrom flask import Flask, abort, request\n\n"
            "from delivery_age import DeliveryAgeMiddleware\n\napp = Flask(__name__)\n"
            "app.wsgi_app = DeliveryAgeMiddleware(app.wsgi_app)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    digest = hmac.new(b"k", request.get_data(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(digest.encode(), request.headers.get("X-GHL-Signature", "").encode()):\n'
            "        abort(401)\n    return {}\n",
            "flask",
        ),
    )
    good = (
        # GitHub signs no time
        "import hmac\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n"
        '@app.post("/hook")\ndef hook():\n    digest = hmac.new(b"k", request.get_data(), "sha256").hexdigest()\n'
        '    return {"ok": digest == request.headers["X-Hub-Signature-256"]}\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application, where a known sender's time is looked at by nobody."""
        app = main_app(index)
        fields = _fields(index)
        if app is None or not fields or is_installed(index, _CLASS) or not body_routes(index):
            return
        if not checks_signatures(index) or code_mentions(index, _KNOWN):
            return
        yield self.finding(
            app.module,
            app.node,
            evidence=f"signatures are checked, and nothing compares the body's {', '.join(fields)} with the clock",
            recommendation="Refuse a delivery that was sent more than five minutes ago.",
            anchor=f"app {app.name}",
            mendable=True,
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A middleware that reads the time, in a module of its own."""
        made = middleware("delivery_age", _CLASS, TIME_FIELDS=_fields(index))
        return installed(
            index,
            findings,
            made,
            "Refuse deliveries that are not fresh",
            "A signed body whose time is more than WEBHOOK_TOLERANCE_S seconds away from now (default 300; 0 turns "
            "it off) is answered 401; one without a time passes.",
        )


def _fields(index: Index) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sender.time_field for sender in senders(index) if sender.time_field))

"""The rule no-replay-protection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.security.guards.after_the_check import lines_after_checks
from swarm.rules.security.guards.generated import middleware
from swarm.rules.security.guards.remembered_deliveries import claims_deliveries
from swarm.rules.security.signatures.webhook_shapes import (
    body_routes,
    checks_signatures,
    read_id_headers,
    senders,
)
from swarm.rules.writing.middlewares import installed, is_installed
from swarm.rules.writing.placing import code_mentions, main_app

_CLASS, _FENCE = "ReplayGuardMiddleware", "repeated_answer"
_TIMED = frozenset({"Stripe", "Slack", "Standard Webhooks", "Svix", "Paddle", "PayPal"})
# code that remembers deliveries; words that a retry or a cache may use as well are not among them
_KNOWN = (
    r"(processed|seen|handled|known)_(events?|webhooks?|deliver(y|ies)|ids?|messages?)\b|\bis_duplicate|replay_(guard|protect|cache)"
    r"|duplicate_(event|delivery|webhook)|already_(processed|handled|seen)|idempotency_(store|table|cache|records?)"
    r"|dedup(e|lication)?_(keys?|store|ids?|table|events?|webhooks?|deliver)"
)


class NoReplayProtection(Rule):
    """A delivery that was taken can be sent again, by its sender after a timeout or by whoever saw it: it acts again.

    The mend adds a small module of the standard library that knows deliveries by their id: a repeated one gets the
    first one's answer and has no second effect, also when many come at once; a used id with another body is answered
    409. Only what the application answered 2xx is remembered, so an unsigned request can use up no id, and what
    failed may come again. `DELIVERY_ID_KEEP_S` says how long (default a day; 0 turns it off). Ids are kept in SQLite,
    as digests, for restarts and for all processes of the service.
    A repetition that is signed anew, as senders do whose signature covers the time, gets the first one's answer after
    the handler has found its signature good, where the code shows that place.
    Where the id stands is taken from the code: the header that it reads, or, for senders that it names by their
    signature's header (HighLevel, GitHub, Shopify, Stripe, Standard Webhooks, Slack …), what these senders document;
    `DELIVERY_ID_HEADERS` and `DELIVERY_ID_FIELDS` overrule it. Where the code shows neither there is a
    recommendation: a field named `event_id` may as well number something that changes often. A header
    that the sender does not sign stops repetitions, and not an attacker who changes it.
    """

    id = "no-replay-protection"
    category = "security"
    severity = "medium"
    cwe = ("CWE-294", "CWE-837")
    title = "A delivery can be repeated"
    sources = ("Standard Webhooks: idempotency", "OWASP ASVS 5.0 2.3.3, 15.4.2")
    order = 72
    bad = (
        Example(
            "import hmac\n\nfrom fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\n\n\n"
            '@app.post("/hook")\nasync def hook(request: Request) -> dict[str, bool]:\n'
            '    made = hmac.new(b"k", await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers.get("X-GHL-Signature", "").encode()):\n'
            '        raise HTTPException(401)\n    return {"ok": True}\n',
            "import hmac\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
            "from replay_guard import ReplayGuardMiddleware\n\napp = FastAPI()\n"
            "app.add_middleware(ReplayGuardMiddleware)\n\n\n"
            '@app.post("/hook")\nasync def hook(request: Request) -> dict[str, bool]:\n'
            '    made = hmac.new(b"k", await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers.get("X-GHL-Signature", "").encode()):\n'
            '        raise HTTPException(401)\n    return {"ok": True}\n',
            "fastapi",
        ),
        # nothing says where the id stands
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
        "import hmac\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\nseen_ids = set()\n\n\n"
        '@app.post("/hook")\ndef hook():\n    hmac.new(b"k", request.get_data(), "sha256").hexdigest()\n'
        '    if request.headers["X-GitHub-Delivery"] in seen_ids:\n        return {}\n'
        '    seen_ids.add(request.headers["X-GitHub-Delivery"])\n    return {}\n',
        # the insert that takes a delivery's id but once
        "import hmac\nimport sqlite3\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n"
        '@app.post("/hook")\ndef hook():\n    hmac.new(b"k", request.get_data(), "sha256").hexdigest()\n'
        '    with sqlite3.connect("shop.db") as connection:\n        added = connection.execute(\n'
        '            "INSERT INTO taken (delivery_id) VALUES (?) ON CONFLICT DO NOTHING", (request.json["id"],)\n'
        "        )\n    return {} if added.rowcount == 0 else work()\n\n\ndef work():\n    return {}\n",
        # no sender of webhooks here
        "import hmac\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\nseen = {}\n\n\n"
        '@app.post("/hook")\ndef hook():\n    order = request.get_json()\n'
        '    if not hmac.compare_digest(request.headers["X-Signature"], "s"):\n        return {}, 401\n'
        '    if order["id"] in seen:\n        return {}\n    seen[order["id"]] = 1\n    return {}\n',
        "import hmac\n\nfrom flask import Flask, request\n\nfrom shop import payments\n\napp = Flask(__name__)\n\n\n"
        'def paid(event):\n    if payments.seen(event["eventId"]):\n        return "duplicate"\n'
        '    payments.add(event["eventId"])\n    return "ok"\n\n\n@app.post("/hook")\ndef hook():\n'
        '    if not hmac.compare_digest(request.headers["X-Signature"], "s"):\n        return {}, 401\n'
        "    return paid(request.get_json())\n",
        'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.post("/orders")\n'
        'async def order(body: dict) -> dict:\n    return {"id": body["event_id"]}\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application, where signatures are checked and no delivery is remembered."""
        app = main_app(index)
        if app is None or is_installed(index, _CLASS) or _remembers(index):
            return
        if not body_routes(index) or not checks_signatures(index) or claims_deliveries(index):
            return
        headers, fields = _places(index)
        where = ", ".join([*(f"the header {name}" for name in headers), *(f"the body's {name}" for name in fields)])
        yield self.finding(
            app.module,
            app.node,
            evidence="signatures are checked, and no delivery that was taken is remembered"
            + (f"; its id is {where}" if where else "; the code does not show where a delivery's id stands"),
            recommendation="Remember the ids of deliveries that were taken, and act on none of them twice.",
            anchor=f"app {app.name}",
            mendable=bool(headers or fields),
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A middleware that knows taken deliveries, in a module of its own."""
        headers, fields = _places(index)
        if not headers and not fields:
            return None
        fences = lines_after_checks(index, _FENCE) if _signs_times(index) else []
        made = middleware(
            "replay_guard", _CLASS, "import http\nimport io\n",
            ID_HEADERS=headers, ID_FIELDS=fields, FENCED=bool(fences),
        )  # fmt: skip
        return installed(
            index,
            findings,
            made,
            "Let a delivery act once",
            "A repeated delivery gets the first one's answer and no second effect; a used id with another body is "
            "answered 409. Kept is what was answered 2xx, for DELIVERY_ID_KEEP_S (default a day; 0 turns it off).",
            _FENCE,
            fences,
        )


def _places(index: Index) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Headers and fields that hold a delivery's id."""
    known = senders(index)
    headers = dict.fromkeys([*read_id_headers(index), *(name for sender in known for name in sender.id_headers)])
    fields = dict.fromkeys(name for sender in known for name in sender.id_fields)
    return tuple(headers), tuple(fields)


def _signs_times(index: Index) -> bool:
    """Whether a sender signs a time, so that each of his attempts has another signature."""
    return any(sender.name in _TIMED for sender in senders(index)) or code_mentions(index, r"-timestamp\b")


def _remembers(index: Index) -> bool:
    """Whether code of the target's own remembers deliveries; generated modules with figures are not its own."""
    modules = index.tree.modules.values()
    return any("PROMETHEUS_LINES" not in module.globals and module.mentions(_KNOWN) for module in modules)

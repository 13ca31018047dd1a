"""The rule unauthenticated-webhook."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Index, Route
from swarm.core.findings import Confidence, Finding
from swarm.rules.distinct import once_a_handler
from swarm.rules.rule import Example, Rule
from swarm.rules.security.guards.guarding import is_guarded
from swarm.rules.security.guards.hooks import hooks_of
from swarm.rules.security.guards.idle_proofs import idle_signatures
from swarm.rules.security.guards.judging import checks_signature, proofs_of, ways_of
from swarm.rules.security.signatures.idle_checks import before_all, dropped_check, idle_check
from swarm.rules.security.signatures.webhook_shapes import BODY_METHODS

_WEBHOOK = re.compile(r"(^|[/_.-])(web)?hooks?([/_.-]|$)|webhook|[/_-]ipn([/_-]|$)", re.IGNORECASE)
_INTAKE = re.compile(r"event|callback|notif|incoming|inbound|receive|delivery|[/_-]ipn", re.IGNORECASE)
# who keeps a list of webhooks takes none there
_KEEPS_A_LIST = re.compile(
    r"^(create|register|add|subscribe|unsubscribe|list|update|edit|delete|remove|set|configure|test|send|trigger"
    r"|retry|replay|resend|fire|simulate|mock|fake|save|new|install|setup)(?-i:(?![a-z]))", re.IGNORECASE
)  # fmt: skip


_OF_SENDERS = re.compile(
    r"stripe|github|gitlab|bitbucket|slack|discord|twilio|sms|mms|voice|mailgun|sendgrid|postmark|paddle|shopify"
    r"|svix|clerk|zoom|hubspot|typeform|calendly|intercom|zendesk|telegram|whatsapp|messenger|highlevel|ghl|linear|jira"
    r"|interactions",
    re.IGNORECASE,
)
_PEOPLE = re.compile(r"(^|/)(auth|login|logout|token|oauth|users?|accounts?|sessions?|me|admin)(/|$)", re.IGNORECASE)
_RAW = re.compile(r"\.body\(\)|get_data\(|\brequest\.data\b|\brequest\.stream\b")
_GENERAL = re.compile(r"|api|v\d+|internal|public|rest", re.IGNORECASE)


class UnauthenticatedWebhook(Rule):
    """A webhook takes what anybody sends who finds its address: nothing that it runs reads a signature, a token or a
    login. Where other webhooks of the service do check one, or a check is there that nothing runs or nobody heeds,
    this one was forgotten. A signature that is only logged, or only asked for, proves nothing.

    Nothing is said of routes behind a dependency, hook or middleware that asks, of addresses that are secret
    themselves (`/hook/{token}`), and of routes that keep a list of webhooks. There is no mend: which secret the
    sender signs with, only the owner knows.
    """

    id = "unauthenticated-webhook"
    category = "security"
    severity = "high"
    cwe = ("CWE-306", "CWE-345")
    title = "A webhook takes what anybody sends"
    sources = ("Standard Webhooks: verifying", "OWASP API2:2023", "OWASP ASVS 5.0 4.1.5")
    bad = (
        Example(
            "import hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\n"
            'KEY = os.environ["HOOK_KEY"].encode()\n\n\ndef check(body: bytes, sent: str) -> None:\n'
            '    if not hmac.compare_digest(hmac.new(KEY, body, "sha256").hexdigest().encode(), sent.encode()):\n'
            '        raise HTTPException(401)\n\n\n@app.post("/events/orders")\nasync def orders(request: Request):\n'
            '    check(await request.body(), request.headers.get("X-Sig", ""))\n    return {}\n\n\n'
            '@app.post("/events/refunds")\nasync def refunds(request: Request):\n'
            "    event = await request.json()\n    return {'id': event['id']}\n",
            None,
            "fastapi",
        ),
        Example(
            "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/webhooks/courier')\n"
            "def courier():\n    return {'id': request.get_json()['id']}\n",
            None,
            "flask",
        ),
        Example(
            "from starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n"
            "from starlette.routing import Route\n\n\nasync def webhook(request):\n"
            "    return JSONResponse({'id': (await request.json())['id']})\n\n\n"
            "app = Starlette(routes=[Route('/in', webhook, methods=['POST'])])\n",
            None,
            "starlette",
        ),
    )
    good = (
        # a dependency asks
        "import hmac\nimport os\n\nfrom fastapi import Depends, FastAPI, HTTPException, Request\n\napp = FastAPI()\n"
        'KEY = os.environ["HOOK_KEY"].encode()\n\n\nasync def from_shop(request: Request) -> None:\n'
        '    made = hmac.new(KEY, await request.body(), "sha256").hexdigest()\n'
        '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
        "        raise HTTPException(401)\n\n\n@app.post('/webhook', dependencies=[Depends(from_shop)])\n"
        "async def webhook(event: dict):\n    return {'id': event['id']}\n",
        # a hook asks
        "from flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n@app.before_request\ndef known():\n"
        "    if request.headers.get('X-Api-Key') != app.config['API_KEY']:\n        abort(401)\n\n\n"
        "@app.post('/webhook')\ndef webhook():\n    return {'id': request.get_json()['id']}\n",
        # the address is the secret; and a list of webhooks is kept
        "from starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n"
        "from starlette.routing import Route\n\n\nasync def webhook(request):\n    return JSONResponse({})\n\n\n"
        "async def register_webhook(request):\n    return JSONResponse({})\n\n\n"
        "app = Starlette(routes=[Route('/hook/{token}', webhook, methods=['POST']),\n"
        "                        Route('/webhooks', register_webhook, methods=['POST'])])\n",
        # no webhook at all
        "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/sum')\ndef add():\n"
        "    return {'sum': sum(request.get_json())}\n",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every open webhook, those first that were forgotten."""
        for route, why, confidence in once_a_handler(_open(index)):
            yield self.finding(
                route.function.module,
                route.function.node,
                evidence=f"{'/'.join(route.methods)} {route.path or '(computed)'}: {why}",
                recommendation="Check the sender's signature over the raw body before anything else; answer 401.",
                anchor=route.function.qualname,
                mendable=False,
                confidence=confidence,
            )


def _open(index: Index) -> Iterator[tuple[Route, str, Confidence]]:
    routes = [r for r in index.routes if set(r.methods) & BODY_METHODS and not is_added(r.function.module)]
    signed = [route for route in routes if checks_signature(index, route)]
    for route in routes:
        name = route.function.name
        dropped = dropped_check(index, route) if route in signed else ""
        if dropped:
            yield route, f"what {dropped} says of the signature is asked by nobody", "high"
        if _KEEPS_A_LIST.match(name) or route in signed:
            continue
        idle = idle_check(index, route) if _takes_events(route, routes) else ""
        if idle:
            yield route, f"nothing asks who sends it, while {idle}, which could, is run by nothing", "high"
            continue
        if is_guarded(index, route):
            continue
        ways = [*ways_of(index, route.function), *hooks_of(index, route), *before_all(index)]
        read = next((header for function in ways for header in idle_signatures(index, function)), "")
        if read:
            yield route, f"{read} is read and compared with nothing", "high"
            continue
        is_webhook = _WEBHOOK.search(route.path) is not None or _WEBHOOK.search(name) is not None
        beside = [other for other in signed if _are_neighbours(route, other)]
        is_intake = is_webhook or any(_INTAKE.search(t) or _OF_SENDERS.search(t) for t in (route.path, name))
        if beside and (is_intake or _is_one_of_many(index, route, routes, signed)):
            others = f"{beside[0].path} checks a signature" if beside[0].path else "others check a signature"
            yield route, f"nothing asks who sends it, while {others}", "high"
        elif is_webhook:
            yield route, "nothing that it runs reads a signature, a token or a login", "medium"


def _takes_events(route: Route, routes: list[Route]) -> bool:
    """Whether what it is called or does says that a machine sends to it; the only route with a body is the one."""
    if _PEOPLE.search(route.path):
        return False  # persons log in in other ways
    text = f"{route.path} {route.function.qualname}"
    is_named = _WEBHOOK.search(text) or _INTAKE.search(text) or _OF_SENDERS.search(text)
    return is_named is not None or len({one.function for one in routes}) == 1


def _is_one_of_many(index: Index, route: Route, routes: list[Route], signed: list[Route]) -> bool:
    """Whether most that take bodies below its path check a signature over them, and the path is not the whole
    service's, nor one where people log in."""
    above = _above(route)
    if not above or _GENERAL.fullmatch(above.rpartition("/")[2]) or _PEOPLE.search(route.path):
        return False
    beside = [other for other in routes if other is not route and _above(other) == above]
    over_bodies = [other for other in beside if other in signed and _takes_raw_body(index, other)]
    return len(over_bodies) * 2 > len(beside)


def _takes_raw_body(index: Index, route: Route) -> bool:
    several = proofs_of(index, route)
    return any(_RAW.search(function.module.segment(function.node)) for function in several)


def _above(route: Route) -> str:
    return route.path.rstrip("/").rpartition("/")[0]


def _are_neighbours(one: Route, other: Route) -> bool:
    """Whether two routes stand side by side: in one module, or below one path."""
    above = [_above(route) for route in (one, other)]
    return one.module is other.module or (bool(above[0]) and above[0] == above[1])

"""The rule open-side-route."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index, Route
from swarm.core.findings import Finding
from swarm.rules.distinct import once_a_handler
from swarm.rules.rule import Example, Rule
from swarm.rules.security.guards.guarding import is_guarded
from swarm.rules.security.guards.judging import checks_signature, ways_of
from swarm.rules.security.signatures.webhook_shapes import BODY_METHODS
from swarm.rules.security.surface.open_inner_route import inside

# what is there to try something out, or to set something going by hand
_BY_HAND = re.compile(
    r"(^|[/_-])(test\w*|send\w*|trigger\w*|simulat\w+|replay\w*|re-?send\w*|re-?try|re-?run|re-?process|re-?sync|sync\w*"
    r"|broadcast\w*|demo|mock|fire|poke|kick|seed|populate|fake\w*|dummy|manual\w*|force\w*|push|enqueue|dispatch\w*"
    r"|notify\w*|cron|cleanup|clear|wipe|reset|refund\w*|cancel\w*|charge\w*|credit\w*|payout\w*)([/_-]|$)",
    re.IGNORECASE,
)
# what is open to everybody by its nature, or has an answer of its own to who asks
_FOR_ALL = re.compile(
    r"(^|[/_-])(log-?in|sign-?in|sign-?up|log-?out|register|registration|auth|oauth2?|token|sso|saml|callback|password"
    r"|forgot|verify|verification|confirm\w*|activate|unsubscribe|subscribe|subscription|newsletter|opt-?(in|out)|contact"
    r"|feedback|consent|cookies?|csp-?report|health\w*|ping|status|search|query|graphql|track\w*|beacon|collect|vote"
    r"|waitlist|invite|otp|challenge|webauthn|language|theme|public|demo-request|share|hooks?|webhooks?|preview|check\w*"
    r"|calculate|estimate|convert|validate|predict|chat|ask|setup|install|onboarding|guest|cart|checkout)([/_-]|$)",
    re.IGNORECASE,
)
_SENDS = frozenset({
    "sendmail", "send_message", "send_email", "send_mail", "send_sms", "send_whatsapp", "send_text", "delay",
    "apply_async", "publish", "chat_postMessage", "enqueue", "send_push", "send_template",
})  # fmt: skip
_MAKES_BY_SDK = re.compile(r"\b(messages|calls|refunds?|charges?|payment_intents?|orders?|transfers?)\.create$", re.I)
_OF_TRIALS = re.compile(r"(^|/)(tests?|examples?|scripts?|conftest|samples?|docs?)([/_.]|$)", re.IGNORECASE)
_FEW = 2


class OpenSideRoute(Rule):
    """Other routes of the service ask who calls before they do something; this one does as much, and asks nobody. So
    it goes with routes that were made to try something out, or to set something going by hand: `/testorder`,
    `/send_message`. Whoever finds the address sends messages and writes rows in the service's name.

    Nothing is said of a service where nothing asks at all, of webhooks and of routes of the inside (there are rules
    for both), and of what is open to everybody by its nature. There is no mend: who may call it, or whether it should
    be there, only the owner knows; tell it with a comment `# deliberate` at the handler.
    """

    id = "open-side-route"
    category = "security"
    severity = "medium"
    cwe = ("CWE-306", "CWE-862")
    title = "A route causes effects and asks nobody, while others ask"
    sources = ("OWASP API5:2023", "OWASP API9:2023", "OWASP ASVS 5.0 8.2.1")
    bad = (
        Example(
            "import hmac\nimport os\n\nimport requests\nfrom flask import Flask, abort, request\n\n"
            "app = Flask(__name__)\n\n\ndef tell(text):\n"
            "    requests.post('https://chat.example/send', json={'text': text}, timeout=5)\n\n\n"
            "@app.post('/webhook')\ndef webhook():\n"
            "    made = hmac.new(os.environ['KEY'].encode(), request.get_data(), 'sha256').hexdigest()\n"
            "    if not hmac.compare_digest(made.encode(), request.headers.get('X-Sig', '').encode()):\n"
            "        abort(401)\n    tell(request.get_json()['text'])\n    return {}\n\n\n"
            "@app.get('/send_message')\ndef send_message():\n    tell(request.args['text'])\n    return {}\n",
            None,
            "flask",
        ),
        Example(
            "import httpx\nfrom fastapi import Depends, FastAPI, Header, HTTPException\n\napp = FastAPI()\n\n\n"
            "def known(x_api_key: str = Header()):\n    if x_api_key != app.state.key:\n"
            "        raise HTTPException(401)\n\n\nasync def order(body: dict):\n"
            "    async with httpx.AsyncClient(timeout=5) as client:\n"
            "        await client.post('https://shop.example/orders', json=body)\n\n\n"
            "@app.post('/orders', dependencies=[Depends(known)])\nasync def orders(body: dict):\n"
            "    await order(body)\n    return {}\n\n\n@app.post('/testorder')\nasync def testorder():\n"
            "    await order({'sku': 'test'})\n    return {}\n",
            None,
            "fastapi",
        ),
        Example(
            "import sqlite3\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\n\n"
            "def known(request):\n    return request.headers.get('authorization') == request.app.state.key\n\n\n"
            "def put(text):\n    with sqlite3.connect('shop.db') as db:\n"
            "        db.execute('INSERT INTO notes (text) VALUES (?)', (text,))\n\n\n"
            "async def add(request):\n    if not known(request):\n        return JSONResponse({}, status_code=401)\n"
            "    put((await request.json())['text'])\n    return JSONResponse({})\n\n\n"
            "async def seed(request):\n    put('a note')\n    return JSONResponse({})\n\n\n"
            "app = Starlette(routes=[Route('/notes', add, methods=['POST']),\n"
            "                        Route('/notes/seed', seed, methods=['POST'])])\n",
            None,
            "starlette",
        ),
    )
    good = (
        # it asks as well
        "import httpx\nfrom fastapi import Depends, FastAPI, Header, HTTPException\n\napp = FastAPI()\n\n\n"
        "def known(x_api_key: str = Header()):\n    if x_api_key != app.state.key:\n"
        "        raise HTTPException(401)\n\n\nasync def order(body: dict):\n"
        "    async with httpx.AsyncClient(timeout=5) as client:\n"
        "        await client.post('https://shop.example/orders', json=body)\n\n\n"
        "@app.post('/orders', dependencies=[Depends(known)])\nasync def orders(body: dict):\n"
        "    await order(body)\n    return {}\n\n\n@app.post('/testorder', dependencies=[Depends(known)])\n"
        "async def testorder():\n    await order({'sku': 'test'})\n    return {}\n",
        # nothing asks anywhere: whoever may reach the service may use it
        "import requests\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/send')\n"
        "def send():\n    requests.post('https://chat.example/send', json=request.get_json(), timeout=5)\n"
        "    return {}\n\n\n@app.post('/test')\ndef test():\n"
        "    requests.post('https://chat.example/send', json={}, timeout=5)\n    return {}\n",
        # what is open to everybody
        "import sqlite3\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\ndef put(text):\n"
        "    with sqlite3.connect('shop.db') as db:\n"
        "        db.execute('INSERT INTO notes (text) VALUES (?)', (text,))\n\n\n@app.post('/notes')\ndef add():\n"
        "    if request.headers.get('X-Api-Key') != app.config['KEY']:\n        abort(401)\n"
        "    put(request.get_json()['text'])\n    return {}\n\n\n@app.post('/contact')\ndef contact():\n"
        "    put(request.get_json()['text'])\n    return {}\n",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every open route beside guarded ones, each handler once."""
        for route, what, other in once_a_handler(_open(index)):
            yield self.finding(
                route.function.module,
                route.function.node,
                evidence=f"{'/'.join(route.methods)} {route.path}: it {what}, and nothing asks who calls it, while "
                f"{other.path} asks",
                recommendation="Ask as the other routes do, or take the route out where it only served a trial.",
                anchor=route.function.qualname,
                mendable=False,
                confidence="medium",
            )


def _open(index: Index) -> Iterator[tuple[Route, str, Route]]:
    routes = [r for r in index.routes if not is_added(r.function.module) and "WEBSOCKET" not in r.methods]
    candidates = [(route, does) for route in routes if _may_be_one(index, route) and (does := effect(index, route))]
    if not candidates:
        return
    changing = [route for route in routes if set(route.methods) & (BODY_METHODS | {"DELETE"})]
    guarded = {route.function: route for route in changing if is_guarded(index, route)}
    signed = next((one for one in guarded.values() if checks_signature(index, one)), None)
    asking = signed or next((one for one in guarded.values() if effect(index, one)), None)
    if asking is None:
        return
    open_ones = {route.function for route in changing} - guarded.keys()
    for route, does in candidates:
        if route.function in guarded or is_guarded(index, route):
            continue
        by_hand = _BY_HAND.search(route.path) or _BY_HAND.search(route.function.name)
        is_exception = len(guarded) >= _FEW * max(1, len(open_ones)) and len(guarded) > _FEW
        if by_hand or (is_exception and set(route.methods) & (BODY_METHODS | {"DELETE"})):
            yield route, does, asking


def _may_be_one(index: Index, route: Route) -> bool:
    names = (route.path, route.function.name)
    if any(_FOR_ALL.search(name) for name in names) or _OF_TRIALS.search(route.function.module.path):
        return False
    return not inside(index, route)[0]


def effect(index: Index, route: Route) -> str:
    """What a route does that lasts, as far as its code shows: it writes rows, or sends something; "" for nothing."""
    cache = effects_cache(index)
    for function in ways_of(index, route.function):
        effects = cache.of(function)
        tables = sorted(table for table in effects.tables_written if table)
        if tables:
            return f"writes {', '.join(tables[:2])}"
        sent = next((call for call in effects.http if not call.reads and call.verb != "?"), None)
        if sent is not None:
            return f"sends a {sent.verb} ({function.module.path}:{sent.call.lineno})"
        made = next((call for call in index.calls(function) if _sends(index, function, call)), None)
        if made is not None:
            return f"sends something ({function.module.path}:{made.lineno})"
    return ""


def _sends(index: Index, function: Function, call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in _SENDS:
        return index.resolve_call(function.module, call) is None
    return call.func.attr == "create" and _MAKES_BY_SDK.search(function.module.segment(call.func)) is not None

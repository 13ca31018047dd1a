"""The rule unsigned-delivery-id."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.analysis.reading.keyed import keyed_read
from swarm.analysis.routes.header_parameters import header_parameters
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Rule
from swarm.rules.security.guards.judging import ways_of
from swarm.rules.security.signatures.webhook_shapes import BODY_METHODS, checks_signatures
from swarm.rules.writing.placing import GUARDS

_ID = re.compile(
    r"^(x-)?([a-z0-9]+-)*(delivery|delivery-id|event-id|event-uuid|webhook-id|message-id|request-id|idempotency-key"
    r"|idempotency-token|correlation-id)$"
)
_QUERY_ID = re.compile(r"^((event|delivery|message|request|webhook|notification)[-_]?)?id$|^nonce$", re.IGNORECASE)
# these stand in what is signed
_SIGNED = frozenset({"webhook-id", "svix-id"})
_STORE = ("exists", "get", "set", "setex", "setnx", "sismember", "sadd", "add", "hexists")
_REMEMBERS = re.compile(
    r"seen|dedup|duplicate|processed|handled|already|idempot|known_|deliver(y|ies)|setnx|claim|once"
    r"|first_(time|seen)|is_new\b|remember",
    re.IGNORECASE,
)


class UnsignedDeliveryId(Rule):
    """A repeated delivery is told by a header, or a part of the address, that the signature does not cover: whoever
    has caught one delivery sends it again with another id, and it is good each time.

    Left alone are the ids of Standard Webhooks and Svix, which are signed, services that check no signature at all,
    and code that looks at an id or a digest of the body as well. There is no mend here: `no-replay-protection` adds a
    memory of signed bodies where there is none.
    """

    id = "unsigned-delivery-id"
    category = "security"
    severity = "low"
    cwe = ("CWE-294", "CWE-345")
    title = "Repetitions are told by an id that is not signed"
    sources = ("Standard Webhooks: idempotency", "OWASP ASVS 5.0 2.3.3")
    bad = (
        Example(
            "import hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\n"
            'KEY = os.environ["HOOK_KEY"].encode()\nseen = set()\n\n\n@app.post("/hook")\n'
            "async def hook(request: Request):\n"
            '    made = hmac.new(KEY, await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
            '        raise HTTPException(401)\n    delivery = request.headers.get("X-Delivery-Id")\n'
            "    if delivery in seen:\n        return {'status': 'known'}\n    seen.add(delivery)\n    return {}\n",
            None,
            "fastapi",
        ),
        Example(
            "import hmac\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
            "def already_processed(key):\n    return app.redis.set(key, 1, nx=True) is None\n\n\n"
            "@app.post('/hook')\ndef hook():\n    made = hmac.new(app.config['KEY'], request.data, 'sha256')\n"
            "    if not hmac.compare_digest(made.hexdigest().encode(), request.headers['X-Sig'].encode()):\n"
            "        abort(401)\n    if already_processed(request.headers['Idempotency-Key']):\n        return {}\n"
            "    return {}\n",
            None,
            "flask",
        ),
        Example(
            "import hmac\nimport os\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\nhandled = {}\n\n\n"
            "async def hook(request):\n"
            "    made = hmac.new(os.environ['KEY'].encode(), await request.body(), 'sha256').hexdigest()\n"
            "    if not hmac.compare_digest(made.encode(), request.headers['x-sig'].encode()):\n"
            "        return JSONResponse({}, status_code=401)\n"
            "    if handled.get(request.headers.get('x-event-id')):\n        return JSONResponse({})\n"
            "    return JSONResponse({})\n\n\napp = Starlette(routes=[Route('/hook', hook, methods=['POST'])])\n",
            None,
            "starlette",
        ),
    )
    good = (
        # the id of the signed body
        "import hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\n"
        'KEY = os.environ["HOOK_KEY"].encode()\nseen = set()\n\n\n@app.post("/hook")\n'
        "async def hook(request: Request):\n"
        '    made = hmac.new(KEY, await request.body(), "sha256").hexdigest()\n'
        '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
        '        raise HTTPException(401)\n    event = await request.json()\n    if event["id"] in seen:\n'
        "        return {'status': 'known'}\n    seen.add(event['id'])\n    return {}\n",
        # only told
        "import hmac\nimport logging\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
        "@app.post('/hook')\ndef hook():\n    made = hmac.new(app.config['KEY'], request.data, 'sha256')\n"
        "    if not hmac.compare_digest(made.hexdigest().encode(), request.headers['X-Sig'].encode()):\n"
        "        abort(401)\n    logging.info('delivery %r', request.headers.get('X-Delivery-Id'))\n    return {}\n",
        # an API of its own clients: nothing is signed
        "from flask import Flask, request\n\napp = Flask(__name__)\nseen = set()\n\n\n@app.post('/orders')\n"
        "def orders():\n    key = request.headers.get('Idempotency-Key')\n    if key in seen:\n        return {}\n"
        "    seen.add(key)\n    return {}\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every place where such an id tells a repetition."""
        if not checks_signatures(index):
            return
        told: set[Function] = set()
        for route in index.routes:
            if not set(route.methods) & BODY_METHODS:
                continue
            used = [f for f in ways_of(index, route.function) if _is_own(f)]
            if any("sha256(" in text and "hmac" not in text for text in (f.module.segment(f.node) for f in used)):
                continue  # a digest of the body is looked at as well
            for function in used:
                if function in told:
                    continue
                told.add(function)
                for node, header in _remembered(index, function):
                    yield self.finding(
                        function.module,
                        node,
                        evidence=f"{function.qualname} tells repetitions by {header}, which is not signed",
                        recommendation="Remember an id from the signed body, or a digest of the body.",
                        anchor=f"{function.qualname} {header}",
                        mendable=False,
                        confidence="medium",
                    )


def _is_own(function: Function) -> bool:
    return not is_added(function.module) and not GUARDS & function.module.globals.keys()


def _remembered(index: Index, function: Function) -> Iterator[tuple[ast.AST, str]]:
    """Where an id from a header is looked up among those that were seen: the place and the header."""
    filled = {name: header.lower() for name, header in header_parameters(index, function).items()}
    taken = {name: header for name, header in filled.items() if _ID.match(header) and header not in _SIGNED}
    if not taken and not any(_is_headers(node) for node in index.own_of(function, ast.Attribute)):
        return
    nodes = index.own_of(function, ast.Assign, ast.Compare, ast.Call)
    names = {
        target.id: header
        for node in nodes if isinstance(node, ast.Assign) and (header := _header_of(node.value))
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    names.update(taken)
    for assign in index.own_of(function, ast.Assign):
        if isinstance(assign.value, ast.Name) and assign.value.id in names:
            names.update({t.id: names[assign.value.id] for t in assign.targets if isinstance(t, ast.Name)})
    for node in nodes:
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            header = _named(node.left, names)
            if header and not isinstance(node.comparators[0], ast.Constant):
                yield node, header
                return
        elif isinstance(node, ast.Call) and _remembers(function, node):
            header = next((found for given in node.args if (found := _named(given, names))), "")
            if header:
                yield node, header
                return


def _remembers(function: Function, call: ast.Call) -> bool:
    """`already_seen(key)`, `cache.exists("seen:" + key)`."""
    if _REMEMBERS.search(function.module.segment(call.func)):
        return True
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    texts = (str(p.value) for given in call.args for p in walk(given) if isinstance(p, ast.Constant))
    return name in _STORE and any(_REMEMBERS.search(text) for text in texts)


def _named(node: ast.expr, names: dict[str, str]) -> str:
    for part in walk(node):
        if isinstance(part, ast.Name) and part.id in names:
            return names[part.id]
    return _header_of(node)


def _header_of(node: ast.expr) -> str:
    """The id header that an expression reads."""
    for part in walk(node):
        owner, key = keyed_read(part) or (None, None)
        if isinstance(owner, ast.Attribute) and isinstance(key, ast.Constant) and isinstance(key.value, str):
            name = key.value.lower()
            in_headers, in_query = owner.attr == "headers", owner.attr in ("args", "query_params")
            of_header = (in_headers or in_query) and _ID.match(name) and name not in _SIGNED
            if of_header or (in_query and _QUERY_ID.match(name)):
                return key.value
    return ""


def _is_headers(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("headers", "args", "query_params")

"""The rule signature-of-parsed-body."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.routes.route_paths import argument
from swarm.analysis.source import parameters
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Rule
from swarm.rules.security.guards.hooks import dependencies
from swarm.rules.security.guards.judging import compares_signature
from swarm.rules.security.signatures.digests import assigned

_KEYED = ("hmac.new", "hmac.digest", "hmac.HMAC")
_WRITERS = (
    "json.dumps",
    "orjson.dumps",
    "ujson.dumps",
    "simplejson.dumps",
    "msgspec.json.encode",
    "flask.json.dumps",
    "urllib.parse.urlencode",
    "str",
    "repr",
)
_PARSED = re.compile(r"\.json\(|\.get_json\(|\brequest\.json\b|json\.loads\(|\.model_dump|\.dict\(\)|\.form\b")
_DEPTH = 3


class SignatureOfParsedBody(Rule):
    """A signature is checked over the payload that was parsed and written anew, not over the bytes that came. Both
    differ in blanks, order and escapes, so that good deliveries are refused; and what differs in the bytes alone,
    such as a key given twice, is not covered by the signature at all.

    There is no mend: a sender who signs what the service happens to write would be refused from one moment to the
    next.
    """

    id = "signature-of-parsed-body"
    category = "security"
    severity = "high"
    cwe = ("CWE-345", "CWE-347")
    title = "A signature is checked over the parsed body"
    sources = ("Standard Webhooks: signing the raw body", "docs.github.com: Validating webhook deliveries")
    bad = (
        Example(
            "import hmac\nimport json\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
            'app = FastAPI()\nKEY = os.environ["HOOK_KEY"].encode()\n\n\n@app.post("/hook")\n'
            "async def hook(request: Request):\n    event = await request.json()\n"
            '    made = hmac.new(KEY, json.dumps(event).encode(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
            "        raise HTTPException(401)\n    return {}\n",
            None,
            "fastapi",
        ),
        Example(
            "import hmac\nimport json\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
            "def is_good(payload, sent):\n"
            "    text = json.dumps(payload, separators=(',', ':'), sort_keys=True)\n"
            "    made = hmac.new(app.config['KEY'], text.encode(), 'sha256').hexdigest()\n"
            "    return hmac.compare_digest(made.encode(), sent.encode())\n\n\n@app.post('/hook')\ndef hook():\n"
            "    if not is_good(request.get_json(), request.headers.get('X-Sig', '')):\n        abort(401)\n"
            "    return {}\n",
            None,
            "flask",
        ),
        Example(
            "import hmac\nimport json\nimport os\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\n\n"
            "def sign(body):\n    return hmac.new(os.environ['KEY'].encode(), body, 'sha256').hexdigest()\n\n\n"
            "async def hook(request):\n    data = json.loads(await request.body())\n"
            "    if sign(json.dumps(data).encode()) != request.headers['x-sig']:\n"
            "        return JSONResponse({}, status_code=401)\n    return JSONResponse({})\n\n\n"
            "app = Starlette(routes=[Route('/hook', hook, methods=['POST'])])\n",
            None,
            "starlette",
        ),
    )
    good = (
        "import hmac\nimport json\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
        'app = FastAPI()\nKEY = os.environ["HOOK_KEY"].encode()\n\n\n@app.post("/hook")\n'
        "async def hook(request: Request):\n    body = await request.body()\n"
        '    made = hmac.new(KEY, body, "sha256").hexdigest()\n'
        '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
        "        raise HTTPException(401)\n    return json.loads(body)\n",
        # what it sends it signs as it writes it
        "import hmac\nimport json\n\nimport httpx\n\n\ndef tell(event: dict, key: bytes) -> None:\n"
        "    body = json.dumps(event).encode()\n    made = hmac.new(key, body, 'sha256').hexdigest()\n"
        "    httpx.post('https://shop.example/hook', content=body, headers={'X-Sig': made}, timeout=5)\n",
        # a record of its own, checked for changes
        "import hmac\nimport json\n\n\ndef is_whole(record: dict, key: bytes) -> bool:\n"
        "    made = hmac.new(key, json.dumps(record['data']).encode(), 'sha256').hexdigest()\n"
        "    return hmac.compare_digest(made.encode(), record['mac'].encode())\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every keyed digest of what was parsed from a request, where something is compared."""
        for function, node in _signed_anew(index):
            yield self.finding(
                function.module,
                node,
                evidence=f"{function.qualname} signs `{' '.join(function.module.segment(node).split())[:80]}`, "
                "which was parsed from the request",
                recommendation="Check the raw body (`request.body()`, `request.get_data()`) before it is parsed.",
                anchor=function.qualname,
                mendable=False,
            )


def _signed_anew(index: Index) -> Iterator[tuple[Function, ast.expr]]:
    """Where a keyed digest is made of a payload that was written anew: the function, and the expression."""
    told: set[ast.expr] = set()
    for name in ("new", "digest", "HMAC"):
        for module, call in index.calls_named(name):
            function = index.enclosing(module, call)
            message = argument(call, 1, "msg")
            if module.resolve(call.func) not in _KEYED or function is None or message is None or is_added(module):
                continue
            for home, expression in _origins(index, function, message, 0):
                if expression not in told and _is_judged(index, function, home):
                    told.add(expression)
                    yield home, expression


def _origins(index: Index, function: Function, message: ast.expr, depth: int) -> Iterator[tuple[Function, ast.expr]]:
    """Where the message is written from a parsed payload: here, or by those who hand it in."""
    module = function.module
    value = assigned(message, function.node)
    for call in (part for part in walk(value) if isinstance(part, ast.Call)):
        if _writes_model(index, function, call):
            yield function, call
            return
        if (index.resolve(module, call.func) or "") in _WRITERS and call.args:
            if _is_parsed(index, function, call.args[0], depth):
                yield function, call
            return
    for name in (part for part in walk(value) if isinstance(part, ast.Name)):
        inner = assigned(name, function.node)
        if inner is not name and depth < _DEPTH:
            yield from _origins(index, function, inner, depth + 1)
        elif depth < _DEPTH:
            for caller, given in handed_in(index, function, name.id):
                yield from _origins(index, caller, given, depth + 1)


def _writes_model(index: Index, function: Function, call: ast.Call) -> bool:
    """`item.model_dump_json()` of the model that a route was handed: the framework parsed the body into it."""
    func = call.func
    if not isinstance(func, ast.Attribute) or func.attr not in ("model_dump_json", "json", "to_json"):
        return False
    if not isinstance(func.value, ast.Name):
        return False
    if not any(route.function is function for route in index.routes) and function not in dependencies(index):
        return False
    given = next((a for a in parameters(function.node) if a.arg == func.value.id), None)
    note = unparsed(given.annotation) if given is not None and given.annotation is not None else ""
    return bool(note) and "Request" not in note


def _is_parsed(index: Index, function: Function, payload: ast.expr, depth: int) -> bool:
    """Whether a payload was parsed from a request."""
    value = assigned(payload, function.node)
    if isinstance(value, ast.Attribute):  # `g.event = request.get_json()`
        kept = [node.value for node in index.own_of(function, ast.Assign)
                if unparsed(node.targets[0]) == unparsed(value)]  # fmt: skip
        value = kept[0] if len(kept) == 1 else value
    if _PARSED.search(function.module.segment(value)):
        return True
    if not isinstance(value, ast.Name) or depth >= _DEPTH:
        return False
    if any(route.function is function for route in index.routes):
        note = next((a.annotation for a in parameters(function.node) if a.arg == value.id), None)
        return note is not None and re.search(r"\b(dict|Dict|Any|Body)\b", unparsed(note)) is not None
    return any(_is_parsed(index, caller, given, depth + 1) for caller, given in handed_in(index, function, value.id))


def handed_in(index: Index, function: Function, name: str) -> Iterator[tuple[Function, ast.expr]]:
    """What callers of the target hand in for a parameter."""
    several = [a.arg for a in parameters(function.node)]
    if name not in several:
        return
    position = several.index(name) - (1 if several[0] in ("self", "cls") else 0)
    for module, call in index.calls_named(function.name) if position >= 0 else ():
        given, caller = argument(call, position, name), index.enclosing(module, call)
        if given is not None and caller is not None and index.resolve_call(module, call) is function:
            yield caller, given


def _is_judged(index: Index, function: Function, home: Function) -> bool:
    """Whether what is signed is compared: here, or where the digest is asked for."""
    around: list[Function] = [function, home, *index.callers(function)]
    return any(compares_signature(index, one) for one in around)

"""The rule unverifiable-signature."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Rule
from swarm.rules.security.signatures.digests import (
    assigned,
    from_request,
    is_condition_of_query,
    is_signature,
)

Encoding = Literal["hex", "base64"]
_COMPARING = ("hmac.compare_digest", "secrets.compare_digest")
_RAW = re.compile(r"\.digest\(\)$|^hmac\.digest\([^()]*\)$")
_DECODERS = (
    "base64.b64decode", "base64.standard_b64decode", "base64.urlsafe_b64decode", "binascii.unhexlify",
    "binascii.a2b_base64", "bytes.fromhex",
)  # fmt: skip
_HEX = re.compile(r"\.hexdigest\(|\bhexlify\(|\.hex\(")
_BASE64 = re.compile(r"\bb64encode\(|\bencodebytes\(|\bstandard_b64encode\(")


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How a known sender signs, by his documents: `keyed` says that it is an HMAC, else a signature of Ed25519."""

    sender: str
    keyed: bool
    encoding: Encoding
    prefix: str = ""


_SCHEMES = {
    "x-ghl-signature": _Scheme("HighLevel", False, "base64"),
    "x-signature-ed25519": _Scheme("Discord", False, "hex"),
    "x-hub-signature-256": _Scheme("GitHub", True, "hex", "sha256="),
    "x-shopify-hmac-sha256": _Scheme("Shopify", True, "base64"),
    "x-square-hmacsha256-signature": _Scheme("Square", True, "base64"),
    "x-slack-signature": _Scheme("Slack", True, "hex", "v0="),
    "stripe-signature": _Scheme("Stripe", True, "hex"),
    "linear-signature": _Scheme("Linear", True, "hex"),
    "x-razorpay-signature": _Scheme("Razorpay", True, "hex"),
    "webhook-signature": _Scheme("Standard Webhooks", True, "base64"),
    "svix-signature": _Scheme("Svix", True, "base64"),
    "x-twilio-signature": _Scheme("Twilio", True, "base64"),
    "typeform-signature": _Scheme("Typeform", True, "base64", "sha256="),
    "x-hubspot-signature-v3": _Scheme("HubSpot", True, "base64"),
    "x-zm-signature": _Scheme("Zoom", True, "hex", "v0="),
    "paddle-signature": _Scheme("Paddle", True, "hex"),
    "calendly-webhook-signature": _Scheme("Calendly", True, "hex"),
    "x-wc-webhook-signature": _Scheme("WooCommerce", True, "base64"),
    "intuit-signature": _Scheme("Intuit", True, "base64"),
    "x-xero-signature": _Scheme("Xero", True, "base64"),
    "x-line-signature": _Scheme("LINE", True, "base64"),
    "x-docusign-signature-1": _Scheme("DocuSign", True, "base64"),
    "sentry-hook-signature": _Scheme("Sentry", True, "hex"),
}


class UnverifiableSignature(Rule):
    """A real signature of the sender can never verify: his documents say that he signs another way or writes the
    signature in another encoding than the code compares. Such a check works in its own tests alone, and is taken out
    on the first day of production.

    Known senders are told by the header of their signature. There is no mend: what the sender in front of the service
    really does, a recorded delivery tells.
    """

    id = "unverifiable-signature"
    category = "security"
    severity = "medium"
    cwe = ("CWE-347",)
    title = "A real signature can never verify"
    sources = (
        "HighLevel: Webhook Integration Guide", "docs.github.com: Validating webhook deliveries",
        "shopify.dev: Verify webhooks", "Standard Webhooks: verifying",
    )  # fmt: skip
    bad = (
        Example(
            "import hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\n"
            'KEY = os.environ["SHOPIFY_SECRET"].encode()\n\n\n@app.post("/hook")\n'
            "async def hook(request: Request):\n"
            '    made = hmac.new(KEY, await request.body(), "sha256").hexdigest()\n'
            '    sent = request.headers.get("X-Shopify-Hmac-Sha256", "")\n'
            "    if not hmac.compare_digest(made.encode(), sent.encode()):\n        raise HTTPException(401)\n"
            "    return {}\n",
            None,
            "fastapi",
        ),
        Example(
            "import base64\nimport hmac\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
            "def made_of(body):\n"
            "    digest = hmac.new(app.config['KEY'], body, 'sha256').digest()\n"
            "    return b'sha256=' + base64.b64encode(digest)\n\n\n@app.post('/hook')\ndef hook():\n"
            "    sent = request.headers.get('X-Hub-Signature-256', '').encode()\n"
            "    if not hmac.compare_digest(made_of(request.data), sent):\n        abort(401)\n    return {}\n",
            None,
            "flask",
        ),
        Example(
            "from cryptography.exceptions import InvalidSignature\n"
            "from cryptography.hazmat.primitives.serialization import load_pem_public_key\n"
            "from starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n"
            "from starlette.routing import Route\n\nKEY = load_pem_public_key(open('key.pem', 'rb').read())\n\n\n"
            "async def hook(request):\n    try:\n"
            "        KEY.verify(request.headers['x-signature'].encode(), await request.body())\n"
            "    except InvalidSignature:\n        return JSONResponse({}, status_code=401)\n"
            "    return JSONResponse({})\n\n\n"
            "app = Starlette(routes=[Route('/hook', hook, methods=['POST'])])\n",
            None,
            "starlette",
        ),
    )
    good = (
        "import base64\nimport hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
        'app = FastAPI()\nKEY = os.environ["SHOPIFY_SECRET"].encode()\n\n\n@app.post("/hook")\n'
        'async def hook(request: Request):\n    digest = hmac.new(KEY, await request.body(), "sha256").digest()\n'
        '    sent = request.headers.get("X-Shopify-Hmac-Sha256", "")\n'
        "    if not hmac.compare_digest(base64.b64encode(digest), sent.encode()):\n        raise HTTPException(401)\n"
        "    return {}\n",
        "import hmac\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n@app.post('/hook')\n"
        "def hook():\n"
        "    made = 'sha256=' + hmac.new(app.config['KEY'], request.data, 'sha256').hexdigest()\n"
        "    if not hmac.compare_digest(made.encode(), request.headers.get('X-Hub-Signature-256', '').encode()):\n"
        "        abort(401)\n    return {}\n",
        "import base64\n\nfrom cryptography.hazmat.primitives.serialization import load_pem_public_key\n\n"
        "KEY = load_pem_public_key(open('key.pem', 'rb').read())\n\n\ndef check(body: bytes, sent: str) -> None:\n"
        "    KEY.verify(base64.b64decode(sent), body)\n",
        # several senders: which comparison is whose cannot be told
        "import hmac\n\nSHOPIFY = 'X-Shopify-Hmac-Sha256'\nGITHUB = 'X-Hub-Signature-256'\n\n\n"
        "def is_good(key: bytes, body: bytes, sent: str) -> bool:\n"
        "    return hmac.compare_digest(hmac.new(key, body, 'sha256').hexdigest().encode(), sent.encode())\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Comparisons that no signature of the one known sender can pass, and texts handed to `verify`."""
        header, scheme = _known_sender(index)
        for function, call, wrong in _wrongly_verified(index, scheme):
            yield self.finding(
                function.module,
                call,
                evidence=f"{function.qualname} {wrong}",
                recommendation="Decode it first, as the sender's documents say: base64.b64decode or bytes.fromhex.",
                anchor=f"{function.qualname} verify",
                mendable=False,
            )
        for function, node, made, sent in _comparisons(index):
            wrong = _never_alike(index, function.module, made, sent)
            if wrong:
                yield self.finding(
                    function.module,
                    node,
                    evidence=f"{function.qualname} compares {wrong}",
                    recommendation="Compare both in one form: the digest's bytes, or the text that is sent.",
                    anchor=f"{function.qualname} forms",
                    mendable=False,
                )
            elif scheme is not None and (wrong := _wrong(index, function.module, made, sent, scheme)):
                yield self.finding(
                    function.module,
                    node,
                    evidence=f"{header}: {wrong}",
                    recommendation="Compare with a recorded delivery, and check it the way its sender documents.",
                    anchor=f"{function.qualname} {header}",
                    mendable=False,
                    confidence="medium",  # documents err, and proxies may sign anew: only a recorded delivery tells
                )


def _known_sender(index: Index) -> tuple[str, _Scheme | None]:
    """The known sender whose header the code names; none where there are several, or another signature as well."""
    names = {
        node.value.lower()
        for module in index.tree.modules.values() if not is_added(module)
        for node in module.nodes(ast.Constant)
        if isinstance(node.value, str) and len(node.value) <= 40 and " " not in node.value
    }  # fmt: skip
    known = [name for name in _SCHEMES if name in names]
    others = [n for n in names if re.search(r"^x?-?[\w-]*-(signature|sig|hmac)(-|$)", n) and n not in _SCHEMES]
    return (known[0], _SCHEMES[known[0]]) if len(known) == 1 and not others else ("", None)


def _comparisons(index: Index) -> Iterator[tuple[Function, ast.expr, ast.expr, ast.expr]]:
    """Comparisons with a keyed digest: the function, the comparison, what makes the digest, and the other side."""
    for function in index.functions:
        if is_added(function.module):
            continue
        for node in index.own_of(function, ast.Compare, ast.Call):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                if is_condition_of_query(index, function.module, node):
                    continue
                sides = [node.left, *node.comparators]
            elif isinstance(node, ast.Call) and function.module.resolve(node.func) in _COMPARING:
                sides = node.args
            else:
                continue
            made = [side for side in sides if is_signature(index, function.module, side)]
            if len(made) == 1 and len(sides) == 2 and isinstance(node, ast.expr):
                yield function, node, made[0], sides[1] if sides[0] is made[0] else sides[0]


def _never_alike(index: Index, module: Module, made: ast.expr, sent: ast.expr) -> str:
    """Why two sides can never be the same, whoever sends: one is bytes of a digest, the other digits that tell them;
    "" where they may be."""
    bare = _undone(sent)
    decoded = assigned(bare, module.enclosing_function(bare))
    name = (module.resolve(decoded.func) or "") if isinstance(decoded, ast.Call) else ""
    is_decoded = name in _DECODERS
    text = _written(index, module, made, 0)
    is_hex, is_base64 = _HEX.search(text) is not None, _BASE64.search(text) is not None
    if is_decoded and is_hex and not is_base64:
        return "what was decoded with the digest's hexadecimal digits"
    digest = module.segment(assigned(made, module.enclosing_function(made)))
    is_raw = _RAW.search(digest) or _gives_raw(index, module, made)
    if is_raw and _BASE64.search(digest) is None and from_request(module, bare):
        is_plain = isinstance(decoded, ast.Subscript | ast.Call) and not re.search(
            r"b64|fromhex|unhex|decode", module.segment(decoded)
        )
        return "the header's text with the digest's bytes" if is_plain else ""
    return ""


def _gives_raw(index: Index, module: Module, made: ast.expr) -> bool:
    """Whether it is a call of a function of the service's own that gives the digest's bytes."""
    value = assigned(made, module.enclosing_function(made))
    called = index.resolve_call(module, value) if isinstance(value, ast.Call) else None
    returned = [node.value for node in index.own_of(called, ast.Return) if node.value] if called is not None else []
    return called is not None and len(returned) == 1 and _RAW.search(
        called.module.segment(assigned(returned[0], called.node))
    ) is not None  # fmt: skip


def _undone(node: ast.expr) -> ast.expr:
    """What is encoded, without `.encode()` around it."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "encode":
        node = node.func.value
    return node


def _wrong(index: Index, module: Module, made: ast.expr, sent: ast.expr, scheme: _Scheme) -> str:
    """Why a digest can never be what the sender sends; "" where it may."""
    if not scheme.keyed:
        return f"{scheme.sender} signs with Ed25519 (base64), and the code compares a keyed digest"
    text = _written(index, module, made, 0)
    is_hex, is_base64 = _HEX.search(text) is not None, _BASE64.search(text) is not None
    if scheme.encoding == "base64" and is_hex and not is_base64:
        return f"{scheme.sender} writes base64, and the code compares hexadecimal digits"
    if scheme.encoding == "hex" and is_base64 and not is_hex:
        return f"{scheme.sender} writes hexadecimal digits, and the code compares base64"
    if scheme.prefix and is_hex and scheme.prefix not in text and not _is_cut(module, sent):
        return f"{scheme.sender} writes `{scheme.prefix}` before the digits, and the code compares the digits alone"
    return ""


def _is_cut(module: Module, sent: ast.expr) -> bool:
    """Whether anything but the header itself, as it came, may be what is compared."""
    value = assigned(_undone(sent), module.enclosing_function(sent))
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "get":
        return not from_request(module, value)
    return not (isinstance(value, ast.Subscript) and unparsed(value.value).endswith("headers"))


def _written(index: Index, module: Module, node: ast.expr, depth: int) -> str:
    """The text of all that makes a value, helpers included."""
    value = assigned(node, module.enclosing_function(node))
    text = module.segment(value)
    for part in walk(value):
        if depth > 3:
            break
        if isinstance(part, ast.Call):
            called = index.resolve_call(module, part)
            text += " " + called.module.segment(called.node) if called is not None else ""
        elif isinstance(part, ast.Name):
            inner = assigned(part, module.enclosing_function(part))
            text += " " + _written(index, module, inner, depth + 1) if inner is not part else ""
    return text


def _wrongly_verified(index: Index, scheme: _Scheme | None) -> Iterator[tuple[Function, ast.Call, str]]:
    """`key.verify(header.encode(), body)` of a public key, which takes the signature's bytes; and bytes that were
    decoded from another alphabet than the sender writes."""
    for module, call in index.calls_named("verify"):
        function = index.enclosing(module, call)
        if function is None or is_added(module) or len(call.args) < 2 or not isinstance(call.func, ast.Attribute):
            continue
        origins = list(module.imports.values())
        if not any(origin.startswith(("cryptography.", "nacl.")) for origin in origins):
            continue
        position = 0 if any(origin.startswith("cryptography.") for origin in origins) else 1
        signature = assigned(call.args[position], function.node)
        if _undone(signature) is not signature and from_request(module, _undone(signature)):
            yield function, call, "hands the signature's text to verify(), which takes its bytes"
        elif scheme is not None and not scheme.keyed and isinstance(signature, ast.Call):
            reader = module.resolve(signature.func) or ""
            is_hex, is_base64 = reader.endswith(("fromhex", "unhexlify")), reader.endswith("b64decode")
            if scheme.encoding == "base64" and is_hex:
                yield function, call, f"reads hexadecimal digits, where {scheme.sender} writes base64"
            elif scheme.encoding == "hex" and is_base64:
                yield function, call, f"reads base64, where {scheme.sender} writes hexadecimal digits"

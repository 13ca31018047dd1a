"""The rule secret-as-signature."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Rule
from swarm.rules.security.signatures.digests import (
    assigned,
    from_request,
    is_condition_of_query,
    is_shared_secret,
    is_signature,
)
from swarm.rules.security.signatures.signing_secrets import secret_named

_COMPARING = ("hmac.compare_digest", "secrets.compare_digest")
_SIGNATURE_HEADER = re.compile(r"[\"'][\w-]*(signature|[-_]sig\b|hmac|sha256)[\w-]*[\"']", re.IGNORECASE)


class SecretAsSignature(Rule):
    """The secret itself is taken for a signature: it travels with every request, and whoever sees one request, a log
    or a proxy can send whatever he likes. A signature tells that the body is whole; a secret in a header does not.

    Found where a header that is called a signature is compared with the secret, and where one value may be either a
    signature or the secret. A header that is called a token is left alone: some senders have nothing better. There is
    no mend, since the sender must sign.
    """

    id = "secret-as-signature"
    category = "security"
    severity = "high"
    cwe = ("CWE-345", "CWE-522")
    title = "The secret itself is taken for a signature"
    sources = ("Standard Webhooks: signature schemes", "OWASP ASVS 5.0 4.1.5")
    bad = (
        Example(
            "import hashlib\nimport hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
            'app = FastAPI()\nSECRET = os.environ["HOOK_SECRET"]\n\n\n@app.post("/hook")\n'
            'async def hook(request: Request):\n    sent = request.headers.get("X-Shop-Signature", "")\n'
            "    made = hmac.new(SECRET.encode(), await request.body(), hashlib.sha256).hexdigest()\n"
            "    if not hmac.compare_digest(sent, made) and sent != SECRET:\n        raise HTTPException(401)\n"
            "    return {}\n",
            None,
            "fastapi",
        ),
        Example(
            "import hmac\nimport os\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n"
            'HOOK_SECRET = os.environ["HOOK_SECRET"]\n\n\n@app.post("/hook")\ndef hook():\n'
            '    if not hmac.compare_digest(request.headers.get("X-Signature", ""), HOOK_SECRET):\n'
            "        abort(401)\n    return {}\n",
            None,
            "flask",
        ),
        Example(
            "import os\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\n"
            'from starlette.routing import Route\n\nSECRET = os.environ["HOOK_SECRET"]\n\n\n'
            'async def hook(request):\n    if request.headers.get("x-hub-signature-256") != SECRET:\n'
            "        return JSONResponse({}, status_code=401)\n    return JSONResponse({})\n\n\n"
            'app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])\n',
            None,
            "starlette",
        ),
    )
    good = (
        # a token is what some senders have
        "import hmac\nimport os\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n"
        'HOOK_TOKEN = os.environ["HOOK_TOKEN"]\n\n\n@app.post("/hook")\ndef hook():\n'
        '    if not hmac.compare_digest(request.headers.get("X-Gitlab-Token", "").encode(), HOOK_TOKEN.encode()):\n'
        "        abort(401)\n    return {}\n",
        "import hashlib\nimport hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
        'app = FastAPI()\nSECRET = os.environ["HOOK_SECRET"]\n\n\n@app.post("/hook")\n'
        'async def hook(request: Request):\n    sent = request.headers.get("X-Shop-Signature", "")\n'
        "    made = hmac.new(SECRET.encode(), await request.body(), hashlib.sha256).hexdigest()\n"
        "    if not hmac.compare_digest(sent.encode(), made.encode()):\n        raise HTTPException(401)\n"
        "    return {}\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every comparison of what was sent as a signature with a secret."""
        for function, node, why in _taken(index):
            yield self.finding(
                function.module,
                node,
                evidence=f"{function.qualname}: {why}",
                recommendation="Have the sender sign the raw body (HMAC-SHA256), and take nothing else for it.",
                anchor=function.qualname,
                mendable=False,
            )


def _taken(index: Index) -> Iterator[tuple[Function, ast.expr, str]]:
    for function in index.functions:
        if is_added(function.module):
            continue
        pairs = list(_comparisons(index, function))
        signed = {
            function.module.segment(_bare(sent)) for _, sides in pairs
            for sent, other in (sides, sides[::-1]) if is_signature(index, function.module, other)
        }  # fmt: skip
        for node, sides in pairs:
            for sent, other in (sides, sides[::-1]):
                if not _is_secret(function, other) or is_signature(index, function.module, sent):
                    continue
                if function.module.segment(_bare(sent)) in signed:
                    yield function, node, "the same value may be a signature or the secret itself"
                elif from_request(function.module, _bare(sent)) and _SIGNATURE_HEADER.search(_text(function, sent)):
                    yield function, node, "what is called a signature is compared with the secret itself"


def _comparisons(index: Index, function: Function) -> Iterator[tuple[ast.expr, tuple[ast.expr, ast.expr]]]:
    for node in index.own_of(function, ast.Compare, ast.Call):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            if not is_condition_of_query(index, function.module, node):
                yield node, (node.left, node.comparators[0])
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            several = node.comparators[0]
            for item in several.elts if isinstance(several, ast.Tuple | ast.List | ast.Set) else ():
                yield node, (node.left, item)
        elif isinstance(node, ast.Call) and len(node.args) == 2 and function.module.resolve(node.func) in _COMPARING:
            yield node, (node.args[0], node.args[1])
            for sent, one in (node.args, node.args[::-1]):
                for item in _listed(function.module, node, _bare(one)):
                    yield node, (sent, item)


def _listed(module: Module, node: ast.Call, one: ast.expr) -> list[ast.expr]:
    """What a name stands for in turn: `for known in (mac, KEY)`."""
    for around in module.ancestors(node):
        loops = around.generators if isinstance(around, ast.GeneratorExp | ast.ListComp) else [around]
        for loop in loops:
            is_over = isinstance(loop, ast.For | ast.comprehension) and isinstance(one, ast.Name)
            if is_over and isinstance(loop, ast.For | ast.comprehension) and unparsed(loop.target) == unparsed(one):
                return loop.iter.elts if isinstance(loop.iter, ast.Tuple | ast.List) else []
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
            break
    return []


def _is_secret(function: Function, node: ast.expr) -> bool:
    """The secret of the settings, as it is, as bytes, or read on the spot into a local name."""
    bare = _bare(node)
    if is_shared_secret(function.module, bare):
        return True
    is_constant = isinstance(bare, ast.Name) and bare.id in function.module.globals
    if is_constant and secret_named(function, bare):  # whatever it is called, a digest is made with it
        return True
    value = _bare(assigned(bare, function.node))
    return value is not bare and is_shared_secret(function.module, value)


def _text(function: Function, sent: ast.expr) -> str:
    return function.module.segment(assigned(_bare(sent), function.node))


def _bare(node: ast.expr) -> ast.expr:
    """The value without `.encode()`, `str()` and `or ""` around it."""
    for _ in range(4):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "encode":
            node = node.func.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str" and node.args:
            node = node.args[0]
        elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            node = node.values[0]
        else:
            break
    return node

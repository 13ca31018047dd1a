"""The rule skipped-signature-check."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.core.findings import Finding, Severity
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.guards.hooks import dependencies
from swarm.rules.security.guards.judging import judging, ways_of
from swarm.rules.security.signatures.digests import from_request
from swarm.rules.security.signatures.judgements import (
    asks_signature,
    is_refusal,
    lets_through,
    lets_view_run,
    refusal_text,
    refuses_inside,
)
from swarm.rules.security.signatures.signing_secrets import (
    SWITCH_OFF,
    is_of_service,
    secret_set,
    secret_unset,
    switch_of,
)
from swarm.rules.security.signatures.unsent_signatures import names_signature, unsent
from swarm.rules.writing.splices import is_alone


@dataclass(frozen=True, slots=True)
class _Skip:
    """A place where a check is left out: `edit` closes it, None where that is the owner's to decide."""

    function: Function
    node: ast.AST
    why: str
    severity: Severity
    edit: Edit | None


class SkippedSignatureCheck(Rule):
    """Where its secret is not set, the environment is not called "production", or no signature was sent at all, the
    service takes everything: a forgotten variable opens the webhook, and nobody notices, since all of it works.

    The mend refuses where the secret of a signature is not set, as the code refuses a wrong one; where it is set
    nothing changes. Plain tokens, secrets of single tenants, and what asks for the environment's name
    or for a switch are left to the owner.
    """

    id = "skipped-signature-check"
    category = "security"
    severity = "high"
    cwe = ("CWE-636", "CWE-1188")
    title = "Without its secret the service takes everything"
    sources = ("OWASP ASVS 5.0 16.5.3", "OWASP Top 10 A05:2021")
    order = 64
    bad = (
        Example(
            "import hashlib\nimport hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
            'KEY = os.environ.get("HOOK_KEY", "")\napp = FastAPI()\n\n\n@app.post("/hook")\n'
            "async def hook(request: Request):\n    body = await request.body()\n"
            '    stamp, _, sent = request.headers.get("x-signature", "").partition(",")\n'
            '    expected = hmac.new(KEY.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()\n'
            "    if KEY and sent != expected:\n        raise HTTPException(401)\n    return {}\n",
            "import hashlib\nimport hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
            'KEY = os.environ.get("HOOK_KEY", "")\napp = FastAPI()\n\n\n@app.post("/hook")\n'
            "async def hook(request: Request):\n    body = await request.body()\n"
            '    stamp, _, sent = request.headers.get("x-signature", "").partition(",")\n'
            '    expected = hmac.new(KEY.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()\n'
            "    if not KEY or sent != expected:\n        raise HTTPException(401)\n    return {}\n",
            "fastapi",
        ),
        Example(
            "import hmac\nimport os\n\nSECRET = os.getenv('HOOK_SECRET')\n\n\n"
            "def is_good(body: bytes, sent: str) -> bool:\n    if not SECRET:\n        return True\n"
            "    made = hmac.new(SECRET.encode(), body, 'sha256').hexdigest()\n"
            "    return hmac.compare_digest(made.encode(), sent.encode())\n",
            "import hmac\nimport os\n\nSECRET = os.getenv('HOOK_SECRET')\n\n\n"
            "def is_good(body: bytes, sent: str) -> bool:\n    if not SECRET:\n        return False\n"
            "    made = hmac.new(SECRET.encode(), body, 'sha256').hexdigest()\n"
            "    return hmac.compare_digest(made.encode(), sent.encode())\n",
        ),
        Example(
            "import hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\n\n\n"
            "@app.post('/hook')\nasync def hook(request: Request):\n    secret = os.environ.get('HOOK_SECRET')\n"
            "    body = await request.body()\n    if secret:\n"
            "        made = hmac.new(secret.encode(), body, 'sha256').hexdigest()\n"
            "        if not hmac.compare_digest(made.encode(), request.headers.get('X-Sig', '').encode()):\n"
            "            raise HTTPException(status_code=401)\n    return {'ok': True}\n",
            "import hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\n\n\n"
            "@app.post('/hook')\nasync def hook(request: Request):\n    secret = os.environ.get('HOOK_SECRET')\n"
            "    body = await request.body()\n    if secret:\n"
            "        made = hmac.new(secret.encode(), body, 'sha256').hexdigest()\n"
            "        if not hmac.compare_digest(made.encode(), request.headers.get('X-Sig', '').encode()):\n"
            "            raise HTTPException(status_code=401)\n    else:\n"
            "        raise HTTPException(status_code=401)\n    return {'ok': True}\n",
            "fastapi",
        ),
        Example(
            "import hmac\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
            "def is_good(secret, body, sent):\n"
            "    return hmac.compare_digest(hmac.new(secret, body, 'sha256').hexdigest().encode(), sent)\n\n\n"
            "@app.post('/hook')\ndef hook():\n    secret = app.config['HOOK_SECRET']\n"
            "    if secret and not is_good(secret, request.data, request.headers.get('X-Sig', '').encode()):\n"
            "        abort(401)\n    return {}\n",
            "import hmac\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
            "def is_good(secret, body, sent):\n"
            "    return hmac.compare_digest(hmac.new(secret, body, 'sha256').hexdigest().encode(), sent)\n\n\n"
            "@app.post('/hook')\ndef hook():\n    secret = app.config['HOOK_SECRET']\n"
            "    if not secret or not is_good(secret, request.data, request.headers.get('X-Sig', '').encode()):\n"
            "        abort(401)\n    return {}\n",
            "flask",
        ),
        Example(
            "import hmac\nimport os\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\n"
            "SECRET = os.environ['HOOK_SECRET']\n\n\ndef is_good(body, sent):\n"
            "    if os.getenv('APP_ENV') != 'production':\n        return True\n"
            "    made = hmac.new(SECRET.encode(), body, 'sha256').hexdigest()\n"
            "    return hmac.compare_digest(made.encode(), sent.encode())\n\n\nasync def hook(request):\n"
            "    if not is_good(await request.body(), request.headers.get('x-sig', '')):\n"
            "        return JSONResponse({}, status_code=401)\n    return JSONResponse({})\n\n\n"
            "app = Starlette(routes=[Route('/hook', hook, methods=['POST'])])\n",
            None,
            "starlette",
        ),
    )
    good = (
        "import hmac\nimport os\n\nSECRET = os.getenv('HOOK_SECRET', '')\n\n\n"
        "def is_good(body: bytes, sent: str) -> bool:\n    if not SECRET:\n        return False\n"
        "    made = hmac.new(SECRET.encode(), body, 'sha256').hexdigest()\n"
        "    return hmac.compare_digest(made.encode(), sent.encode())\n",
        "import hmac\nimport os\n\nSECRET = os.getenv('HOOK_SECRET')\nif not SECRET:\n"
        "    raise RuntimeError('HOOK_SECRET is not set')\n\n\ndef is_good(body: bytes, sent: str) -> bool:\n"
        "    if not sent:\n        return False\n    made = hmac.new(SECRET.encode(), body, 'sha256').hexdigest()\n"
        "    return hmac.compare_digest(made.encode(), sent.encode())\n",
        # what goes out may go unsigned
        "import hmac\n\n\ndef headers(secret: str | None, body: bytes) -> dict:\n    if not secret:\n"
        "        return {}\n    return {'X-Sig': hmac.new(secret.encode(), body, 'sha256').hexdigest()}\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every place where the check is left out."""
        for skip in _skips(index):
            yield self.finding(
                skip.function.module,
                skip.node,
                evidence=f"{skip.function.qualname}: {skip.why}",
                recommendation="Refuse every request, or do not start, where the secret is not set.",
                anchor=skip.function.qualname,
                mendable=skip.edit is not None,
                severity=skip.severity,
            )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A refusal where the check was left out."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits = [
            skip.edit for skip in _skips(index)
            if skip.function.module is module and skip.edit is not None and getattr(skip.node, "lineno", 0) in lines
        ]  # fmt: skip
        if not edits:
            return None
        return Mend(
            "Refuse requests where no secret is set",
            "A forgotten variable no longer opens the webhook: without its secret nothing can be checked, and what "
            "cannot be checked is refused as a wrong signature is. With the secret set nothing changes.",
            (edited(module, edits),),
        )


def _skips(index: Index) -> Iterator[_Skip]:
    for function in index.functions:
        if is_added(function.module):
            continue
        judges = function in judging(index)
        for node in index.own_of(function, ast.If, ast.Return, ast.ExceptHandler, ast.Match):
            found = None
            if isinstance(node, ast.ExceptHandler):
                found = (_fails_open(index, function, node) or _goes_on(function, node)) if judges else None
            elif isinstance(node, ast.Match):
                found = _matched(index, function, node) if judges else None
            elif isinstance(node, ast.If):
                found = (_left_out(index, function, node) if judges else None) or _only_if_set(index, function, node)
            elif isinstance(node, ast.Return) and judges:
                found = _or_unset(index, function, node)
            if found is not None:
                yield found


def _skip(index: Index, function: Function, node: ast.AST, why: str, test: ast.expr, edit: Edit | None) -> _Skip:
    """A skip by what is not set: one tenant may be meant to have no secret, and a plain token to be left out at home;
    who signs never is."""
    if not is_of_service(index, function, test):
        return _Skip(function, node, why, "low", None)
    if not any(_makes_signatures(index, one) for one in ways_of(index, function)):
        return _Skip(function, node, f"{why} (a plain token)", "medium", None)
    return _Skip(function, node, why, "high", edit)


def _makes_signatures(index: Index, function: Function) -> bool:
    """Whether a keyed digest is made there, or a library's `verify` is handed a signature."""
    for call in index.calls(function):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if (function.module.resolve(call.func) or "").startswith("hmac.") and name != "compare_digest":
            return True
        if name in ("verify", "construct_event") and len(call.args) + len(call.keywords) >= 2:
            return True
    return False


def _left_out(index: Index, function: Function, node: ast.If) -> _Skip | None:
    """`if not SECRET: return True`, in a function that judges signatures."""
    last = node.body[-1]
    if not isinstance(last, ast.Return) or node.orelse or not _is_before_check(index, function, node):
        return None
    is_yes = isinstance(last.value, ast.Constant) and last.value.value is True
    is_bare = last.value is None or (isinstance(last.value, ast.Constant) and last.value.value is None)
    is_answer = lets_view_run(function, last) or (
        function in dependencies(index) and not is_refusal(index, function.module, node.body)
    )
    if not is_yes and not ((is_bare or is_answer) and _raises(index, function)):
        return None
    sent = _not_sent(function, node.test)
    if sent and not any(route.function is function for route in index.routes):
        text = "return False" if is_yes else refusal_text(index, function, None)
        edit = Edit(*function.module.span(last), text) if text else None
        return _Skip(function, node, f"says yes where {sent} was not sent", "high", edit)
    secret = secret_unset(function, node.test)
    if secret:
        text = "return False" if is_yes else refusal_text(index, function, None)
        edit = Edit(*function.module.span(last), text) if text else None
        return _skip(index, function, node, f"says yes where {secret} is not set", node.test, edit)
    switch = switch_of(function, node.test)
    if switch:
        return _switched(function, node, switch)
    return None


def _matched(index: Index, function: Function, node: ast.Match) -> _Skip | None:
    """`match STAGE: case "dev": return True`."""
    switch = switch_of(function, node.subject)
    if not switch or not _is_before_check(index, function, node):
        return None
    for case in node.cases:
        last = case.body[-1]
        is_yes = isinstance(last, ast.Return) and isinstance(last.value, ast.Constant) and last.value.value is True
        is_bare = isinstance(last, ast.Return) and last.value is None
        if is_yes or (is_bare and _raises(index, function)):
            return _switched(function, node, switch)
    return None


def _only_if_set(index: Index, function: Function, node: ast.If) -> _Skip | None:
    """`if SECRET and not good: refuse`, `if SECRET: if not good: refuse`."""
    module, test = function.module, node.test
    left_out = unsent(index, function, node)
    if left_out is not None:
        return _Skip(function, node, f"checks the sender only where {left_out[0]} was sent", "high", left_out[1])
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        secret = secret_set(function, test.values[0])
        if not secret and (switch := next(filter(None, (switch_of(function, part) for part in test.values)), "")):
            asks = any(asks_signature(index, function, part) for part in test.values)
            return _switched(function, node, switch) if asks and is_refusal(index, module, node.body) else None
        if not secret or not any(asks_signature(index, function, part) for part in test.values[1:]):
            return None
        if not is_refusal(index, module, node.body):
            return None
        edit = None
        if len(test.values) == 2 and not isinstance(test.values[1], ast.BoolOp | ast.IfExp | ast.NamedExpr):
            start, end = module.span(test.values[0])[0], module.span(test.values[1])[0]
            edit = Edit(start, end, f"not {module.segment(test.values[0])} or ")
            if isinstance(test.values[0], ast.Compare):
                edit = Edit(start, end, f"{module.segment(test.values[0].left)} is None or ")
        why = f"checks the sender only where {secret} is set"
        return _skip(index, function, node, why, test.values[0], edit)
    secret = secret_set(function, test)
    if not secret and not node.orelse and (switch := switch_of(function, test)):
        return _switched(function, node, switch) if refuses_inside(index, function, node) else None
    if not secret or node.orelse:
        return None
    for inner in (part for part in walk(node) if isinstance(part, ast.If) and part is not node):
        if asks_signature(index, function, inner.test) and is_refusal(index, module, inner.body):
            why, edit = f"checks the sender only where {secret} is set", _with_else(index, function, node, inner)
            return _skip(index, function, node, why, test, edit)
    return None


def _switched(function: Function, node: ast.AST, switch: str) -> _Skip:
    """What a switch turns off is the owner's to decide."""
    severity: Severity = "low" if SWITCH_OFF.search(switch) else "medium"
    return _Skip(function, node, f"whether a signature is checked depends on {switch}", severity, None)


def _or_unset(index: Index, function: Function, node: ast.Return) -> _Skip | None:
    """`return not SECRET or compare_digest(…)`, `return app.debug or …`."""
    value, module = node.value, function.module
    if not isinstance(value, ast.BoolOp) or not isinstance(value.op, ast.Or) or len(value.values) != 2:
        return None
    secret = secret_unset(function, value.values[0])
    first = value.values[0]
    if not secret and (switch := switch_of(function, first)) and asks_signature(index, function, value.values[1]):
        return _switched(function, node, switch)
    if not secret or not isinstance(first, ast.UnaryOp) or isinstance(value.values[1], ast.BoolOp | ast.IfExp):
        return None
    start, end = module.span(first)[0], module.span(value.values[1])[0]
    text = f"bool({module.segment(first.operand)}) and "
    return _skip(index, function, node, f"says yes where {secret} is not set", first, Edit(start, end, text))


def _with_else(index: Index, function: Function, node: ast.If, inner: ast.If) -> Edit | None:
    module = function.module
    text = refusal_text(index, function, inner)
    is_elif = module.line(node.lineno).lstrip().startswith("elif")
    if not text or is_elif or not is_alone(module, node.body[-1]):
        return None
    indent = module.indent(node)
    step = module.indent(node.body[0])
    at = module.line_start((node.end_lineno or node.lineno) + 1)
    lead = "" if module.text[:at].endswith("\n") else "\n"
    return Edit(at, at, f"{lead}{indent}else:\n{step}{text}\n")


def _fails_open(index: Index, function: Function, node: ast.ExceptHandler) -> _Skip | None:
    """`except Exception: return True` around a check."""
    module, last = function.module, node.body[-1]
    is_yes = isinstance(last, ast.Return) and isinstance(last.value, ast.Constant) and last.value.value is True
    tried = module.parent(node)
    if not is_yes or not isinstance(tried, ast.Try) or not any(
        asks_signature(index, function, part) for statement in tried.body for part in walk(statement)
        if isinstance(part, ast.Call | ast.Compare)
    ):  # fmt: skip
        return None
    return _Skip(
        function, node, "says yes where the check itself fails", "high", Edit(*module.span(last), "return False")
    )


def _goes_on(function: Function, node: ast.ExceptHandler) -> _Skip | None:
    """`except SignatureVerificationError: log(…)`, and the function goes on as if the check had said yes."""
    if not lets_through(function.module, node):
        return None
    return _Skip(function, node, "goes on where the signature is wrong", "high", None)


def _not_sent(function: Function, test: ast.expr) -> str:
    """What holds the signature that a test finds missing: `not signature`, `signature is None`."""
    name = test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else None
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is):
        name = test.left
    if not isinstance(name, ast.Name) or not from_request(function.module, name):
        return ""
    return name.id if names_signature(function, name) else ""


def _is_before_check(index: Index, function: Function, node: ast.stmt) -> bool:
    """Whether something is compared after it: what follows a check leaves none out."""
    return any(
        isinstance(part, ast.Compare | ast.Call) and part.lineno > (node.end_lineno or 0)
        for part in index.own_nodes(function)
    )


def _raises(index: Index, function: Function) -> bool:
    return any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and is_refusal(index, function.module, [node]))
        for node in index.own_nodes(function)
    )

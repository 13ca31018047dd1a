"""What code does about a signature: whether a test judges one, and whether a block refuses."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Sequence

from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.rules.security.guards.judging import compares_signature, ways_of
from swarm.rules.security.signatures.digests import assigned, from_request, is_signature
from swarm.rules.security.signatures.signing_secrets import secret_named

_OF_SIGNATURES = re.compile(r"Signature|Verification", re.IGNORECASE)
_VERIFIES = re.compile(r"\.(verify|construct_event|verify_signature|check_signature)\(")
_REFUSED = re.compile(r"40[013]|HTTPException|signature|unauthori|forbidden|denied", re.IGNORECASE)
_LOGS = re.compile(r"^(\w+\.)*(log(ger|ging)?|_log(ger)?|app\.logger|current_app\.logger|print|warnings?)\b", re.I)


def is_refusal(index: Index, module: Module, body: Sequence[ast.stmt]) -> bool:
    """Whether a block ends by refusing: it raises, aborts, or answers 4xx, 503 or False."""
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        return module.segment(last.value.func).rsplit(".", 1)[-1] == "abort"
    if not isinstance(last, ast.Return) or last.value is None:
        return False
    if isinstance(last.value, ast.Constant):
        return last.value.value is False
    helper = index.resolve_call(module, last.value) if isinstance(last.value, ast.Call) else None
    if helper is not None:  # `return unauthorized()`
        return any(
            is_refusal(index, helper.module, [node])
            for node in index.own_nodes(helper)
            if isinstance(node, ast.Return | ast.Raise)
        )
    codes = [n.value for n in walk(last.value) if isinstance(n, ast.Constant) and type(n.value) is int]
    named = re.search(r"HTTP_4\d\d|UNAUTHORIZED|FORBIDDEN|BAD_REQUEST|abort\(", module.segment(last.value))
    return any(400 <= code < 600 for code in codes) or named is not None


def asks_signature(index: Index, function: Function, test: ast.expr, depth: int = 0) -> bool:
    """Whether a test judges a signature, by itself or by what it calls."""
    for part in walk(test):
        if isinstance(part, ast.Name) and depth == 0:
            value = assigned(part, function.node)
            if value is not part and asks_signature(index, function, value, depth + 1):
                return True
        if isinstance(part, ast.Call):
            called = index.resolve_call(function.module, part)
            if called is not None and any(compares_signature(index, one) for one in ways_of(index, called)):
                return True
            if function.module.resolve(part.func) in ("hmac.compare_digest", "secrets.compare_digest"):
                return True
        if isinstance(part, ast.Compare) and any(
            is_signature(index, function.module, side) for side in (part.left, *part.comparators)
        ):
            return True
        if isinstance(part, ast.Compare) and from_request(function.module, part.left):
            return any(secret_named(function, side) for side in part.comparators) or _names_digest(
                function.module.segment(part)
            )
    return False


def refuses_inside(index: Index, function: Function, node: ast.If) -> bool:
    """Whether a block checks a signature and refuses a wrong one."""
    for inner in walk(node):  # `verify(body, sent)`, which raises
        call = inner.value if isinstance(inner, ast.Expr) else None
        call = call.value if isinstance(call, ast.Await) else call
        called = index.resolve_call(function.module, call) if isinstance(call, ast.Call) else None
        if called is not None and compares_signature(index, called) and index.own_of(called, ast.Raise):
            return True
    return any(
        isinstance(inner, ast.If) and inner is not node and asks_signature(index, function, inner.test)
        and is_refusal(index, function.module, inner.body)
        for inner in walk(node)
    )  # fmt: skip


def _names_digest(text: str) -> bool:
    return re.search(r"expected|digest|signature|computed", text) is not None


def lets_through(module: Module, handler: ast.ExceptHandler) -> bool:
    """Whether the error of a wrong signature is noted at most, and what follows runs for it as well."""
    tried = module.parent(handler)
    if not isinstance(tried, ast.Try) or handler.type is None:
        return False
    asks_alone = all(isinstance(one, ast.Expr) and _VERIFIES.search(module.segment(one)) for one in tried.body)
    is_any = module.segment(handler.type) in ("Exception", "BaseException") and asks_alone
    if not is_any and not _OF_SIGNATURES.search(module.segment(handler.type)):
        return False
    if not all(isinstance(one, ast.Pass) or (isinstance(one, ast.Expr) and _LOGS.search(module.segment(one)))
               for one in handler.body):  # fmt: skip
        return False
    through = [*tried.body, *tried.orelse]
    if any(isinstance(part, ast.Return) for one in through for part in walk(one)):
        return False  # who got through has gone: what follows refuses
    # `good = True`: somebody asks for it
    return not any(isinstance(one, ast.Assign) and isinstance(one.value, ast.Constant) for one in through)


def lets_view_run(function: Function, answer: ast.Return) -> bool:
    """`return view(*args)` of a decorator's inner function."""
    called = answer.value.value if isinstance(answer.value, ast.Await) else answer.value
    if not isinstance(called, ast.Call) or not isinstance(called.func, ast.Name):
        return False
    outer = function.module.enclosing_function(function.node)
    return outer is not None and any(argument.arg == called.func.id for argument in parameters(outer))


def refusal_text(index: Index, function: Function, inner: ast.If | None) -> str:
    """The statement by which the function refuses, on one line, where it can stand elsewhere as well."""
    module = function.module
    if inner is not None:
        candidates: list[ast.stmt] = [inner.body[-1]]
    else:
        raised = [
            node for node in index.own_of(function, ast.Raise, ast.Expr)
            if isinstance(node, ast.Raise) or is_refusal(index, module, [node])
        ]  # fmt: skip
        candidates = [node for node in raised if _REFUSED.search(module.segment(node))]
    for statement in reversed(candidates):
        text = module.segment(statement)
        names = {part.id for part in walk(statement) if isinstance(part, ast.Name)}
        known = set(module.globals) | set(module.imports)
        known |= set(dir(builtins))
        has_cause = isinstance(statement, ast.Raise) and (statement.cause is not None or statement.exc is None)
        if "\n" not in text and names <= known and not has_cause:
            return text
    return ""

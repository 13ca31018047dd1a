"""What code does about a signature: whether a test judges one, and whether a block refuses."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.rules.security.guards.guarding import compares_signature, ways_of
from swarm.rules.security.signatures.digests import assigned, from_request, is_signature
from swarm.rules.security.signatures.signing_secrets import secret_named


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
    return any(
        isinstance(inner, ast.If) and inner is not node and asks_signature(index, function, inner.test)
        and is_refusal(index, function.module, inner.body)
        for inner in walk(node)
    )  # fmt: skip


def _names_digest(text: str) -> bool:
    return re.search(r"expected|digest|signature|computed", text) is not None

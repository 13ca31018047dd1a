"""Signatures that need not be there: a check that is made only where one was sent."""

from __future__ import annotations

import ast
import re

from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.rules.security.guards.guarding import asks_for_proof
from swarm.rules.security.guards.judging import ways_of
from swarm.rules.security.signatures.digests import assigned, from_request
from swarm.rules.security.signatures.judgements import asks_signature, is_refusal, refuses_inside

_SIGNATURE = re.compile(r"signature|hmac|digest|[-_]sig\b|\bsig\b|x-hub", re.IGNORECASE)


def unsent(index: Index, function: Function, node: ast.If) -> tuple[str, Edit | None] | None:
    """`if signature is not None: if not good(signature): refuse`: who sends none is let in. What holds the signature,
    and the edit that refuses without one (None where it takes more than another test); None where all are asked."""
    module, test = function.module, node.test
    parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
    first = parts[0]
    name = first.left if isinstance(first, ast.Compare) and isinstance(first.ops[0], ast.IsNot) else first
    if not isinstance(name, ast.Name) or node.orelse or not from_request(module, name):
        return None
    checked = [*parts[1:], *node.body]
    is_checked = any(isinstance(inner, ast.Name) and inner.id == name.id for part in checked for inner in walk(part))
    if not is_checked and not names_signature(function, name):
        return None
    if len(parts) > 1:
        asks = any(asks_signature(index, function, part) for part in parts[1:])
        is_check = asks and is_refusal(index, module, node.body)
    else:
        is_check = refuses_inside(index, function, node)
    if not is_check or _is_asked_for_elsewhere(index, function, node, name.id):
        return None
    if len(parts) == 2 and not isinstance(parts[1], ast.BoolOp | ast.IfExp | ast.NamedExpr):
        return name.id, Edit(module.span(first)[0], module.span(parts[1])[0], f"not {name.id} or ")
    return name.id, None


def names_signature(function: Function, name: ast.Name) -> bool:
    """Whether a variable is called a signature, or was read from a header that is."""
    return _SIGNATURE.search(" ".join((name.id, function.module.segment(assigned(name, function.node))))) is not None


def _is_asked_for_elsewhere(index: Index, function: Function, node: ast.If, name: str) -> bool:
    """Whether something else refuses who sent no signature: another test, another proof, or the function's end."""
    module, inside = function.module, {id(part) for part in walk(node)}
    last = function.node.body[-1]
    if last is not node and is_refusal(index, module, [last]):
        return True
    for part in index.own_of(function, ast.If):
        if id(part) not in inside and (
            any(isinstance(inner, ast.Name) and inner.id == name for inner in walk(part.test))
            or is_refusal(index, module, part.body)
        ):
            return True
    own = {function, *index.reaches(function)}
    for route in index.routes:
        ways = ways_of(index, route.function)
        if function in ways and any(
            asks_for_proof(index, other) for other in ways if other not in own and other is not route.function
        ):
            return True
    return False

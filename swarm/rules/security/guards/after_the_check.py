"""Where a handler knows that the sender's signature is good and has not begun its work: a line can go in there."""

from __future__ import annotations

import ast

from swarm.analysis.edits import Edit
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index, Route
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.rules.security.guards.judging import checks_signature, compares_signature, ways_of
from swarm.rules.security.signatures.judgements import asks_signature, is_refusal
from swarm.rules.security.signatures.webhook_shapes import body_routes

_NAME = "repeated"


def lines_after_checks(index: Index, call: str) -> list[tuple[Module, Edit]]:
    """`repeated = call()` and the answer of what it gives, in every handler whose sender signs; none at all where one
    of them has no such place."""
    found: dict[Function, tuple[Module, Edit]] = {}
    for route in body_routes(index):
        if not checks_signature(index, route):
            continue
        edit = _edit(index, route, call)
        if edit is None:
            return []
        found[route.function] = (route.function.module, edit)
    return list(found.values())


def _edit(index: Index, route: Route, call: str) -> Edit | None:
    function, module = route.function, route.function.module
    names = {node.id for node in walk(function.node) if isinstance(node, ast.Name)}
    body = function.node.body
    is_told = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    first = 1 if is_told else 0
    judged = [place for place, statement in enumerate(body) if _judges(index, function, statement)]
    if _NAME in names or len(body) <= first:
        return None
    if not judged:
        return _lines(module, body[first], call)
    last = body[judged[-1]]
    if not all(_refuses(index, function, body[place]) for place in judged) or last is body[-1]:
        return None
    if any(_writes(index, function, statement) for statement in body[: judged[-1] + 1]):
        return None
    return _lines(module, body[judged[-1] + 1], call)


def _lines(module: Module, statement: ast.stmt, call: str) -> Edit | None:
    at = module.span(statement)[0]
    indent = module.indent(statement)
    if module.text[module.line_start(statement.lineno) : at].strip():
        return None  # it shares its line
    return Edit(at, at, f"{_NAME} = {call}()\n{indent}if {_NAME} is not None:\n{indent}    return {_NAME}\n{indent}")


def _judges(index: Index, function: Function, statement: ast.stmt) -> bool:
    """Whether a signature is judged there, by the statement itself or by what it calls."""
    if isinstance(statement, ast.If) and asks_signature(index, function, statement.test):
        return True
    for part in walk(statement):
        called = index.resolve_call(function.module, part) if isinstance(part, ast.Call) else None
        if called is not None and any(compares_signature(index, one) for one in ways_of(index, called)):
            return True
    own = {id(part) for part in walk(statement)}
    return compares_signature(index, function) and any(
        id(node) in own and _is_comparison(node) for node in index.own_of(function, ast.Call)
    )


def _is_comparison(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in ("compare_digest", "construct_event", "verify", "is_valid_request", "verify_signature")


def _refuses(index: Index, function: Function, statement: ast.stmt) -> bool:
    """Whether what follows a statement runs for good signatures alone, or for all as before."""
    module = function.module
    if isinstance(statement, ast.If):
        return not statement.orelse and is_refusal(index, module, statement.body)
    if isinstance(statement, ast.Try):
        return bool(statement.handlers) and all(is_refusal(index, module, one.body) for one in statement.handlers)
    value = statement.value if isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign) else None
    return value is not None  # a verdict that an `if` asks for, or a call that raises


def _writes(index: Index, function: Function, statement: ast.stmt) -> bool:
    """Whether something is stored or sent there: the work has begun."""
    several = [index.resolve_call(function.module, part) for part in walk(statement) if isinstance(part, ast.Call)]
    reached = [one for called in several if called is not None for one in effects_cache(index).reached(called)]
    return any(effects.tables_written or effects.http or effects.unknown_database for _, effects in reached)

"""What a function binds its local names to."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.source import FunctionNode, own_of

_BINDING: tuple[type[ast.AST], ...] = (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.withitem, ast.AsyncFor)


def bound_in(function: FunctionNode) -> dict[str, list[ast.AST]]:
    """For each local name the expressions that are bound to it, in order."""
    found: dict[str, list[ast.AST]] = {}
    for node in own_of(function, *_BINDING):
        match node:
            case ast.Assign(targets=targets, value=value):
                for name, given in (pair for target in targets for pair in _pairs(target, value)):
                    found.setdefault(name, []).append(given)
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                found.setdefault(name, []).append(value)
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                found.setdefault(name, []).append(value)
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
                found.setdefault(name, []).append(value)
            case ast.AsyncFor(target=ast.Name(id=name), iter=ast.Call() as value):
                found.setdefault(name, []).append(value)  # `async for session in get_session():`
    return found


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """What an assignment gives to each name: `crm, mail = Crm(), Mail()` gives one thing to each of two."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for name, given in zip(target.elts, value.elts, strict=True):
            if isinstance(name, ast.Name) and not isinstance(given, ast.Starred):
                yield name.id, given

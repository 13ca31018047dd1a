"""Errors that are dropped without a handler: results that nobody looks at, a `return` on the way out."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.index import Index
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.rules.monitoring.dropped_errors import TEARDOWN


def unseen_results(index: Index, module: Module) -> Iterator[ast.Call]:
    """`gather(…, return_exceptions=True)` whose results nobody looks at, but where tasks are put to an end."""
    for call in module.nodes(ast.Call):
        if not any(k.arg == "return_exceptions" and getattr(k.value, "value", None) is True for k in call.keywords):
            continue
        if index.resolve(module, call.func) != "asyncio.gather":
            continue
        statement, function = module.statement(call), module.enclosing_function(call)
        if not _is_unseen(module, call, statement) or function is None or TEARDOWN.search(function.name.lower()):
            continue
        cancels = (n for n in walk(function) if isinstance(n, ast.Attribute) and n.attr in ("cancel", "kill", "stop"))
        if not any(True for _ in cancels):
            yield call


def returns_in_finally(module: Module) -> Iterator[tuple[ast.Return, ast.Try]]:
    """A `return` in a `finally`: whatever was raised before it is gone."""
    for tried in module.nodes(ast.Try):
        for statement in tried.finalbody:
            for node in walk(statement):
                if isinstance(node, ast.Return) and module.enclosing_function(node) is module.enclosing_function(
                    tried
                ):
                    yield node, tried


def _is_unseen(module: Module, call: ast.Call, statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Await):
        value = value.value
    if value is not call:
        return False
    if isinstance(statement, ast.Expr):
        return True
    function = module.enclosing_function(call)
    if function is None or not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return False
    name = statement.targets[0].id
    uses = (n for n in walk(function) if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load))
    return not any(True for _ in uses)

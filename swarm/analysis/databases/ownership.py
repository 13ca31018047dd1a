"""Whether a function opens the session or connection it works with, or shares one with others."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from swarm.analysis.databases.database_kinds import (
    ALCHEMY_CONNECTIONS,
    DATABASE_MAKERS,
    DRIVER_CONNECTIONS,
    ENGINES,
    POOLS,
    SCOPED_SESSIONS,
    SESSION_MAKERS,
    SESSIONS,
)
from swarm.analysis.layout import unparsed
from swarm.analysis.source import FunctionNode, Module, own_nodes, parameters

if TYPE_CHECKING:
    from swarm.analysis.index import Index

KEPT_BY = ("cache", "lru_cache", "cached_property", "alru_cache")
OPENING = ("connect", "begin", "acquire", "connection", "raw_connection")
MAX_DEPTH = 6


def opened_here(index: Index, module: Module, owner: ast.expr, depth: int = 0) -> bool:
    """Whether the session or connection an expression names belongs to the function around it alone.

    An engine or a pool counts too: whoever asks it gets a connection of their own.
    """
    if index.kinds.of(module, owner) in ENGINES | POOLS | SESSION_MAKERS:
        return True
    if not isinstance(owner, ast.Name):
        return is_fresh(index, module, owner, depth)
    function = module.enclosing_function(owner)
    if function is None or owner.id in {argument.arg for argument in parameters(function)}:
        return False
    values = index.kinds.bindings(function).get(owner.id, [])
    return bool(values) and all(is_fresh(index, module, value, depth) for value in values)


def is_fresh(index: Index, module: Module, value: ast.AST, depth: int = 0) -> bool:
    """Whether an expression gives a new session or connection each time it is computed."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(value, ast.Await):
        return is_fresh(index, module, value.value, depth + 1)
    if not isinstance(value, ast.Call):
        return False
    dotted = index.resolve(module, value.func) or ""
    kind = index.kinds.of(module, value)
    if kind in SCOPED_SESSIONS:
        return False
    if index.kinds.of(module, value.func) in SESSION_MAKERS:
        return True
    if dotted in DATABASE_MAKERS or (kind in SESSIONS and index.tree.split(dotted, module)[0] is None and dotted):
        shared = ALCHEMY_CONNECTIONS | SESSIONS
        return not any(index.kinds.of(module, argument) in shared for argument in value.args)
    if isinstance(value.func, ast.Attribute):
        owner = index.kinds.of(module, value.func.value)
        if value.func.attr in OPENING and owner in ENGINES | POOLS | SESSION_MAKERS:
            return True
        if value.func.attr in ("enter_async_context", "enter_context") and value.args:
            return is_fresh(index, module, value.args[0], depth + 1)
        if value.func.attr in ("cursor", "execute") and owner in DRIVER_CONNECTIONS:
            return opened_here(index, module, value.func.value, depth + 1)
    if dotted.rsplit(".", 1)[-1] in ("closing", "aclosing") and value.args:
        return is_fresh(index, module, value.args[0], depth + 1)
    function = index.named_function(module, value.func)
    return function is not None and _hands_out_fresh(index, function.module, function.node, depth)


def _hands_out_fresh(index: Index, module: Module, function: FunctionNode, depth: int) -> bool:
    """Whether all that a factory returns or yields is new each time."""
    decorators = [unparsed(d).split("(")[0].rsplit(".", 1)[-1] for d in function.decorator_list]
    if any(name in KEPT_BY for name in decorators):
        return False
    given = [n.value for n in own_nodes(function) if isinstance(n, ast.Return | ast.Yield) and n.value is not None]
    return bool(given) and all(
        opened_here(index, module, value, depth + 1)
        if isinstance(value, ast.Name)
        else is_fresh(index, module, value, depth + 1)
        for value in given
    )

"""What may be moved to another thread: work on database connections of its own, and no shared state."""

from __future__ import annotations

import ast

from swarm.analysis.databases.database_kinds import SYNC_DRIVERS
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.kinds.of_values import ORM_SESSIONS
from swarm.analysis.source import Module, parameters

CONNECTIONS = ("sqlite3.Connection", "sqlite3.Cursor", *sorted(ORM_SESSIONS), *sorted(SYNC_DRIVERS))
OPENERS = frozenset({"sqlite3.connect", "psycopg.connect", "psycopg2.connect", "pymysql.connect", "MySQLdb.connect"})


def is_thread_safe(index: Index, function: Function) -> bool:
    """Whether a function may run in another thread: no shared state changed, no shared connection, no loop."""
    effects = effects_cache(index).of(function)
    if effects.uses_loop or {name for name in effects.writes_memory if not is_local_part(function, name)}:
        return False
    if index.own_of(function, ast.Global, ast.Nonlocal):
        return False
    for call in index.calls(function):
        if isinstance(call.func, ast.Attribute) and is_database(index, function.module, call):
            root: ast.expr = call.func.value
            while isinstance(root, ast.Attribute | ast.Call):
                root = root.func if isinstance(root, ast.Call) else root.value
            local = isinstance(root, ast.Name) and root.id in function.module.local_names(function.node)
            is_module = isinstance(root, ast.Name) and root.id in function.module.imports
            if (not local and not is_module) or (isinstance(root, ast.Name) and root.id in ("self", "cls")):
                return False
    return True


def is_local_part(function: Function, name: str) -> bool:
    """`conn.row_factory = …` on a local connection is no shared state."""
    root = name.split(".")[0].split("[")[0]
    return (
        root not in {argument.arg for argument in parameters(function.node)}
        and "." in name
        and (root in function.module.local_names(function.node))
    )


def is_database(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a call opens a database connection, or is a method of one."""
    if index.resolve(module, call.func) in OPENERS:
        return True
    return isinstance(call.func, ast.Attribute) and (index.kinds.of(module, call.func.value) or "") in CONNECTIONS


def gives_connection(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a call hands out a connection, where it is made and not later by a lambda."""
    return not in_lambda(module, call) and index.kinds.of(module, call) in CONNECTIONS


def uses_connection(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a connection is what a call is made on, or among its arguments."""
    owner = [call.func.value] if isinstance(call.func, ast.Attribute) else []
    given = [*call.args, *(keyword.value for keyword in call.keywords), *owner]
    return any(index.kinds.of(module, value) in CONNECTIONS for value in given)


def in_lambda(module: Module, node: ast.AST) -> bool:
    """Whether a node runs later, when somebody calls the lambda around it."""
    return any(isinstance(around, ast.Lambda) for around in module.ancestors(node))

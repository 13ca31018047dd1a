"""Which statements do nothing but work with one SQLAlchemy session: read, decide, add, change what was read."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from swarm.analysis.databases.models import library_name, models_of
from swarm.analysis.databases.statements import sql_call
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.rules.facts.independence import PURE_BUILTINS

# methods of results, rows, statements and plain values that compute and change nothing else
VALUE_METHODS = frozenset({
    "scalars", "scalar", "scalar_one", "scalar_one_or_none", "first", "one", "one_or_none", "all", "unique",
    "mappings", "fetchone", "fetchall", "get", "items", "keys", "values", "strip", "lower", "upper", "isoformat",
    "where", "filter", "filter_by", "order_by", "group_by", "limit", "offset", "distinct", "join", "outerjoin",
    "options", "in_", "is_", "is_not", "desc", "asc", "returning", "on_conflict_do_nothing", "on_conflict_do_update",
})  # fmt: skip
NOT_ROWS = ("COMMIT", "ROLLBACK", "BEGIN", "CREATE", "DROP", "ALTER")


def only_session_work(index: Index, module: Module, statements: Iterable[ast.stmt], owner: str) -> bool:
    """Whether these read and write rows through `owner` alone: no other wait, no call that may reach out, no exit.

    A session that does not flush before it reads would miss in the next turn what this one added: no for those.
    """
    if "no autoflush" not in index.notes:
        index.notes["no autoflush"] = any("autoflush=False" in home.text for home in index.tree.modules.values())
    if index.notes["no autoflush"]:
        return False
    return all(_is_work(index, module, statement, owner) for statement in statements)


def _is_work(index: Index, module: Module, statement: ast.stmt, owner: str) -> bool:
    match statement:
        case ast.If(test=test, body=body, orelse=orelse):
            inside = all(_is_work(index, module, part, owner) for part in (*body, *orelse))
            return inside and _computes(index, module, test, owner)
        case ast.Assign(targets=[ast.Name() | ast.Attribute(value=ast.Name())], value=value):
            return _computes(index, module, value, owner)
        case ast.AnnAssign(target=ast.Name(), value=ast.expr() as value):
            return _computes(index, module, value, owner)
        case ast.AugAssign(target=ast.Attribute(value=ast.Name()), value=value):
            return _computes(index, module, value, owner)
        case ast.Expr(value=ast.Await(value=ast.Call() as call)) | ast.Expr(value=ast.Call() as call):
            return _is_own(index, module, call, owner) and _computes(index, module, call, owner)
        case ast.Pass():
            return True
    return False


def _computes(index: Index, module: Module, value: ast.expr, owner: str) -> bool:
    for part in walk(value):
        if isinstance(part, ast.Yield | ast.YieldFrom | ast.NamedExpr | ast.Lambda):
            return False
        if isinstance(part, ast.Await):
            if not isinstance(part.value, ast.Call) or not _is_own(index, module, part.value, owner):
                return False
        elif isinstance(part, ast.Call) and not (
            _is_own(index, module, part, owner) or _is_known(index, module, part)
        ):
            return False
    return True


def _is_own(index: Index, module: Module, call: ast.Call, owner: str) -> bool:
    """Whether it runs a statement of rows on the session."""
    if not isinstance(call.func, ast.Attribute) or unparsed(call.func.value) != owner:
        return False
    sql = sql_call(index, module, call)
    return sql is not None and sql.verb not in NOT_ROWS


def _is_known(index: Index, module: Module, call: ast.Call) -> bool:
    if library_name(index, module, call.func):
        return True
    model = models_of(index).find(module, call.func)
    if model is not None:
        own = index.classes.get(model.dotted)
        return own is not None and "__init__" not in own.methods
    if isinstance(call.func, ast.Name):
        return call.func.id in PURE_BUILTINS and index.resolve(module, call.func) in (None, call.func.id)
    return isinstance(call.func, ast.Attribute) and call.func.attr in VALUE_METHODS \
        and index.named_function(module, call.func) is None  # fmt: skip

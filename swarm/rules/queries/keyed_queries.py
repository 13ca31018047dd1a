"""SQLAlchemy selects that find rows by one key of a loop, taken apart so that one query can serve all turns."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from swarm.analysis.databases.database_kinds import ALCHEMY_CONNECTIONS, SESSIONS
from swarm.analysis.databases.entities import objects_of
from swarm.analysis.databases.models import Column, Model, is_library, last_name, models_of
from swarm.analysis.databases.statements import sql_call
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.rules.facts.independence import only_counts

LISTING = ("all", "fetchall", "sorted", "list", "tuple")
CHAIN = ("where", "filter", "filter_by", "order_by")
MUTATORS = ("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse")


@dataclass(frozen=True, slots=True)
class Keyed:
    """`select(…).where(model.column == key, *rest).order_by(…)`: what of it varies with the loop, and what stays.

    `selected` is the one thing selected: a column, or None for whole objects. `comparison` is the condition's node,
    or the `filter_by` keyword's value.
    """

    root: ast.Call
    model: Model
    column: Column
    selected: ast.expr | None
    key: ast.expr
    comparison: ast.expr


@dataclass(frozen=True, slots=True)
class LoopQuery:
    """A query in a loop. `keyed` is None where it is not of the form that can be mended; `value` is the expression
    that gives its values, `many` whether that is a list; `dropped` the statement that a mend leaves out."""

    function: Function
    loop: ast.For
    call: ast.Call
    statement: ast.expr
    tables: frozenset[str]
    keyed: Keyed | None = None
    value: ast.expr | None = None
    many: bool = True
    dropped: ast.stmt | None = None


def loop_queries(index: Index, function: Function) -> Iterator[LoopQuery]:
    """The selects that run once a turn of a `for` loop and compare a column with what varies in it."""
    module = function.module
    if not models_of(index).by_dotted:
        return
    for loop in index.own_of(function, ast.For):
        targets = _targets(loop)
        for call in (node for part in loop.body for node in walk(part) if isinstance(node, ast.Call)):
            sql = sql_call(index, module, call)
            if sql is None or sql.construct is None or sql.verb != "SELECT" or not call.args or sql.construct is call:
                continue
            if _inner_loop(module, call) is not loop or not _compares(sql.construct, targets) or only_counts(loop):
                continue
            yield _described(index, LoopQuery(function, loop, call, sql.construct, sql.tables))


def _targets(loop: ast.For) -> set[str]:
    return {node.id for node in walk(loop.target) if isinstance(node, ast.Name)}


def _inner_loop(module: Module, node: ast.AST) -> ast.AST | None:
    return next((a for a in module.ancestors(node) if isinstance(a, ast.For | ast.While | ast.AsyncFor)), None)


def _compares(statement: ast.expr, targets: set[str]) -> bool:
    """Whether a condition compares with `==` to something of the loop's, in one and the same table each time."""
    values: list[ast.AST] = []
    selects = [node for node in walk(statement) if isinstance(node, ast.Call) and last_name(node.func) == "select"]
    if any(_names(node.args) & targets for node in selects):
        return False
    for node in walk(statement):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
            values += [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "filter_by":
            values += [keyword.value for keyword in node.keywords]
    names = {n.id for value in values for n in walk(value) if isinstance(n, ast.Name)}
    return bool(names & targets)


def _described(index: Index, query: LoopQuery) -> LoopQuery:
    """The query with all that a mend needs, or as it is where something is not as it must be."""
    module, loop = query.function.module, query.loop
    keyed = take_apart(index, module, query.statement, _targets(loop))
    if keyed is None or not _may_go_first(index, query, keyed):
        return query
    found = _value_of(index, query, keyed)
    if found is None:
        return query
    value, many, dropped = found
    return LoopQuery(query.function, loop, query.call, query.statement, query.tables, keyed, value, many, dropped)


def take_apart(index: Index, module: Module, statement: ast.expr, targets: set[str]) -> Keyed | None:
    """The parts of a select that compares one column with one value of the loop; None for all other forms."""
    current, conditions = statement, list[tuple[ast.expr, str]]()
    while isinstance(current, ast.Call) and isinstance(current.func, ast.Attribute) \
            and not is_library(index, module, current.func, "select"):  # fmt: skip
        if current.func.attr not in CHAIN:
            return None
        if current.func.attr in ("where", "filter"):
            conditions += [(condition, "") for condition in current.args]
        elif current.func.attr == "filter_by":
            conditions += [(keyword.value, keyword.arg or "") for keyword in current.keywords]
        elif _names(current.args) & targets:
            return None
        current = current.func.value
    if not isinstance(current, ast.Call) or not is_library(index, module, current.func, "select"):
        return None
    if len(current.args) != 1 or current.keywords:
        return None
    models = models_of(index)
    model = models.find(module, current.args[0])
    named = models.column(module, current.args[0])
    owner = model or (named[0] if named is not None else None)
    varying = [(condition, name) for condition, name in conditions if _names([condition]) & targets]
    if owner is None or not owner.is_class or len(varying) != 1 or any(r.eager for r in owner.relations.values()):
        return None
    condition, name = varying[0]
    compared = _comparison(index, module, owner, condition, name)
    if compared is None or not _same_type(index, module, compared[0], compared[1]):
        return None
    selected = current.args[0] if model is None else None
    return Keyed(current, owner, compared[0], selected, compared[1], condition)


def _names(nodes: list[ast.expr]) -> set[str]:
    return {part.id for node in nodes for part in walk(node) if isinstance(part, ast.Name)}


def _comparison(
    index: Index, module: Module, model: Model, condition: ast.expr, name: str
) -> tuple[Column, ast.expr] | None:
    """The column and the value that a condition compares with `==`, in either order."""
    if name:
        return (model.columns[name], condition) if name in model.columns else None
    if not isinstance(condition, ast.Compare) or len(condition.ops) != 1 or not isinstance(condition.ops[0], ast.Eq):
        return None
    for column, key in ((condition.left, condition.comparators[0]), (condition.comparators[0], condition.left)):
        found = models_of(index).column(module, column)
        if found is not None and found[0] is model:
            return found[1], key
    return None


def _same_type(index: Index, module: Module, column: Column, key: ast.expr) -> bool:
    """Whether the key is a column of the same type that is never NULL: then Python compares as the database does."""
    if not isinstance(key, ast.Attribute) or not isinstance(key.value, ast.Name):
        return False
    owner = models_of(index).by_dotted.get(index.kinds.of(module, key.value) or "")
    other = owner.columns.get(key.attr) if owner is not None else None
    if owner is None or other is None:
        return False
    mine, its = _type_of(column), _type_of(other)
    never_null = other.unique or (other.annotation is not None and "None" not in its and "Optional" not in its)
    return never_null and (column.foreign_key == f"{owner.table}.{other.name}" or (bool(mine) and mine == its))


def _type_of(column: Column) -> str:
    """The Python type, or the SQL one where there is no annotation; "" where neither is plain."""
    if column.annotation is not None:
        text = unparsed(column.annotation).replace("orm.", "")
        return text.removeprefix("Mapped[").removesuffix("]") if text.startswith("Mapped[") else text
    for argument in column.call.args if column.call is not None else []:
        name = unparsed(argument).rsplit(".", 1)[-1].split("(")[0]
        if name in ("Integer", "BigInteger", "SmallInteger", "Uuid", "UUID", "String"):
            return name
    return ""


def _may_go_first(index: Index, query: LoopQuery, keyed: Keyed) -> bool:
    """Whether one query before the loop finds what each turn's own would have found."""
    module, loop = query.function.module, query.loop
    if loop.orelse or query.loop not in _statements_around(module, query.call) or not _is_list(index, query):
        return False
    sql = sql_call(index, module, query.call)
    owner = sql.owner if sql is not None else None
    if not isinstance(owner, ast.Name) or index.kinds.of(module, owner) not in SESSIONS | ALCHEMY_CONNECTIONS:
        return False
    stored = {n.id for part in loop.body for n in walk(part) if isinstance(n, ast.Name) and not _is_load(n)}
    fixed = _names([query.statement]) - _targets(loop)
    if stored & (fixed | _targets(loop) | {owner.id} | _names([loop.iter])):
        return False
    if "mysql" in module.text.lower() or any(_leaves(part) for part in loop.body):
        return False
    return not _changes(index, query, keyed.model.table)


def _is_load(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _statements_around(module: Module, call: ast.Call) -> list[ast.AST | None]:
    """The parent of the statement that holds the call, which must be the loop itself."""
    return [module.parent(module.statement(call))]


def _leaves(part: ast.stmt) -> bool:
    return any(isinstance(node, ast.Break | ast.Return | ast.Yield | ast.YieldFrom) for node in walk(part))


def _is_list(index: Index, query: LoopQuery) -> bool:
    """Whether the loop goes through a list of mapped objects that is made once and stays as it is."""
    over, function = query.loop.iter, query.function
    if not isinstance(over, ast.Name) or not isinstance(query.loop.target, ast.Name):
        return False
    values = index.kinds.bindings(function.node).get(over.id, [])
    value = (
        values[0].value if len(values) == 1 and isinstance(values[0], ast.Await) else values[0] if values else None
    )
    if len(values) != 1 or not isinstance(value, ast.Call):
        return False
    name = value.func.attr if isinstance(value.func, ast.Attribute) else unparsed(value.func)
    if name not in LISTING or objects_of(index, function.module, over) is None:
        return False
    for node in (part for statement in query.loop.body for part in walk(statement)):
        if isinstance(node, ast.Attribute) and unparsed(node.value) == over.id and node.attr in MUTATORS:
            return False
    return True


def _changes(index: Index, query: LoopQuery, table: str) -> bool:
    """Whether the loop writes to the table, ends the transaction, or does something that is not known."""
    module, cache = query.function.module, effects_cache(index)
    calls = [node for part in query.loop.body for node in walk(part) if isinstance(node, ast.Call)]
    for call in calls:
        own = sql_call(index, module, call)
        if own is not None and own.writes:
            return True
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("commit", "rollback", "expire", "expire_all"):
            return True
        callee = index.resolve_call(module, call)
        for _, effects in cache.reached(callee) if callee is not None else []:
            if effects.unknown_database or effects.commits or table in effects.tables_written:
                return True
    return table in cache.of(query.function).dirties


def _value_of(index: Index, query: LoopQuery, keyed: Keyed) -> tuple[ast.expr, bool, ast.stmt | None] | None:
    """The expression that gives the query's values: (expression, is a list, statement that is then of no use)."""
    module, call = query.function.module, query.call
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    outer: ast.AST | None = call
    if query.function.is_async:
        outer = module.parent(call)
        if not isinstance(outer, ast.Await):
            return None
    if method == "scalar" and isinstance(outer, ast.expr):
        return (outer, False, None) if keyed.selected is None or keyed.column.unique else None
    assigned = module.parent(outer) if outer is not None else None
    dropped: ast.stmt | None = None
    if isinstance(assigned, ast.Assign) and len(assigned.targets) == 1 and isinstance(assigned.targets[0], ast.Name):
        name = assigned.targets[0].id
        uses = [n for n in index.own_nodes(query.function)
                if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)]  # fmt: skip
        if len(uses) != 1 or _inner_loop(module, uses[0]) is not query.loop \
                or len(index.kinds.bindings(query.function.node).get(name, [])) != 1:  # fmt: skip
            return None
        outer, dropped = uses[0], assigned
    steps: list[str] = []
    while outer is not None:
        attribute = module.parent(outer)
        following = module.parent(attribute) if isinstance(attribute, ast.Attribute) else None
        if not isinstance(attribute, ast.Attribute) or not isinstance(following, ast.Call) or following.args:
            break
        steps.append(attribute.attr)
        outer = following
    if method == "scalars":
        steps.insert(0, "scalars")
    if method == "exec":
        steps.insert(0, "scalars")
    if not isinstance(outer, ast.expr):
        return None
    if steps == ["scalars", "all"]:
        return outer, True, dropped
    if steps == ["scalars", "first"]:
        return outer, False, dropped
    if steps in (["scalar_one_or_none"], ["scalars", "one_or_none"]) and keyed.column.unique:
        return outer, False, dropped
    return None

"""One query per row of an earlier query: a round of work for each where one would do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from swarm.analysis.edits import Edit
from swarm.analysis.effects import SqlCall, effects_cache, sql_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.examples import n_plus_one as examples
from swarm.rules.queries.network_queries import RowQuery, rewritten, row_query
from swarm.rules.queries.reads_by_others import reads_by_others
from swarm.rules.queries.rows import gives_list, only_read, other_rows, rebinds
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.splices import WIDTH, free_name, fresh_name, import_as

SELECT = re.compile(
    r"^\s*SELECT\s+(?P<columns>[\w\s,.*\"`]+?)\s+FROM\s+(?P<table>\w+)\s+WHERE\s+(?P<before>(?:[\w.]+\s*=\s*"
    r"(?:'[^'?]*'|\d+)\s+AND\s+)*)(?P<column>\w+)\s*=\s*\?(?P<rest>(?:\s+AND\s+[\w.]+\s*=\s*(?:'[^'?]*'|\d+))*"
    r"(?:\s+ORDER\s+BY\s+(?:(?!\b(?:LIMIT|OFFSET)\b)[\w\s,.])+)?)\s*;?\s*$",
    re.IGNORECASE,
)
LISTS = ("list", "List", "Sequence", "tuple", "Tuple", "Collection", "set", "frozenset")


@dataclass(frozen=True, slots=True)
class _Query:
    """A query in a loop; `whole` is the expression that gives its rows, `key` what varies with the loop."""

    function: Function
    loop: ast.For
    sql: SqlCall
    whole: ast.expr | None
    many: bool
    key: ast.expr | None
    source: ast.expr | None
    is_async: bool
    over_network: RowQuery | None = None

    @property
    def mendable(self) -> bool:
        """Whether one query can take its place."""
        return self.whole is not None or self.over_network is not None


class NPlusOne(Rule):
    """A loop over rows runs one SELECT for each of them.

    Why: a hundred rows cost a hundred and one queries; the time grows with the data. Example: the features of
    each property, fetched property by property.

    The mend: one query before the loop for all keys, its rows in a dict by key; the loop looks its rows up there:
    the same rows in the same order, none where there were none. With SQLite `col IN (SELECT value FROM
    json_each(?))` (constant SQL, no limit of variables); with asyncpg and psycopg `col = ANY($1)`, with psycopg2
    `col IN %s`, where the keys are columns of rows that were fetched before. Never where the loop or what it calls
    writes to that table, where the query has a LIMIT, a join or a group, where the list cannot be gone through
    twice, or where the rows are handled as a whole (one column more is selected to group by).
    """

    id = "n-plus-one"
    category = "performance"
    severity = "high"
    order = 30
    title = "One query for each row of a loop"
    sources = ("https://www.sqlite.org/json1.html#jeach",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every SELECT in a loop whose parameters vary with it, on a request's path."""
        for function in index.functions_on_path:
            for query in _queries(index, function):
                yield self._finding(query)
            for call, callee, sql in reads_by_others(index, function):
                how = "runs" if callee is function else f"calls {callee.qualname}"
                yield self.finding(
                    function.module, call,
                    evidence=f"{function.qualname} {how} once a turn of a loop: {_one_line(sql)}",
                    recommendation="Fetch the rows of all keys with one query before the loop",
                    anchor=f"{function.qualname}:{callee.qualname}:{_one_line(sql)}",
                    mendable=False,
                )  # fmt: skip

    def _finding(self, query: _Query) -> Finding:
        table = sorted(query.sql.tables)[0] if query.sql.tables else "a table"
        return self.finding(
            query.function.module, query.sql.call,
            evidence=f"{query.function.qualname} queries {table} once a turn of a loop: {_one_line(query.sql)}",
            recommendation="Fetch the rows of all keys with one query before the loop",
            anchor=f"{query.function.qualname}:{_one_line(query.sql)}",
            mendable=query.mendable,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """One query before each of the findings' loops."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        name, imported = import_as(module, "json")
        edits: list[Edit] = []
        taken: set[str] = set()
        for function in index.functions:
            if function.module is module:
                for query in _queries(index, function):
                    if self._finding(query).id not in wanted:
                        continue
                    if query.over_network is not None:
                        edits += rewritten(query.over_network, taken)
                    elif query.whole is not None:
                        edits += [*_rewrite(query, name, taken), *([imported] if imported else [])]
                        imported = None
        return Mend(
            "Fetch the rows of all keys with one query",
            "One query before the loop takes the place of one per turn; rows, their order and missing ones stay.",
            (edited(module, edits),),
        )


def _one_line(sql: SqlCall) -> str:
    return " ".join(sql.text.split())


def _queries(index: Index, function: Function) -> Iterator[_Query]:
    module = function.module
    for loop in index.own_of(function, ast.For):
        targets = {node.id for node in walk(loop.target) if isinstance(node, ast.Name)}
        for call in (node for statement in loop.body for node in walk(statement) if isinstance(node, ast.Call)):
            sql = sql_call(index, module, call)
            if sql is None or sql.verb != "SELECT" or len(call.args) < 2 or _inner_loop(module, call) is not loop:
                continue
            used = {node.id for node in walk(call.args[1]) if isinstance(node, ast.Name)}
            if used & targets and _is_over_rows(loop):
                yield _describe(index, function, loop, sql, targets)


def _inner_loop(module: Module, node: ast.AST) -> ast.AST | None:
    return next((a for a in module.ancestors(node) if isinstance(a, ast.For | ast.While | ast.AsyncFor)), None)


def _is_over_rows(loop: ast.For) -> bool:
    over = loop.iter
    return not (isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "range")


def _describe(index: Index, function: Function, loop: ast.For, sql: SqlCall, targets: set[str]) -> _Query:
    """The query with all that a mend needs, or without it where something is not as it must be."""
    module = function.module
    advice = _Query(function, loop, sql, None, False, None, None, False)
    kind = index.kinds.of(module, sql.owner) or ""
    if not kind:
        drivers = {origin.split(".")[0] for other in index.tree.modules.values() for origin in other.imports.values()}
        others = {"psycopg", "psycopg2", "asyncpg", "sqlalchemy", "MySQLdb", "pymysql", "databases"}
        kind = "sqlite3." if "sqlite3" in drivers and not drivers & others else ""
    is_async = kind.startswith("aiosqlite.")
    over_network = row_query(index, function, loop, sql)
    if over_network is not None and not _writes_table(index, function, loop, sql):
        return replace(advice, over_network=over_network)
    parameters = sql.call.args[1]
    if not kind.startswith(("sqlite3.", "aiosqlite.")) or len(sql.call.args) != 2 or sql.call.keywords:
        return advice
    if not isinstance(sql.call.args[0], ast.Constant | ast.Name | ast.Attribute) or "?" not in sql.text:
        return advice
    if not isinstance(parameters, ast.Tuple | ast.List) or len(parameters.elts) != 1 or not SELECT.match(sql.text):
        return advice
    key = parameters.elts[0]
    names = {node.id for node in walk(key) if isinstance(node, ast.Name)}
    if names - targets or any(isinstance(node, ast.Call | ast.Await | ast.NamedExpr) for node in walk(key)):
        return advice
    rows = _rows_expression(module, sql.call, is_async)
    statement = module.statement(sql.call)
    if rows is None or statement not in loop.body or not _is_list(index, function, loop):
        return advice
    if rebinds(loop, names) or _writes_table(index, function, loop, sql) or other_rows(index):
        return advice
    whole, many = rows
    if not _keeps_columns(module, function, whole, many):
        return advice
    return _Query(function, loop, sql, whole, many, key, loop.iter, is_async)


def _rows_expression(module: Module, call: ast.Call, is_async: bool) -> tuple[ast.expr, bool] | None:
    """`call.fetchall()` or `.fetchone()` around the query, awaits included."""
    outer: ast.AST | None = call
    if is_async:
        outer = module.parent(call)
        if not isinstance(outer, ast.Await):
            return None
    attribute = module.parent(outer) if outer is not None else None
    fetch = module.parent(attribute) if isinstance(attribute, ast.Attribute) else None
    if not isinstance(attribute, ast.Attribute) or not isinstance(fetch, ast.Call) or fetch.args:
        return None
    if attribute.attr not in ("fetchall", "fetchone"):
        return None
    awaited = module.parent(fetch)
    if is_async and not isinstance(awaited, ast.Await):
        return None
    return (awaited if is_async and isinstance(awaited, ast.Await) else fetch), attribute.attr == "fetchall"


def _is_list(index: Index, function: Function, loop: ast.For) -> bool:
    """Whether what the loop goes through can be gone through twice."""
    over: ast.expr = loop.iter
    if isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "enumerate" and over.args:
        over = over.args[0]
    if not isinstance(over, ast.Name):
        return False
    for argument in [*function.node.args.posonlyargs, *function.node.args.args, *function.node.args.kwonlyargs]:
        if argument.arg == over.id and argument.annotation is not None:
            return unparsed(argument.annotation).split("[")[0].rsplit(".", 1)[-1] in LISTS
    values = index.kinds.bindings(function.node).get(over.id, [])
    return len(values) == 1 and gives_list(values[0])


def _writes_table(index: Index, function: Function, loop: ast.For, query: SqlCall) -> bool:
    cache = effects_cache(index)
    for call in (node for statement in loop.body for node in walk(statement) if isinstance(node, ast.Call)):
        own = sql_call(index, function.module, call)
        if own is not None and own.writes and own.tables & query.tables:
            return True
        callee = index.resolve_call(function.module, call)
        for _, effects in cache.reached(callee) if callee is not None else []:
            if any(sql.writes and sql.tables & query.tables for sql in effects.sql):
                return True
    return False


def _keeps_columns(module: Module, function: Function, whole: ast.expr, many: bool) -> bool:
    """Whether nobody minds one column more: rows are only read by subscript, or the column is there already."""
    parent = module.parent(whole)
    if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Name):
        return False
    return only_read(module, function, parent.targets[0].id, many, parent)


def _rewrite(query: _Query, json_name: str, taken: set[str]) -> list[Edit]:
    module, loop = query.function.module, query.loop
    if query.whole is None or query.key is None:
        return []
    match = SELECT.match(query.sql.text)
    if match is None:
        return []
    table, column = match["table"], match["column"]
    by_key = fresh_name(module, f"{table}_by_{column}", taken)
    found = free_name(module, "fetched")
    indent = module.indent(loop)
    key = module.segment(query.key)
    target, over = module.segment(loop.target), module.segment(loop.iter)
    head = f"SELECT {' '.join(match['columns'].split())}, {column} FROM {table}"
    condition = f" WHERE {match['before']}{column} IN (SELECT value FROM json_each(?)){match['rest']}"
    room = WIDTH - len(indent) - 8
    text = [f'"{head}{condition}"'] if len(head + condition) <= room else [f'"{head}"', f'"{condition}"']
    store = f"{by_key}.setdefault({found}[-1], []).append({found})"
    if not query.many:
        store = f"{by_key}.setdefault({found}[-1], {found})"
    owner = module.segment(query.sql.owner)
    annotation = ""
    library = "aiosqlite" if query.is_async else "sqlite3"
    if query.function.node.returns is not None and library in module.imports:
        row = f"{library}.Row"
        annotation = f": dict[object, {f'list[{row}]' if query.many else row}]"
    keys = f"({json_name}.dumps([{key} for {target} in {over}]),),"
    step = "    "
    lines = [f"{by_key}{annotation} = {{}}"]
    lines += [f"async with {owner}.execute(" if query.is_async else f"for {found} in {owner}.execute("]
    lines += [f"{step}{line}" for line in text]
    lines[-1] += ","
    lines.append(step + keys)
    if query.is_async:
        every = free_name(module, f"every_{found}")
        lines += [f") as {every}:", f"{step}async for {found} in {every}:", step * 2 + store]
    else:
        lines += ["):", step + store]
    at = module.line_start(loop.lineno)
    before = "".join(f"{indent}{line}\n" for line in lines)
    lookup = f"{by_key}.get({key}, [])" if query.many else f"{by_key}.get({key})"
    return [Edit(at, at, before), Edit(*module.span(query.whole), lookup)]

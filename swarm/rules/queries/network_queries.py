"""Queries over PostgreSQL's drivers that run once for each row of an earlier query, and the one that serves all rows.

Keys come from rows of the same database: then Python compares them as the database does.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from swarm.analysis.databases.statements import SqlCall
from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.rules.queries.rows import only_read, rebinds
from swarm.rules.writing.splices import WIDTH, free_name, fresh_name, whole_lines

DRIVERS = ("asyncpg", "psycopg", "psycopg2")
PLACEHOLDER = re.compile(r"\$1\b|%s")
SELECT = re.compile(
    r"^\s*SELECT\s+(?P<columns>[\w\s,.*]+?)\s+FROM\s+(?P<table>\w+)\s+WHERE\s+(?P<before>(?:[\w.]+\s*=\s*"
    r"(?:'[^'%$]*'|\d+|true|false)\s+AND\s+)*)(?P<column>\w+)\s*=\s*(?:\$1|%s)"
    r"(?P<rest>(?:\s+AND\s+[\w.]+\s*=\s*(?:'[^'%$]*'|\d+|true|false))*(?:\s+ORDER\s+BY\s+(?:(?!\b(?:LIMIT|OFFSET|FETCH|FOR)\b)[\w\s,.])+)?)\s*;?\s*$",
    re.IGNORECASE,
)
CHANGING = ("append", "extend", "insert", "pop", "update", "setdefault", "sort", "reverse", "clear", "remove")
UNLIKE = ("citext", "namedtuple", "class_row", "args_row", "kwargs_row", "DictCursor(", "NamedTupleCursor")


@dataclass(frozen=True, slots=True)
class RowQuery:
    """A query in a loop over rows; `value` is the expression that gives its rows, or its first (not `many`).

    `by_name` where rows are read by their columns' names. `adds` where the key's column is not selected yet.
    `executed` is the statement that only runs it, where the next one fetches.
    """

    function: Function
    loop: ast.For
    sql: SqlCall
    driver: str
    value: ast.expr
    many: bool
    key: ast.expr
    by_name: bool
    adds: bool
    executed: ast.stmt | None


def row_query(index: Index, function: Function, loop: ast.For, sql: SqlCall) -> RowQuery | None:
    """The query with all that a mend needs; None where something is not as it must be."""
    module = function.module
    driver = (index.kinds.of(module, sql.owner) or "").partition(".")[0]
    matched = SELECT.match(sql.text)
    key = _key(driver, sql.call)
    if driver not in DRIVERS or matched is None or key is None or not isinstance(sql.call.args[0], ast.Constant):
        return None
    if len(PLACEHOLDER.findall(sql.text)) != 1 or any(word in module.text for word in UNLIKE):
        return None
    by_name = _by_name(key, loop)
    source = _rows_before(index, function, loop)
    if by_name is None or source is None or rebinds(loop, {n.id for n in walk(key) if isinstance(n, ast.Name)}):
        return None
    if driver != "asyncpg" and unparsed(source) != unparsed(sql.owner):
        return None  # another cursor may give rows of another kind
    found = _value(function, loop, sql, driver)
    if found is None:
        return None
    value, many, executed = found
    selected = {name.strip().lower() for name in matched["columns"].split(",")}
    adds = not selected & {matched["column"].lower(), "*"}
    if driver == "asyncpg" and adds and not _is_only_read(function, value, many):
        return None  # a record cannot be given back without the column
    if driver != "asyncpg" and _is_changed(function, value):
        return None  # two turns of one key would change the same row
    by_name = by_name or driver == "asyncpg"
    if not by_name and not adds:
        return None  # where in a row the column stands is not known
    return RowQuery(function, loop, sql, driver, value, many, key, by_name, adds, executed)


def _key(driver: str, call: ast.Call) -> ast.expr | None:
    """The one parameter of the query."""
    if len(call.args) != 2 or call.keywords:
        return None
    given = call.args[1]
    if driver == "asyncpg":
        return given
    return given.elts[0] if isinstance(given, ast.Tuple | ast.List) and len(given.elts) == 1 else None


def _by_name(key: ast.expr, loop: ast.For) -> bool | None:
    """Whether the key is a named part of the loop's row, or one by its place; None where it is neither."""
    match key, loop.target:
        case ast.Subscript(value=ast.Name(id=row), slice=ast.Constant(value=place)), ast.Name(id=target):
            return isinstance(place, str) if row == target else None
        case ast.Name(id=name), ast.Tuple(elts=parts):
            return False if name in {getattr(part, "id", "") for part in parts} else None
    return None


def _rows_before(index: Index, function: Function, loop: ast.For) -> ast.expr | None:
    """What fetched the rows that the loop goes through, a list that stays as it is."""
    if not isinstance(loop.iter, ast.Name) or loop.orelse:
        return None
    bound = index.kinds.bindings(function.node).get(loop.iter.id, [])
    value = bound[0] if len(bound) == 1 else None
    value = value.value if isinstance(value, ast.Await) else value
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return None
    owner: ast.expr = value.func.value
    if value.func.attr == "fetchall":
        owner = owner.value if isinstance(owner, ast.Await) else owner
        if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Attribute):
            owner = owner.func.value
    elif value.func.attr != "fetch":
        return None
    module = function.module
    grown = any(
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == loop.iter.id
        for node in walk(loop)
    )  # fmt: skip
    return None if grown or (index.kinds.of(module, owner) or "").partition(".")[0] not in DRIVERS else owner


def _value(
    function: Function, loop: ast.For, sql: SqlCall, driver: str
) -> tuple[ast.expr, bool, ast.stmt | None] | None:
    """The expression that gives the rows, whether those are all, and the statement that only runs the query."""
    module, call = function.module, sql.call
    statement = module.statement(call)
    if statement not in loop.body:
        return None
    outer: ast.AST | None = module.parent(call)
    awaited = isinstance(outer, ast.Await)
    if driver == "asyncpg":
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        fits = isinstance(outer, ast.Await) and method in ("fetch", "fetchrow")
        return (outer, method == "fetch", None) if fits and isinstance(outer, ast.expr) else None
    whole: ast.AST = outer if awaited and outer is not None else call
    fetched = _fetch(module, whole)
    if fetched is not None:
        return (*fetched, None) if driver == "psycopg" else None
    place = loop.body.index(statement)
    if not isinstance(statement, ast.Expr) or place + 1 >= len(loop.body):
        return None
    cursor = unparsed(sql.owner)
    uses = [node for node in walk(loop) if isinstance(node, ast.expr) and unparsed(node) == cursor]
    fetches = [use for use in uses if use is not sql.owner]
    following = _fetch(module, fetches[0]) if len(fetches) == 1 else None
    if following is None or module.statement(fetches[0]) is not loop.body[place + 1]:
        return None
    return (*following, statement)


def _fetch(module: Module, rows: ast.AST) -> tuple[ast.expr, bool] | None:
    """`rows.fetchall()` or `.fetchone()`, with the await around it."""
    attribute = module.parent(rows)
    fetch = module.parent(attribute) if isinstance(attribute, ast.Attribute) else None
    if not isinstance(attribute, ast.Attribute) or not isinstance(fetch, ast.Call) or fetch.args:
        return None
    if attribute.attr not in ("fetchall", "fetchone"):
        return None
    awaited = module.parent(fetch)
    return (awaited if isinstance(awaited, ast.Await) else fetch), attribute.attr == "fetchall"


def _is_only_read(function: Function, value: ast.expr, many: bool) -> bool:
    """Whether rows are only read by subscript, so that nobody minds one column more."""
    module = function.module
    parent = module.parent(value)
    match parent:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return only_read(module, function, name, many, parent)
        case ast.comprehension(target=ast.Name(id=name)) | ast.For(target=ast.Name(id=name)) if many:
            return only_read(module, function, name, False, parent)
    return False


def _is_changed(function: Function, value: ast.expr) -> bool:
    """Whether something is put into a row, or taken out of it, under the name that it is bound to."""
    bound = function.module.parent(value)
    names = {target.id for target in getattr(bound, "targets", []) if isinstance(target, ast.Name)}
    for node in walk(function.node):
        if (
            isinstance(node, ast.For | ast.comprehension)
            and isinstance(node.iter, ast.Name)
            and node.iter.id in names
        ):
            names |= {part.id for part in walk(node.target) if isinstance(part, ast.Name)}
    for node in walk(function.node):
        inner: ast.AST = node
        is_put = isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING
        while isinstance(inner, ast.Subscript | ast.Attribute | ast.Call):
            inner = inner.func if isinstance(inner, ast.Call) else inner.value
        if (is_put or is_call) and isinstance(inner, ast.Name) and inner.id in names:
            return True
    return False


def rewritten(query: RowQuery, taken: set[str]) -> list[Edit]:
    """One query before the loop, and look-ups in its place. `taken` are names that others of the mend have."""
    module, loop = query.function.module, query.loop
    matched = SELECT.match(query.sql.text)
    if matched is None:
        return []
    table, column = matched["table"], matched["column"]
    by_key, row = fresh_name(module, f"{table}_by_{column}", taken), free_name(module, "fetched")
    indent, key = module.indent(loop), module.segment(query.key)
    keys = f"[{key} for {module.segment(loop.target)} in {module.segment(loop.iter)}]"
    of_row = f'{row}["{column.lower()}"]' if query.by_name else f"{row}[-1]"
    kept = row
    if query.adds and query.driver != "asyncpg":  # the rows stay as they were
        of_row, kept = (f'{row}.pop("{column.lower()}")', row) if query.by_name else (f"{row}[-1]", f"{row}[:-1]")
    store = (
        f"{by_key}.setdefault({of_row}, []).append({kept})"
        if query.many
        else f"{by_key}.setdefault({of_row}, {kept})"
    )
    lines = [f"{by_key} = {{}}", *_asking(query, matched, row, keys), f"    {store}"]
    if query.driver == "psycopg2":
        lines[-1] = f"        {store}"
    at = module.line_start(loop.lineno)
    lookup = f"{by_key}.get({key}, [])" if query.many else f"{by_key}.get({key})"
    edits = [Edit(at, at, "".join(f"{indent}{line}\n" for line in lines)), Edit(*module.span(query.value), lookup)]
    if query.executed is not None:
        edits.append(Edit(*whole_lines(module, query.executed), ""))
    return edits


def _asking(query: RowQuery, matched: re.Match[str], row: str, keys: str) -> list[str]:
    """The lines that run the one query and begin to go through its rows."""
    module = query.function.module
    added = f", {matched['column']}" if query.adds else ""
    head = f"SELECT {' '.join(matched['columns'].split())}{added} FROM {matched['table']}"
    asked = {"asyncpg": "= ANY($1)", "psycopg": "= ANY(%s)", "psycopg2": "IN %s"}[query.driver]
    condition = f" WHERE {matched['before']}{matched['column']} {asked}{matched['rest']}"
    text = [f'"{head}{condition}"'] if len(head + condition) <= WIDTH - 20 else [f'"{head}"', f'"{condition}"']
    owner = module.segment(query.sql.owner)
    waits = isinstance(query.value, ast.Await)
    if query.driver == "asyncpg":
        return [f"for {row} in await {owner}.fetch(", *_indented(text, f"{keys},"), "):"]
    if query.driver == "psycopg":
        begin, end = ("await (await ", ")).fetchall():") if waits else ("", ").fetchall():")
        return [f"for {row} in {begin}{owner}.execute(", *_indented(text, f"({keys},),"), end]
    names = free_name(module, "keys")  # `IN ()` is no SQL
    execute = [f"    {line}" for line in (f"{owner}.execute(", *_indented(text, f"(tuple({names}),),"), ")")]
    return [f"{names} = {keys}", f"if {names}:", *execute, f"    for {row} in {owner}.fetchall():"]


def _indented(text: list[str], last: str) -> list[str]:
    return [f"    {line}" for line in [*text[:-1], f"{text[-1]},", last]]

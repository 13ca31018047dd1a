"""SQL that the code runs: text for a driver, SQLAlchemy's constructs, a session's own methods."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarm.analysis.answers import once_a_call
from swarm.analysis.databases.database_kinds import ALCHEMY_CONNECTIONS, SESSIONS
from swarm.analysis.databases.models import Model, Models, is_library, last_name, library_name, mentioned, models_of
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, own_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swarm.analysis.index import Index

SQL_METHODS = frozenset({"execute", "executemany", "executescript", "execute_fetchall", "execute_insert"})
# methods of other libraries' objects too: a statement only where the text is SQL, or the argument a construct
STATEMENT_METHODS = SQL_METHODS | {
    "exec", "scalar", "scalars", "stream", "stream_scalars", "fetch", "fetchrow", "fetchval", "fetch_all",
    "fetch_one", "fetch_val", "execute_many", "iterate",
}  # fmt: skip
SQL_WORDS = frozenset({
    "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "CREATE", "DROP", "ALTER", "PRAGMA", "EXPLAIN",
    "VALUES", "BEGIN", "COMMIT", "ROLLBACK", "TRUNCATE", "MERGE", "SET", "VACUUM", "ANALYZE", "LOCK",
})  # fmt: skip
TABLE = re.compile(
    r"\b(?:FROM|INTO|UPDATE|JOIN|TABLE)\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"`\[]?(?:\w+[\"`\]]?\.[\"`\[]?)?(\w+)",
    re.IGNORECASE,
)
COMPUTED_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN|TABLE)\s+[\"`\[]?\?", re.IGNORECASE)
CONSTRUCTS = {
    "select": "SELECT", "exists": "SELECT", "union": "SELECT", "union_all": "SELECT", "intersect": "SELECT",
    "except_": "SELECT", "insert": "INSERT", "update": "UPDATE", "delete": "DELETE",
}  # fmt: skip
READS = ("SELECT", "PRAGMA", "EXPLAIN", "WITH", "VALUES")
OBJECT_METHODS = {
    "add": "INSERT", "add_all": "INSERT", "merge": "UPDATE", "delete": "DELETE", "refresh": "SELECT",
    "get": "SELECT", "get_one": "SELECT", "query": "SELECT", "bulk_save_objects": "INSERT",
    "bulk_insert_mappings": "INSERT", "bulk_update_mappings": "UPDATE",
}  # fmt: skip
JOINS = ("join", "outerjoin", "select_from", "join_from", "outerjoin_from", "using", "from_statement")


@dataclass(frozen=True, slots=True)
class SqlCall:
    """One statement: `verb` is its first word in capitals, `owner` the session or connection that runs it.

    `text` is SQL with `?` for every interpolated part; for a SQLAlchemy construct it is the construct's source,
    and `construct` the expression itself (also for `session.add(x)` and its like: the call).
    """

    call: ast.Call
    text: str
    verb: str
    tables: frozenset[str]
    owner: ast.expr
    construct: ast.expr | None = None
    unknown_tables: bool = False  # it touches tables beyond `tables`, which the code does not name

    @property
    def writes(self) -> bool:
        """Whether it may change rows or tables, or locks them (`SELECT … FOR UPDATE`)."""
        return self.verb not in READS


@dataclass(frozen=True, slots=True)
class Construct:
    """What a SQLAlchemy expression says: `verb`, the tables it names, and whether there are others."""

    verb: str
    tables: frozenset[str]
    unknown_tables: bool


@once_a_call
def sql_call(index: Index, module: Module, call: ast.Call) -> SqlCall | None:
    """The SQL statement that a call runs, where it is known."""
    if not isinstance(call.func, ast.Attribute):
        return None
    method, owner = call.func.attr, call.func.value
    if method in STATEMENT_METHODS and call.args:
        text = sql_text(index, module, call.args[0])
        if text is not None and text.strip():
            verb = text.split()[0].upper().rstrip(";")
            if method not in SQL_METHODS and verb not in SQL_WORDS:
                return None
            return SqlCall(call, text, verb, named_tables(text), owner, None, bool(COMPUTED_TABLE.search(text)))
        found = construct(index, module, call.args[0])
        if found is not None:
            source = " ".join(unparsed(call.args[0]).split())
            return SqlCall(call, source, found.verb, found.tables, owner, call.args[0], found.unknown_tables)
    return _of_session(index, module, call, method, owner)


def named_tables(text: str) -> frozenset[str]:
    """The tables that a statement's text names, in small letters."""
    return frozenset(name.lower() for name in TABLE.findall(text))


def _of_session(index: Index, module: Module, call: ast.Call, method: str, owner: ast.expr) -> SqlCall | None:
    """What a session does for objects: `add`, `get`, `refresh`, `query`, `flush`; `Model.query` of Flask."""
    models = models_of(index)
    if isinstance(owner, ast.Attribute) and owner.attr == "query":
        model = models.find(module, owner.value)
        if model is not None:
            whole = _chain(module, call)
            return SqlCall(call, _source(whole), _chain_verb(module, call), frozenset({model.table}), owner, whole)
    kind = index.kinds.of(module, owner)
    if method == "flush" and kind in SESSIONS:
        return SqlCall(call, _source(call), "FLUSH", frozenset(), owner, call)
    if method == "run_sync" and kind in ALCHEMY_CONNECTIONS | SESSIONS and call.args \
            and last_name(call.args[0]) in ("create_all", "drop_all"):  # fmt: skip
        return SqlCall(call, _source(call), "CREATE", frozenset(), owner, call)
    if method not in OBJECT_METHODS or not call.args or (kind is not None and kind not in SESSIONS):
        return None
    tables = _object_tables(index, models, module, call)
    if kind is None and not tables:
        return None
    if method != "query":
        return SqlCall(call, _source(call), OBJECT_METHODS[method], tables, owner, call, not tables)
    whole = _chain(module, call)
    return SqlCall(call, _source(whole), _chain_verb(module, call), tables, owner, whole, not tables)


def _source(call: ast.Call) -> str:
    return " ".join(unparsed(call).split())


def _object_tables(index: Index, models: Models, module: Module, call: ast.Call) -> frozenset[str]:
    """The tables of the classes and objects in a session method's arguments."""
    found = {model.table for argument in call.args for model in mentioned(models, module, argument)}
    for argument in call.args:
        parts = argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]
        for part in parts:
            model = models.by_dotted.get(index.kinds.of(module, part) or "")
            found |= {model.table} if model is not None else set()
    return frozenset(found)


def _chain(module: Module, call: ast.Call) -> ast.Call:
    """All that is called on what a call gives: `session.query(Lead)` with `.filter(…)` and `.first()` behind it."""
    while True:
        attribute = module.parent(call)
        outer = module.parent(attribute) if isinstance(attribute, ast.Attribute) else None
        if not isinstance(outer, ast.Call) or outer.func is not attribute:
            return call
        call = outer


def _chain_verb(module: Module, call: ast.Call) -> str:
    """What a chain that begins with `query` ends in: `….filter(…).delete()` writes."""
    current: ast.AST = call
    while True:
        attribute = module.parent(current)
        outer = module.parent(attribute) if isinstance(attribute, ast.Attribute) else None
        if not isinstance(attribute, ast.Attribute) or not isinstance(outer, ast.Call):
            return "SELECT"
        if attribute.attr in ("delete", "update"):
            return attribute.attr.upper()
        if attribute.attr == "with_for_update":
            return "SELECT FOR UPDATE"
        current = outer


def construct(index: Index, module: Module, node: ast.AST) -> Construct | None:
    """What a SQLAlchemy statement does, variables and functions of the target followed."""
    known = index.notes.setdefault("constructs", {})
    if not isinstance(known, dict) or not isinstance(node, ast.Call | ast.Name | ast.Attribute | ast.IfExp):
        return None
    if node not in known:
        known[node] = None  # a recursion ends here
        known[node] = _construct(index, module, node)
    found = known[node]
    return found if isinstance(found, Construct) else None


def _construct(index: Index, module: Module, node: ast.AST) -> Construct | None:
    match node:
        case ast.Call():
            return _of_call(index, module, node)
        case ast.Name():
            return _of_name(index, module, node)
        case ast.Attribute():
            home, name = index.tree.split(index.resolve(module, node) or "", module)
            value = getattr(home.globals.get(name), "value", None) if home is not None else None
            return construct(index, home, value) if home is not None and value is not None else None
        case ast.IfExp(body=body, orelse=orelse):
            return _joined(index, [(module, body), (module, orelse)])
    return None


def _joined(index: Index, values: list[tuple[Module, ast.AST]]) -> Construct | None:
    """All that an expression may be, as one: it writes where any does."""
    every = [construct(index, module, value) for module, value in values]
    found = [one for one in every if one is not None]
    if not found:
        return None
    verb = next((one.verb for one in found if one.verb not in READS), found[0].verb)
    tables = frozenset[str]().union(*(one.tables for one in found))
    return Construct(verb, tables, any(one.unknown_tables for one in found) or len(found) < len(every))


def _of_name(index: Index, module: Module, name: ast.Name) -> Construct | None:
    """A variable: what it begins as, and what is built on it (`stmt = stmt.where(…)`)."""
    values = list(_bound(index, module, name))
    grown = [(home, value) for home, value in values if _names(value, name.id)]
    found = _joined(index, [pair for pair in values if pair not in grown])
    if found is None:
        return None
    verb, tables, unknown = found.verb, found.tables, found.unknown_tables
    for home, value in grown:
        for call in (part for part in walk(value) if isinstance(part, ast.Call)):
            inner = _parts(index, models_of(index), home, call, name.id)
            tables, unknown = tables | inner.tables, unknown or inner.unknown_tables
            verb = "SELECT FOR UPDATE" if last_name(call.func) == "with_for_update" else verb
            unknown = unknown or index.named_function(home, call.func) is not None
    return Construct(verb, tables, unknown)


def _names(value: ast.AST, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in walk(value))


def _bound(index: Index, module: Module, name: ast.Name) -> Iterator[tuple[Module, ast.AST]]:
    """What is assigned to a name, in the function around it or in a module."""
    for around in module.ancestors(name):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef) and name.id in module.local_names(around):
            yield from ((module, value) for value in index.kinds.bindings(around).get(name.id, []))
            return
    home, rest = index.tree.split(index.resolve(module, name) or "", module)
    value: object = getattr(home.globals.get(rest), "value", None) if home is not None else None
    if home is not None and isinstance(value, ast.AST):
        yield home, value


def _of_call(index: Index, module: Module, call: ast.Call) -> Construct | None:
    name = last_name(call.func)
    models = models_of(index)
    if is_library(index, module, call.func, "text") and call.args:
        text = sql_text(index, module, call.args[0]) or ""
        unknown = bool(COMPUTED_TABLE.search(text))
        return Construct(text.split()[0].upper(), named_tables(text), unknown) if text.strip() else None
    root = library_name(index, module, call.func)
    if root in CONSTRUCTS:
        inner = _parts(index, models, module, call)
        return Construct(CONSTRUCTS[root], inner.tables, inner.unknown_tables)
    if isinstance(call.func, ast.Attribute):
        owner = call.func.value
        model = models.find(module, owner)
        if model is not None and name in CONSTRUCTS:
            return Construct(CONSTRUCTS[name], frozenset({model.table}), False)
        first = construct(index, module, owner) if isinstance(owner, ast.Call | ast.Name) else None
        if first is not None:
            inner = _parts(index, models, module, call)
            verb = "SELECT FOR UPDATE" if name == "with_for_update" else first.verb
            return Construct(verb, first.tables | inner.tables, first.unknown_tables or inner.unknown_tables)
    function = index.named_function(module, call.func)
    if function is None:
        return None
    returned = [node.value for node in own_nodes(function.node) if isinstance(node, ast.Return) and node.value]
    return _joined(index, [(function.module, value) for value in returned])


def _parts(index: Index, models: Models, module: Module, call: ast.Call, grown: str = "") -> Construct:
    """The tables that a construct's arguments name; unknown where one that must be a table is not known.

    `grown` is a variable that is built on: it is no part of its own.
    """
    tables: set[str] = set()
    unknown = False
    name = library_name(index, module, call.func) or last_name(call.func)
    must = name in (*CONSTRUCTS, *JOINS)
    for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
        value = argument.value if isinstance(argument, ast.Starred) else argument
        named = {model.table for model in mentioned(models, module, value)}
        for part in walk(value):
            if isinstance(part, ast.Name) and part.id != grown:
                for home, bound in _bound(index, module, part):
                    named |= {model.table for model in mentioned(models, home, bound)}
            if isinstance(part, ast.Call) or (isinstance(part, ast.Name) and part.id != grown):
                inner = construct(index, module, part)
                named |= inner.tables if inner is not None else set()
                unknown = unknown or (inner is not None and inner.unknown_tables)
        tables |= named
        unknown = unknown or (must and not named and argument in call.args and not _is_plain(index, module, value))
    return Construct("", frozenset(tables), unknown)


def _is_plain(index: Index, module: Module, value: ast.expr) -> bool:
    """Whether an argument names no table at all: a constant, `func.now()`, `text("1")`, a literal."""
    for part in walk(value):
        if isinstance(part, ast.Name) and not (index.resolve(module, part) or "").startswith("sqlalchemy"):
            return False
    return True


def sql_text(index: Index, module: Module, node: ast.expr, depth: int = 0) -> str | None:
    """The text of a string expression; an interpolated part becomes `?`. None where it is not known."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            parts = [part.value if isinstance(part, ast.Constant) else "?" for part in values]
            return "".join(str(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = sql_text(index, module, left, depth), sql_text(index, module, right, depth)
            return None if first is None else first + (second if second is not None else "?")
        case ast.Call(args=[inner, *_]) if is_library(index, module, node.func, "text"):
            return sql_text(index, module, inner, depth)
        case ast.Name() | ast.Attribute() if depth < 3:
            home, name = index.tree.split(index.resolve(module, node) or "", module)
            statement = home.globals.get(name) if home is not None else None
            if home is not None and isinstance(statement, ast.Assign):
                return sql_text(index, home, statement.value, depth + 1)
    return None


def entity(index: Index, module: Module, node: ast.AST) -> Model | None:
    """The mapped class whose objects a statement gives: `select(Lead).where(…)`; None for columns or several."""
    current: ast.AST = node
    for _ in range(40):
        if isinstance(current, ast.Name):
            values = [value for _, value in _bound(index, module, current)]
            if len(values) != 1 or module.enclosing_function(values[0]) is not module.enclosing_function(current):
                return None
            current = values[0]
        elif isinstance(current, ast.Call) and is_library(index, module, current.func, "select"):
            model = models_of(index).find(module, current.args[0]) if len(current.args) == 1 else None
            return model if model is not None and model.is_class else None
        elif isinstance(current, ast.Call) and isinstance(current.func, ast.Attribute):
            if current.func.attr in ("with_only_columns", "add_columns", "union", "subquery", "cte"):
                return None
            current = current.func.value
        else:
            return None
    return None

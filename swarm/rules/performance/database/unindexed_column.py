"""A SQLAlchemy query filters by a column that no index serves: the database reads the whole table."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.databases.models import Column, Model, last_name, library_name, models_of
from swarm.analysis.databases.statements import SqlCall
from swarm.analysis.edits import Edit
from swarm.analysis.effects import sql_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.examples import unindexed_column as examples
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.placing import import_edit
from swarm.rules.writing.splices import add_keyword, before_definitions, free_name, import_from, is_alone

FEW_VALUES = frozenset({"status", "state", "type", "kind", "active", "enabled", "deleted", "is_active", "archived"})
NOT_INDEXED = (
    "Text",
    "JSON",
    "JSONB",
    "LargeBinary",
    "ARRAY",
    "Boolean",
    "bool",
    "dict",
    "list",
    "bytes",
    "PickleType",
)
MIGRATIONS = ("alembic.ini", "migrations/env.py", "alembic/env.py", "migrations/alembic.ini")
IMPORTED = ("sqlalchemy.engine.Connection", "sqlalchemy.schema.CreateIndex")
CREATING = '''def {name}(connection: {kind}) -> None:
    """`create_all` leaves tables as they are that exist already; indexes which the models gained are made here."""
    for table in {metadata}.sorted_tables:
        for index in table.indexes:
            connection.execute({create}(index, if_not_exists=True))
'''


class UnindexedColumn(Rule):
    """A SQLAlchemy statement on a request's path finds its rows by a mapped column without an index.

    Why: the database goes through every row of the table, each time, and for an UPDATE while it holds the lock.
    Example: `select(Item).where(Item.order_id == key)` where `order_id` is neither a key nor `index=True`.

    The mend: `index=True` on the column, and `CREATE INDEX IF NOT EXISTS` for all indexes of the models behind the
    app's `create_all`, which does not touch tables that exist: the next start creates them (on a large table that
    takes a while and holds up writes). Answers stay as they are; writes to the table cost a little more. Only where
    no column of the condition has an index; never columns of few values, long text or JSON. Where Alembic looks
    after the schema, or nothing calls `create_all`, it is advice.
    """

    id = "unindexed-column"
    category = "performance"
    severity = "medium"
    order = 26
    title = "A query's column has no index"
    sources = ("https://docs.sqlalchemy.org/en/20/core/constraints.html#indexes",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every mapped column that a statement on a request's path filters by without an index."""
        return [finding for finding, _, _ in self._found(index)]

    def _found(self, index: Index) -> Iterator[tuple[Finding, Model, Column]]:
        seen: set[tuple[str, str]] = set()
        creating = _creating(index)
        for function, sql in _statements(index):
            for model, column in _missing(index, function.module, sql):
                if (model.table, column.name) not in seen:
                    seen.add((model.table, column.name))
                    finding = self._finding(function, sql, model, column, creating is not None)
                    yield finding, model, column

    def _finding(self, function: Function, sql: SqlCall, model: Model, column: Column, created: bool) -> Finding:
        return self.finding(
            column.module, column.statement,
            evidence=f"{function.qualname} ({function.module.path}:{sql.call.lineno}) looks up rows of {model.table} "
            f"by {column.name}, which no index serves",
            recommendation=f"index=True on {column.attribute}, and the index in databases that exist",
            anchor=f"{model.table}.{column.name}",
            title=f"{model.table}.{column.name} is queried without an index",
            mendable=created and _can_be_declared(column) and is_alone(column.module, column.statement),
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Declare the indexes, and create them behind `create_all`."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        columns = [column for finding, _, column in self._found(index) if finding.id in wanted]
        creating = _creating(index)
        edits = [edit for column in columns for edit in _declared(column)]
        if creating is None or not edits:
            return None
        home, call = creating
        others = _created(index, home, call)
        changes: list[FileChange] = [edited(module, [*edits, *(others if home is module else [])])]
        if home is not module and others:
            changes.append(edited(home, others))
        return Mend(
            "Index the columns that queries look up",
            "Without an index each of these queries reads its whole table. The next start creates the indexes.",
            tuple(changes),
        )


def _statements(index: Index) -> Iterator[tuple[Function, SqlCall]]:
    for function in index.functions_on_path if models_of(index).by_dotted else ():
        for call in index.calls(function):
            sql = sql_call(index, function.module, call)
            if sql is not None and sql.construct is not None and sql.verb in ("SELECT", "UPDATE", "DELETE"):
                yield function, sql


def _missing(index: Index, module: Module, sql: SqlCall) -> Iterator[tuple[Model, Column]]:
    """For the statement's table the column that wants an index, or nothing."""
    equal = list(_equal(index, module, sql))
    for model in {id(model): model for model, _ in equal}.values():
        columns = [column for owner, column in equal if owner is model]
        if any(column.indexed for column in columns):
            continue
        worth = [c for c in columns if c.attribute.rsplit("_", 1)[-1] not in FEW_VALUES and not _is_long(c)]
        keys = [c for c in worth if c.foreign_key or c.attribute.endswith("_id")]
        if worth:
            yield model, (keys or worth)[0]


def _is_long(column: Column) -> bool:
    text = unparsed(column.annotation) if column.annotation is not None else ""
    text += " " + (unparsed(column.call) if column.call is not None else "")
    return bool(set(re.findall(r"\w+", text)) & set(NOT_INDEXED))


def _equal(index: Index, module: Module, sql: SqlCall) -> Iterator[tuple[Model, Column]]:
    """The columns of which every row found has one given value: `==` and `in_` among conditions joined by AND."""
    current: ast.AST | None = sql.construct
    by_name: set[str] = set()  # of `filter_by`, which speaks of what is selected
    for _ in range(30):
        if isinstance(current, ast.Name):
            function = module.enclosing_function(current)
            values = index.kinds.bindings(function).get(current.id, []) if function is not None else []
            current = values[0] if len(values) == 1 else None
        if not isinstance(current, ast.Call):
            return
        if not isinstance(current.func, ast.Attribute) or library_name(index, module, current.func):
            yield from _selected(index, module, current, by_name)
            return
        name = current.func.attr
        if name == "query":
            yield from _selected(index, module, current, by_name)
            return
        if name in ("join", "outerjoin", "union", "group_by"):
            return
        if name in ("where", "filter"):
            for condition in _conditions(index, module, current):
                yield from _compared(index, module, condition)
        by_name |= {keyword.arg or "" for keyword in current.keywords} if name == "filter_by" else set()
        current = current.func.value
        if isinstance(current, ast.Attribute) and current.attr == "query":  # `Model.query` of Flask-SQLAlchemy
            yield from _of_model(models_of(index).find(module, current.value), by_name)
            return


def _selected(index: Index, module: Module, root: ast.Call, names: set[str]) -> Iterator[tuple[Model, Column]]:
    models, first = models_of(index), root.args[0] if root.args else None
    named = models.column(module, first) if first is not None else None
    model = models.find(module, first) if first is not None and named is None else named[0] if named else None
    yield from _of_model(model, names)


def _of_model(model: Model | None, names: set[str]) -> Iterator[tuple[Model, Column]]:
    for name in sorted(names):
        if model is not None and name in model.columns:
            yield model, model.columns[name]


def _conditions(index: Index, module: Module, call: ast.Call) -> Iterator[ast.expr]:
    for argument in call.args:
        value = argument.value if isinstance(argument, ast.Starred) else None
        function = module.enclosing_function(call)
        if isinstance(value, ast.Name) and function is not None:
            bound = index.kinds.bindings(function).get(value.id, [])
            yield from bound[0].elts if len(bound) == 1 and isinstance(bound[0], ast.Tuple | ast.List) else ()
        else:
            yield argument


def _compared(index: Index, module: Module, condition: ast.expr) -> Iterator[tuple[Model, Column]]:
    if isinstance(condition, ast.BinOp) and isinstance(condition.op, ast.BitAnd):
        yield from _compared(index, module, condition.left)
        yield from _compared(index, module, condition.right)
        return
    sides: list[ast.expr] = []
    if isinstance(condition, ast.Compare) and len(condition.ops) == 1 and isinstance(condition.ops[0], ast.Eq):
        sides = [condition.left, condition.comparators[0]]
    elif isinstance(condition, ast.Call) and last_name(condition.func) == "in_" \
            and isinstance(condition.func, ast.Attribute):  # fmt: skip
        sides = [condition.func.value]
    found = [models_of(index).column(module, side) for side in sides]
    columns = [pair for pair in found if pair is not None]
    fixed = any(isinstance(side, ast.Constant) for side in sides)  # one value for all: it tells rows little apart
    if len(columns) == 1 and (columns[0][1].indexed or not fixed):
        yield columns[0]


def _can_be_declared(column: Column) -> bool:
    if column.call is None:
        text = unparsed(column.annotation) if column.annotation is not None else ""
        return text.startswith("Mapped[") and isinstance(column.statement, ast.AnnAssign) \
            and column.statement.value is None  # fmt: skip
    plain = last_name(column.call.func) in ("mapped_column", "Column", "Field")
    return plain and not any(keyword.arg in ("index", None) for keyword in column.call.keywords)


def _declared(column: Column) -> list[Edit]:
    module = column.module
    if column.call is not None:
        return [add_keyword(module, column.call, "index=True")]
    name, imported = import_from(module, "sqlalchemy.orm", "mapped_column")
    _, end = module.span(column.statement)
    return [*([imported] if imported is not None else []), Edit(end, end, f" = {name}(index=True)")]


def _creating(index: Index) -> tuple[Module, ast.Call] | None:
    """The one place that runs `metadata.create_all`; None where migrations look after the schema."""
    if any(path == name or path.endswith(f"/{name}") for path in index.tree.files for name in MIGRATIONS):
        return None
    found: list[tuple[Module, ast.Call]] = []
    for module, call in (*index.calls_named("run_sync"), *index.calls_named("create_all")):
        named = call.args[0] if call.args and last_name(call.func) == "run_sync" else call.func
        if last_name(named) == "create_all" and isinstance(named, ast.Attribute):
            found.append((module, call))
    if len(found) != 1 or "mysql" in found[0][0].text.lower():
        return None
    module, call = found[0]
    statement = module.statement(call)
    value = statement.value if isinstance(statement, ast.Expr) else None
    value = value.value if isinstance(value, ast.Await) else value
    is_async = last_name(call.func) == "run_sync" and len(call.args) == 1 and not call.keywords
    return (module, call) if value is call and is_async and is_alone(module, statement) else None


def _created(index: Index, module: Module, call: ast.Call) -> list[Edit]:
    """A function that makes the indexes, and its call behind `create_all`; nothing where they are there."""
    if "CreateIndex" in module.text or not isinstance(call.func, ast.Attribute):
        return []
    name = free_name(module, "_create_indexes")
    kind, create = (_local(module, dotted) for dotted in IMPORTED)
    imports = [
        import_edit(index.tree, module, f"from {dotted.rpartition('.')[0]} import {dotted.rpartition('.')[2]}")
        for dotted in IMPORTED if dotted not in module.imports.values()
    ]  # fmt: skip
    named = call.args[0]
    metadata = module.segment(named.value) if isinstance(named, ast.Attribute) else ""
    code = CREATING.format(name=name, kind=kind, metadata=metadata, create=create)
    statement = module.statement(call)
    at = module.line_start((statement.end_lineno or statement.lineno) + 1)
    line = f"{module.indent(statement)}await {module.segment(call.func)}({name})\n"
    function = module.enclosing_function(call)
    place = _before(module, function, code) if function is not None else before_definitions(module, code)
    return [*imports, place, Edit(at, at, line)]


def _local(module: Module, dotted: str) -> str:
    known = [local for local, origin in module.imports.items() if origin == dotted]
    return known[0] if known else dotted.rpartition(".")[2]


def _before(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef, code: str) -> Edit:
    """New code before the top-level definition that holds the function."""
    outer: ast.AST = function
    for around in module.ancestors(function):
        outer = around if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else outer
    decorators = getattr(outer, "decorator_list", [])
    line = min([getattr(outer, "lineno", 1), *(decorator.lineno for decorator in decorators)])
    while line > 1 and module.line(line - 1).startswith("#"):
        line -= 1
    at = module.line_start(line)
    return Edit(at, at, code.strip("\n") + "\n\n\n")

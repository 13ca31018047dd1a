"""A query filters by a column that no index serves: the database reads the whole table."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from swarm.analysis.databases.tables import Table, tables_of
from swarm.analysis.edits import Edit
from swarm.analysis.effects import SqlCall, effects_cache
from swarm.analysis.index import Function, Index
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.splices import is_alone

FILTER = re.compile(
    r"^\s*(?:SELECT\b.+?\bFROM|UPDATE|DELETE\s+FROM)\s+[\"`]?(?P<table>\w+)[\"`]?(?:\s+SET\b.+?)?\s+"
    r"WHERE\s+(?P<where>.+)$",
    re.IGNORECASE | re.DOTALL,
)
# placeholders: `?` and `:name` of SQLite, `%s` and `%(name)s` of psycopg, `$1` of asyncpg
COLUMN = re.compile(
    r"(?:^|\bAND\s+)(?:\w+\.)?(\w+)\s*(?:=\s*(?:ANY\s*\(\s*)?(?:'?\?|:\w|%s|%\(\w+\)s|\$\d)|IN\s*\()", re.IGNORECASE
)
FIXED = re.compile(r"(?:^|\bAND\s+)(?:\w+\.)?(\w+)\s*=", re.IGNORECASE)
EXECUTING = ("execute", "executescript")


class MissingIndex(Rule):
    """A SELECT, UPDATE or DELETE on a request's path finds its rows by a column without an index.

    Why: the database goes through every row of the table, each time, and for an UPDATE while it holds the lock.
    Example: `SELECT … FROM items WHERE order_id = ?` where `items` was created with no key on `order_id`.

    The mend: `CREATE INDEX IF NOT EXISTS` right behind the table's `CREATE TABLE`, in the same script or by the
    same call, so that existing databases get it at the next start. Answers stay as they are; writes to the table
    cost a little more. Only for tables whose `CREATE TABLE` is in the code, and never where one column of the
    condition has an index already, or the condition has an OR.
    """

    id = "missing-index"
    category = "performance"
    severity = "medium"
    order = 25
    title = "A query's column has no index"
    sources = ("https://www.sqlite.org/queryplanner.html",)
    bad = (
        Example(
            '''import sqlite3

from flask import Flask

app = Flask(__name__)
SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY);
"""


@app.get("/items/<int:order>")
def items(order):
    conn = sqlite3.connect("shop.db")
    return conn.execute("SELECT id FROM items WHERE order_id = ?", (order,)).fetchall()
''',
            '''import sqlite3

from flask import Flask

app = Flask(__name__)
SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_items_order_id ON items (order_id);
CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY);
"""


@app.get("/items/<int:order>")
def items(order):
    conn = sqlite3.connect("shop.db")
    return conn.execute("SELECT id FROM items WHERE order_id = ?", (order,)).fetchall()
''',
            "flask",
        ),
        Example(
            """import aiosqlite
from fastapi import FastAPI

app = FastAPI()


async def prepare(db: aiosqlite.Connection):
    await db.execute("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, state TEXT, owner TEXT)")
    await db.commit()


@app.post("/done")
async def done(owner: str):
    async with aiosqlite.connect("jobs.db") as db:
        await prepare(db)
        await db.execute("UPDATE jobs SET state = 'done' WHERE owner = ? AND state = 'open'", (owner,))
""",
            """import aiosqlite
from fastapi import FastAPI

app = FastAPI()


async def prepare(db: aiosqlite.Connection):
    await db.execute("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, state TEXT, owner TEXT)")
    await db.execute("CREATE INDEX IF NOT EXISTS idx_jobs_owner ON jobs (owner)")
    await db.commit()


@app.post("/done")
async def done(owner: str):
    async with aiosqlite.connect("jobs.db") as db:
        await prepare(db)
        await db.execute("UPDATE jobs SET state = 'done' WHERE owner = ? AND state = 'open'", (owner,))
""",
            "fastapi",
        ),
        Example(
            '''import psycopg
from fastapi import FastAPI

app = FastAPI()
DSN = "postgresql://db/shop"
SCHEMA = """
CREATE TABLE IF NOT EXISTS rides (
    id SERIAL PRIMARY KEY,
    rider TEXT NOT NULL
);
"""


@app.get("/rides/{rider}")
async def rides(rider: str):
    async with await psycopg.AsyncConnection.connect(DSN) as conn:
        found = await conn.execute("SELECT id FROM rides WHERE rider = %s ORDER BY id", (rider,))
        return await found.fetchall()
''',
            '''import psycopg
from fastapi import FastAPI

app = FastAPI()
DSN = "postgresql://db/shop"
SCHEMA = """
CREATE TABLE IF NOT EXISTS rides (
    id SERIAL PRIMARY KEY,
    rider TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_rides_rider ON rides (rider);
"""


@app.get("/rides/{rider}")
async def rides(rider: str):
    async with await psycopg.AsyncConnection.connect(DSN) as conn:
        found = await conn.execute("SELECT id FROM rides WHERE rider = %s ORDER BY id", (rider,))
        return await found.fetchall()
''',
            "fastapi",
        ),
    )
    good = (
        '''import sqlite3

SCHEMA = """
CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT UNIQUE, team INTEGER, kind TEXT, PRIMARY KEY (team, kind));
CREATE INDEX a_kind ON a (kind, name);
"""


def read(conn: sqlite3.Connection, x):
    conn.execute("SELECT * FROM a WHERE id = ?", (x,))
    conn.execute("SELECT * FROM a WHERE name = ?", (x,))
    conn.execute("SELECT * FROM a WHERE team = ?", (x,))
    conn.execute("SELECT * FROM a WHERE kind = ? AND unknown = ?", (x, x))
    conn.execute("SELECT * FROM elsewhere WHERE kind2 = ?", (x,))
    conn.execute("SELECT * FROM a")
''',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every column of a known table that a query on a request's path filters by without an index."""
        return [finding for finding, _, _ in self._found(index)]

    def _found(self, index: Index) -> Iterator[tuple[Finding, Table, str]]:
        tables = tables_of(index)
        seen: set[tuple[str, str]] = set()
        for function, sql in _queries(index):
            missing = _missing(sql, tables)
            if missing is None or missing in seen:
                continue
            seen.add(missing)
            table = tables[missing[0]]
            yield self._finding(function, sql, table, missing[1]), table, missing[1]

    def _finding(self, function: Function, sql: SqlCall, table: Table, column: str) -> Finding:
        place = _executing(table)
        return self.finding(
            table.module, table.node,
            evidence=f"{function.qualname} ({function.module.path}:{sql.call.lineno}) looks up rows of {table.name} "
            f"by {column}, which no index serves",
            recommendation=f"CREATE INDEX on {table.name} ({column})",
            anchor=f"{table.name}.{column}",
            title=f"{table.name}.{column} is queried without an index",
            mendable=_in_script(table) or place is not None,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Create the missing indexes behind their tables."""
        wanted = {finding.id for finding in findings}
        edits: dict[str, list[Edit]] = {}
        for finding, table, column in self._found(index):
            if finding.id in wanted:
                edit = _index_edit(table, column)
                if edit is not None:
                    edits.setdefault(table.module.path, []).append(edit)
        changes: list[FileChange] = [edited(index.tree.modules[path], group) for path, group in edits.items()]
        if not changes:
            return None
        return Mend(
            "Index the columns that queries look up",
            "Without an index each of these queries reads its whole table. The next start creates the indexes.",
            tuple(changes),
        )


def _queries(index: Index) -> Iterator[tuple[Function, SqlCall]]:
    for function in index.functions_on_path:
        for sql in effects_cache(index).of(function).sql:
            if sql.verb in ("SELECT", "UPDATE", "DELETE"):
                yield function, sql


def _missing(sql: SqlCall, tables: Mapping[str, Table]) -> tuple[str, str] | None:
    """The table and column that want an index, or None."""
    match = FILTER.match(sql.text)
    table = tables.get(match["table"].lower()) if match else None
    if match is None or table is None or re.search(r"\bOR\b|\bJOIN\b", sql.text, re.IGNORECASE):
        return None
    where = match["where"].strip()
    fixed = [name.lower() for name in FIXED.findall(where)]
    if any(name in table.indexed or name in ("rowid", "oid") for name in fixed):
        return None
    named = [name.lower() for name in COLUMN.findall(where)]
    candidates = [name for name in named if name in table.columns and name not in table.indexed]
    if not candidates or any(name in table.indexed for name in named):
        return None
    return table.name, candidates[0]


def _in_script(table: Table) -> bool:
    """Whether the text goes on with `;` behind the table and stands in the source as it is (no escapes)."""
    text = str(table.node.value)
    raw = table.module.segment(table.node)
    return text[table.end :].lstrip()[:1] == ";" and text in raw and raw.count(text) == 1


def _executing(table: Table) -> ast.Expr | None:
    """The statement `x.execute("CREATE TABLE …")` that stands alone on its lines."""
    call = table.module.parent(table.node)
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    if call.func.attr not in EXECUTING:
        return None
    statement = table.module.statement(call)
    value = statement.value if isinstance(statement, ast.Expr) else None
    plain = value.value if isinstance(value, ast.Await) else value
    if plain is not call or not isinstance(statement, ast.Expr) or not is_alone(table.module, statement):
        return None
    return statement


def _index_edit(table: Table, column: str) -> Edit | None:
    module = table.module
    sql = f"CREATE INDEX IF NOT EXISTS idx_{table.name}_{column} ON {table.name} ({column})"
    if _in_script(table):
        text = str(table.node.value)
        behind = text.index(";", table.end) + 1
        lines = text[: table.end].split("\n")
        created = next(line for line in reversed(lines) if "create table" in " ".join(line.lower().split()))
        indent = created[: len(created) - len(created.lstrip())]
        start, _ = module.span(table.node)
        at = start + module.segment(table.node).index(text) + behind
        return Edit(at, at, f"\n{indent}{sql};")
    statement = _executing(table)
    if statement is None:
        return None
    awaiting = "await " if isinstance(statement.value, ast.Await) else ""
    call = module.parent(table.node)
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    owner = module.segment(call.func.value)
    at = module.line_start((statement.end_lineno or statement.lineno) + 1)
    return Edit(at, at, f'{module.indent(statement)}{awaiting}{owner}.execute("{sql}")\n')

"""The rule sql-from-strings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from swarm.analysis.dataflow.engine import flows_of
from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import OUTSIDE
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Confidence, Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.injection.data_flow import Hit, Reached, told
from swarm.rules.security.injection.texts.built_text import BuiltText, Hole, read_text
from swarm.rules.security.injection.texts.copied_text import is_steady, moved
from swarm.rules.security.injection.texts.counted_out import counts_out
from swarm.rules.security.injection.texts.sql_binding import Style, bind, is_value_position
from swarm.rules.security.signatures.digests import assigned

_EXECUTES = (
    "execute",
    "executemany",
    "executescript",
    "fetch_all",
    "fetch_one",
    "fetchrow",
    "fetchval",
    "fetch",
    "query",
    "execute_fetchall",
    "execute_insert",
    "exec_driver_sql",
    "fetch_val",
    "read_sql",
    "read_sql_query",
)
_BINDING = ("execute", "execute_fetchall", "execute_insert")
_SQL = re.compile(
    r"^\W*(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|MERGE|CALL|PRAGMA|DROP|ALTER|CREATE|TRUNCATE"
    r"|SET\s+\w+\s*(=|TO\b)|COPY|GRANT|REVOKE)\b",
    re.I,
)
_IN_QUOTES = re.compile(f"'[^']*{OUTSIDE}")
# a part of a query: a condition, an order
_COMPARED = re.compile(r"[=<>]|\b(LIKE|IN|BETWEEN|ASC|DESC)\b", re.I)
_STYLES: dict[str, Style] = {
    "sqlite3": "qmark", "aiosqlite": "qmark", "psycopg": "format", "psycopg2": "format", "aiopg": "format",
    "pymysql": "format", "MySQLdb": "format", "aiomysql": "format", "asyncmy": "format", "mysql": "format",
}  # fmt: skip
_TEXTS = ("sqlalchemy.text", "sqlalchemy.sql.text", "sqlmodel.text", "sqlalchemy.sql.expression.text")
_ADVICE = "Bind values as parameters; choose tables, columns and sort orders from a fixed list."
_PLACEHOLDERS = re.compile(r"placeholder|qmark|question|[\"'](?:\?|%s)[\"']|marks\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Query:
    call: ast.Call
    node: ast.expr
    text: BuiltText
    unsafe: tuple[Hole, ...]
    style: Style | None


class SqlFromStrings(Rule):
    """A value is written into the text of a query: whoever sends the value writes the query.

    The mend binds the value as a parameter, in the style of the library at hand (sqlite3 and aiosqlite `?`,
    psycopg and
    MySQL `%s`, SQLAlchemy's `text()` `:name`), `LIKE '%{x}%'` included. Only values are bound; a table, a column or a
    sort order cannot be, and gets the recommendation to choose it from a fixed list. Left alone: constants,
    `int(...)`,
    and placeholders that are counted out for `IN (...)`.
    """

    id = "sql-from-strings"
    category = "security"
    severity = "critical"
    cwe = ("CWE-89",)
    title = "SQL is built from strings"
    sources = ("OWASP ASVS 5.0 1.2.4", "bandit B608", "docs.python.org: sqlite3 placeholders")
    bad = (
        Example(
            "import sqlite3\n\n\ndef find(conn: sqlite3.Connection, text: str) -> list:\n    return conn.execute(\n"
            "        f\"SELECT id FROM orders WHERE name LIKE '%{text}%' ORDER BY id\"\n    ).fetchall()\n",
            "import sqlite3\n\n\ndef find(conn: sqlite3.Connection, text: str) -> list:\n    return conn.execute(\n"
            '        "SELECT id FROM orders WHERE name LIKE ? ORDER BY id", (f"%{text}%",)\n    ).fetchall()\n',
        ),
        Example(
            "import sqlite3\n\n\ndef find(conn, email, state):\n    return conn.execute(\n"
            '        f"SELECT id, email"\n'
            "        f\" FROM leads WHERE email = '{email}' AND state = ?\", (state,)\n    )\n",
            "import sqlite3\n\n\ndef find(conn, email, state):\n    return conn.execute(\n"
            '        "SELECT id, email"\n        " FROM leads WHERE email = ? AND state = ?", (email, state)\n'
            "    )\n",
        ),
        Example(
            "import psycopg\n\n\ndef drop(cursor, user_id):\n"
            '    cursor.execute("DELETE FROM users WHERE id = %s" % user_id)\n',
            "import psycopg\n\n\ndef drop(cursor, user_id):\n"
            '    cursor.execute("DELETE FROM users WHERE id = %s", (user_id,))\n',
        ),
        Example(
            "import sqlite3\n\n\ndef find(conn, name, age):\n"
            '    query = "SELECT * FROM people WHERE name = \'" + name + "\' AND age > " + age\n'
            "    return conn.execute(query)\n",
            "import sqlite3\n\n\ndef find(conn, name, age):\n"
            '    query = "SELECT * FROM people WHERE name = ? AND age > ?"\n'
            "    return conn.execute(query, (name, age))\n",
        ),
        Example(
            "from sqlalchemy import text\n\n\ndef find(session, order):\n"
            "    return session.execute(text(f\"SELECT 1 FROM orders WHERE sku = '{order.sku}'\"))\n",
            "from sqlalchemy import text\n\n\ndef find(session, order):\n"
            '    return session.execute(text("SELECT 1 FROM orders WHERE sku = :sku"), {"sku": order.sku})\n',
        ),
        Example(
            "import sqlite3\n\n\ndef find(conn, a, b):\n"
            "    return conn.execute(\"SELECT * FROM t WHERE a = '{}' AND b = {}\".format(a, b))\n",
            "import sqlite3\n\n\ndef find(conn, a, b):\n"
            '    return conn.execute("SELECT * FROM t WHERE a = ? AND b = ?", (a, b))\n',
        ),
        Example(
            'import sqlite3\n\nTABLE = "orders"\n\n\ndef find(conn, sku):\n'
            "    return conn.execute(f\"SELECT * FROM {TABLE} WHERE sku = '{sku}'\")\n",
            'import sqlite3\n\nTABLE = "orders"\n\n\ndef find(conn, sku):\n'
            '    return conn.execute(f"SELECT * FROM {TABLE} WHERE sku = ?", (sku,))\n',
        ),
        # a column cannot be bound: a recommendation only
        Example(
            "import sqlite3\n\n\ndef sorted_by(conn, column):\n"
            '    return conn.execute(f"SELECT * FROM t ORDER BY {column}")\n',
            None,
        ),
    )
    good = (
        "import sqlite3\n\n\ndef find(conn, ids):\n    marks = ','.join('?' * len(ids))\n"
        '    return conn.execute(f"SELECT * FROM t WHERE id IN ({marks})", ids)\n',
        'import sqlite3\n\nTABLE = "orders"\n\n\ndef count(conn):\n'
        '    return conn.execute(f"SELECT COUNT(*) FROM {TABLE}").fetchone()\n',
        "import sqlite3\n\n\ndef first(conn, n):\n"
        '    return conn.execute(f"SELECT * FROM t LIMIT {int(n)}").fetchall()\n',
        'import logging\n\n\ndef note(runner, name):\n    runner.execute(f"task {name}")\n',
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every query whose text holds a value that is not fixed."""
        flows = flows_of(index)
        places = {(id(p.seen.node), p.taint.key): p for p in _reached(flows.seen)}
        reached = {id(place.seen.node): place for place in reversed(places.values())}
        known: set[int] = set()
        for module in index.tree.modules.values():
            for query in _queries(index, module):
                place = reached.get(id(query.call))
                function = index.enclosing(module, query.call)
                if place is None and function in flows.followed:
                    continue  # from every handler on, what gets here is clean
                known.add(id(query.call))
                finding = self._of_query(index, module, query)
                yield replace(finding, flow=place.flow) if place is not None else finding
        for place in places.values():
            if id(place.seen.node) not in known and not _is_told(place, known):
                yield self._of_flow(place)

    def _of_query(self, index: Index, module: Module, query: _Query) -> Finding:
        function = index.enclosing(module, query.call)
        where = function.qualname if function else "module level"
        shown = ", ".join(dict.fromkeys(hole.source for hole in query.unsafe))
        on_path = index.on_request_path(module, query.call)
        values = any(is_value_position(query.text, hole) for hole in query.unsafe)
        confidence: Confidence = "high" if values and on_path else "medium"
        return self.finding(
            module,
            query.call,
            evidence=f"{shown} is written into the text of the query",
            recommendation=_ADVICE,
            anchor=f"{where}: {query.text.written[:80].replace(chr(0), '*')}",
            mendable=_edits(module, query) is not None,
            confidence=confidence,
            severity=self.severity if values and on_path else "high" if values else "medium",
        )

    def _of_flow(self, place: Reached) -> Finding:
        """A query whose text is made elsewhere."""
        seen, first = place.seen, place.taint.steps[0]
        where = seen.function.qualname if seen.function is not None else "module level"
        finding = self.finding(
            seen.module,
            seen.node,
            evidence=f"what came in at {first.file}:{first.line} ({first.text}) is part of the text of the query",
            recommendation=_ADVICE,
            anchor=f"{where}: {told(seen)}",
            mendable=False,
            confidence="high" if place.taint.kind == "request" else "medium",
            severity=self.severity if place.taint.kind == "request" else "high",
        )
        return replace(finding, flow=place.flow)

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Bound parameters in each query."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits: list[Edit] = []
        for query in _queries(index, module):
            if query.call.lineno in lines:
                edits += _edits(module, query) or []
        if not edits:
            return None
        return Mend(
            "Bind values instead of writing them into SQL",
            "The database gets the values beside the query: no value can become part of it.",
            (edited(module, edits),),
        )


def _reached(several: Iterable[Seen]) -> Iterator[Reached]:
    """Calls whose SQL holds data from outside."""
    for seen in several:
        if seen.what != "call" or not isinstance(seen.node, ast.Call):
            continue
        name = seen.name.rsplit(".", 1)[-1]
        is_text = seen.name in _TEXTS
        if name not in _EXECUTES and not is_text:
            continue
        given = seen.argument(0, "query", "sql", "statement", "text")
        text = given.text or ""
        if not (_SQL.match(text) or is_text or (text[:1] == OUTSIDE and _is_database(seen))) or _is_counted(seen):
            continue
        dirty = Hit(given, ("sql",)).dirty(("request", "parameter"))
        if not dirty and _IN_QUOTES.search(text):  # a column or table of the service's own is its own to name
            dirty = Hit(given, ("sql",)).dirty(("stored",))
        if dirty and (dirty[0].kind == "request" or (given.text is not None and OUTSIDE in given.text[1:])):
            yield Reached(seen, Hit(given), dirty[0])


def _is_counted(seen: Seen) -> bool:
    """Whether all that is written into the text are placeholders, counted out."""
    given = seen.node.args[0] if isinstance(seen.node, ast.Call) and seen.node.args else None
    holes = [part.value for part in given.values if isinstance(part, ast.FormattedValue)] if isinstance(
        given, ast.JoinedStr
    ) else []  # fmt: skip
    return bool(holes) and all(
        counts_out(assigned(hole, seen.module.enclosing_function(seen.node))) for hole in holes
    )


def _is_database(seen: Seen) -> bool:
    """Whether a method belongs to what is called like a connection, a cursor or a session."""
    function = seen.node.func if isinstance(seen.node, ast.Call) else None
    owner = unparsed(function.value).lower() if isinstance(function, ast.Attribute) else ""
    return bool(re.search(r"cur(sor)?$|conn|(^|[._])(db|database|session|engine|pool)$", owner))


def _is_told(place: Reached, known: set[int]) -> bool:
    """Whether the query is a `text(…)` of which that was said already."""
    call = place.seen.node
    inner = call.args[0] if isinstance(call, ast.Call) and call.args else None
    return inner is not None and id(inner) in known


def _queries(index: Index, module: Module) -> Iterator[_Query]:
    for call in module.nodes(ast.Call):
        if not call.args:
            continue
        is_text = module.resolve(call.func) in _TEXTS
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if not is_text and name not in _EXECUTES:
            continue
        node = assigned(call.args[0], module.enclosing_function(call))
        text = read_text(module, node)
        if text is None or not (_SQL.match(text.written) or (is_text and _COMPARED.search(text.written))):
            continue
        unsafe = tuple(hole for hole in text.holes if not _is_fixed(module, text, hole, call))
        if unsafe:
            style: Style | None = "named" if is_text else _style(index, module) if name in _BINDING else None
            yield _Query(call, node, text, unsafe, style)


def _style(index: Index, module: Module) -> Style | None:
    """How the library at hand writes a parameter; None where that is not clear."""

    def of(one: Module) -> set[Style]:
        return {_STYLES[top] for dotted in one.imports.values() if (top := dotted.split(".")[0]) in _STYLES}

    here = of(module)
    if not here:
        here = {style for other in index.tree.modules.values() for style in of(other)}
    return here.pop() if len(here) == 1 else None


def _is_fixed(module: Module, text: BuiltText, hole: Hole, call: ast.Call) -> bool:
    """Whether what fills a hole is a constant, a number, or counted-out placeholders."""
    function = module.enclosing_function(call)
    value = assigned(hole.expression, function) if isinstance(hole.expression, ast.Name) else hole.expression
    source = unparsed(value)
    if _PLACEHOLDERS.search(hole.source) or _PLACEHOLDERS.search(source):
        return True
    if isinstance(value, ast.Constant) or counts_out(value):
        return True
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in ("int", "float", "len", "bool")
    ):
        return True
    if isinstance(value, ast.Name):
        is_own = function is not None and value.id in module.local_names(function)
        return not is_own and (value.id in module.globals or value.id in module.imports)
    if isinstance(value, ast.Attribute):
        if value.attr.isupper():
            return True
        root: ast.expr = value
        while isinstance(root, ast.Attribute):
            root = root.value
        is_object = isinstance(root, ast.Name) and root.id in ("self", "cls")
        return is_object and not is_value_position(text, hole)
    if not is_value_position(text, hole):
        given = {argument.arg for argument in parameters(function)} if function is not None else set()
        names = {node.id for node in walk(value) if isinstance(node, ast.Name)}
        return not names & given
    return False


def _edits(module: Module, query: _Query) -> list[Edit] | None:
    if query.style is None:
        return None
    given = query.call.args[0]
    if query.node is given:
        return bind(module, query.text, query.call, query.style, query.unsafe)
    uses = _uses(module, query)
    if not uses or not is_steady(module, query.node, query.call):
        return None
    edits = bind(module, query.text, query.call, query.style, query.unsafe)
    return moved(module, query.node, given, edits) if edits is not None and uses > 2 else edits


def _uses(module: Module, query: _Query) -> int:
    """How often the variable that holds the query is named, its assignment and the call included."""
    given = query.call.args[0]
    function = module.enclosing_function(query.call)
    if not isinstance(given, ast.Name) or function is None:
        return 0
    return len([node for node in walk(function) if isinstance(node, ast.Name) and node.id == given.id])

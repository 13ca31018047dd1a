"""SQLite connections that do not wait for a lock: "database is locked" at the first two writers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.databases.statements import sql_text
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited

OPENERS = frozenset({"sqlite3.connect", "aiosqlite.connect", "sqlite3.dbapi2.connect"})
ENGINES = frozenset({
    "sqlalchemy.create_engine", "sqlalchemy.ext.asyncio.create_async_engine", "sqlmodel.create_engine",
})  # fmt: skip
ENOUGH_S = 0.1
USUAL_S = "5.0"  # the library's own
PRAGMA = re.compile(r"(?i)^(\s*PRAGMA\s+busy_timeout\s*=\s*)(\d+)(\s*;?\s*)$")


class NoBusyTimeout(Rule):
    """A SQLite connection is told not to wait, or hardly, for another one's lock.

    Why: SQLite has one writer at a time. Who does not wait gets "database is locked" as soon as two requests write
    at the same moment, and an event is lost. Python waits five seconds on its own. Example:
    `sqlite3.connect(path, timeout=0)`, `PRAGMA busy_timeout = 0`.

    The mend: the library's five seconds again.
    """

    id = "no-busy-timeout"
    category = "api"
    severity = "medium"
    title = "SQLite does not wait for a lock"
    sources = ("https://www.sqlite.org/c3ref/busy_timeout.html",)
    bad = (
        Example(
            """import sqlite3

from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook():
    with sqlite3.connect("events.db", timeout=0) as db:
        db.execute("INSERT INTO events DEFAULT VALUES")
    return ""
""",
            """import sqlite3

from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook():
    with sqlite3.connect("events.db", timeout=5.0) as db:
        db.execute("INSERT INTO events DEFAULT VALUES")
    return ""
""",
            "flask",
        ),
        Example(
            """import aiosqlite
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook(event: dict):
    async with aiosqlite.connect("events.db") as db:
        await db.execute("PRAGMA busy_timeout = 10")
        await db.execute("INSERT INTO events DEFAULT VALUES")
        await db.commit()
""",
            """import aiosqlite
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook(event: dict):
    async with aiosqlite.connect("events.db") as db:
        await db.execute("PRAGMA busy_timeout = 5000")
        await db.execute("INSERT INTO events DEFAULT VALUES")
        await db.commit()
""",
            "fastapi",
        ),
    )
    good = (
        """import sqlite3

db = sqlite3.connect("a.db")
other = sqlite3.connect("b.db", timeout=30)
db.execute("PRAGMA busy_timeout = 5000")
memory = sqlite3.connect(":memory:", timeout=0)
""",
        """from sqlalchemy import create_engine

cache = "sqlite:///cache.db"
engine = create_engine("postgresql+asyncpg://db/shop", connect_args={"timeout": 0})
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every timeout of next to nothing, as an argument or a pragma."""
        for module in index.tree.modules.values():
            if "sqlite" not in module.text and "busy_timeout" not in module.text:
                continue
            for node, shown, _ in _short(index, module):
                yield self.finding(
                    module, node,
                    evidence=f"`{shown}`: a second writer fails at once",
                    recommendation="Wait some seconds for the lock",
                    anchor=shown,
                    mendable=True,
                )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Five seconds in place of the short ones."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits = [edit for node, _, edit in _short(index, module) if getattr(node, "lineno", 0) in lines]
        if not edits:
            return None
        return Mend(
            "Wait for SQLite's lock",
            "A second writer waits five seconds, as Python's own default is, where it failed at once.",
            (edited(module, edits),),
        )


def _short(index: Index, module: Module) -> Iterator[tuple[ast.AST, str, Edit]]:
    for call in module.nodes(ast.Call):
        opener = index.resolve(module, call.func) or ""
        if opener not in OPENERS | ENGINES or ":memory:" in unparsed(call):
            continue
        if opener in ENGINES and not _is_of_sqlite(index, module, call):
            continue
        for value in _timeouts(module, call, of_engine=opener in ENGINES):
            given = value.value if isinstance(value, ast.Constant) else None
            if isinstance(given, int | float) and given < ENOUGH_S:
                shown = f"{unparsed(call.func)}(timeout={given})"
                yield value, shown, Edit(*module.span(value), USUAL_S)
    for constant in module.nodes(ast.Constant):
        found = PRAGMA.match(constant.value) if isinstance(constant.value, str) else None
        if found and int(found[2]) < 1000 * ENOUGH_S:
            start, end = module.span(constant)
            text = module.text[start:end].replace(found[2], "5000")
            yield constant, found[0].strip(), Edit(start, end, text)


def _is_of_sqlite(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether an engine's address names SQLite; where it is not known, whether the module names no other database."""
    address = sql_text(index, module, call.args[0]) if call.args else None
    if address is not None:
        return address.startswith("sqlite")
    text = module.text.lower()
    return "sqlite" in text and not any(
        other in text for other in ("postgres", "mysql", "mariadb", "oracle", "mssql")
    )


def _timeouts(module: Module, call: ast.Call, *, of_engine: bool) -> Iterator[ast.expr]:
    """The values given as `timeout`: to the driver itself, in `**OPTIONS`, in an engine's `connect_args`."""
    for keyword in call.keywords:
        if keyword.arg == "timeout" and not of_engine:
            yield keyword.value
        elif keyword.arg is None or (of_engine and keyword.arg == "connect_args"):
            options: ast.expr | None = keyword.value
            if isinstance(options, ast.Name):
                options = getattr(module.globals.get(options.id), "value", None)
            for key, value in zip(options.keys, options.values, strict=True) if isinstance(options, ast.Dict) else ():
                if isinstance(key, ast.Constant) and key.value == "timeout":
                    yield value

"""SQLite behind SQLAlchemy with its rollback journal: a writer and its readers wait for each other."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from swarm.analysis.databases.database_kinds import DATABASE_MAKERS, ENGINES
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.placing import import_edit
from swarm.rules.writing.splices import before_definitions, free_name

MAKERS = frozenset(
    {
        "flask_sqlalchemy.SQLAlchemy",
        *(name for name, kind in DATABASE_MAKERS.items() if kind in ENGINES and "create_" in name),
    }
)
LISTENER = '''@event.listens_for(Engine, "connect")
def {name}(connection: Any, record: object) -> None:
    """SQLite alone: readers and the writer do not wait for each other (SQLITE_WAL=0 leaves the journal as it is)."""
    if "sqlite" not in type(connection).__module__ or os.environ.get("SQLITE_WAL") == "0":
        return
    cursor = connection.cursor()
    with suppress(sqlite3.OperationalError):  # a file that is read only, or locked just now, stays as it is
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()
'''
IMPORTS = (
    ("os", ""), ("sqlite3", ""), ("contextlib", "suppress"), ("typing", "Any"), ("sqlalchemy", "event"),
    ("sqlalchemy.engine", "Engine"),
)  # fmt: skip


class SqliteRollbackJournal(Rule):
    """A SQLite file is used through SQLAlchemy, and nothing sets its journal mode.

    Why: with the rollback journal, which is SQLite's default, each commit makes a file, syncs it, syncs the
    database and removes the file, and readers and the writer lock each other out meanwhile. Example:
    `create_async_engine("sqlite+aiosqlite:///leads.db")` under webhooks that arrive at the same time.

    The mend: a listener that sets `PRAGMA journal_mode=WAL` on each new connection to SQLite; other databases are
    left alone. `synchronous` stays FULL: what was committed survives a power cut, as before. The waiting time for
    locks stays the driver's (5 s). Two files (`-wal`, `-shm`) lie beside the database while it is open: who backs
    it up by copying must copy them too, and it must not lie on a network drive.
    """

    id = "sqlite-rollback-journal"
    category = "performance"
    severity = "medium"
    order = 14
    title = "SQLite's writers and readers wait for each other"
    sources = ("https://www.sqlite.org/wal.html", "https://docs.sqlalchemy.org/en/20/dialects/sqlite.html")
    bad = (
        Example(
            """import os

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(os.getenv("DATABASE_URL", "sqlite+aiosqlite:///shop.db"))
app = FastAPI()


@app.post("/orders")
async def order():
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO orders DEFAULT VALUES"))
""",
            '''import os
import sqlite3
from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(os.getenv("DATABASE_URL", "sqlite+aiosqlite:///shop.db"))
app = FastAPI()


@event.listens_for(Engine, "connect")
def _use_write_ahead_log(connection: Any, record: object) -> None:
    """SQLite alone: readers and the writer do not wait for each other (SQLITE_WAL=0 leaves the journal as it is)."""
    if "sqlite" not in type(connection).__module__ or os.environ.get("SQLITE_WAL") == "0":
        return
    cursor = connection.cursor()
    with suppress(sqlite3.OperationalError):  # a file that is read only, or locked just now, stays as it is
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


@app.post("/orders")
async def order():
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO orders DEFAULT VALUES"))
''',
            "fastapi",
        ),
    )
    good = (
        """from flask import Flask
from sqlalchemy import create_engine, text

engine = create_engine("postgresql://db/shop")
memory = create_engine("sqlite:///:memory:")
app = Flask(__name__)


@app.post("/orders")
def order():
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO orders DEFAULT VALUES"))
    return ""
""",
        """from flask import Flask
from sqlalchemy import create_engine, event, text

engine = create_engine("sqlite:///shop.db")
app = Flask(__name__)


@event.listens_for(engine, "connect")
def settings(connection, record):
    connection.execute("PRAGMA journal_mode=WAL")


@app.post("/orders")
def order():
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO orders DEFAULT VALUES"))
    return ""
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """The first engine, where the code names a SQLite file and nowhere a journal mode."""
        modules = [module for _, module in sorted(index.tree.modules.items())]
        if not index.routes or any("journal_mode" in module.text for module in modules):
            return
        address = next((text for module in modules for text in _addresses(module)), None)
        made = sorted(index.calls_to(*MAKERS), key=lambda place: place[0].path)
        if address is not None and made:
            yield self.finding(
                *made[0],
                evidence=f"{address}… is opened with the rollback journal",
                recommendation="PRAGMA journal_mode=WAL on each new connection",
                anchor="sqlite", mendable=True,
            )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A listener in the module that builds the engine."""
        module = index.tree.modules[findings[0].file]
        edits: list[Edit] = []
        for package, name in IMPORTS:
            dotted = f"{package}.{name}" if name else package
            if module.imports.get(name or package) == dotted:
                continue
            if name in module.globals or (name or package) in module.imports:
                return None  # the name is another thing's here
            statement = f"from {package} import {name}" if name else f"import {package}"
            in_group = package.startswith("sqlalchemy")
            edits.append(import_edit(index.tree, module, statement) if in_group else module.insert_import(statement))
        code = LISTENER.format(name=free_name(module, "_use_write_ahead_log"))
        return Mend(
            "Let SQLite write ahead",
            "Readers and the writer no longer wait for each other, and a commit syncs one file; what was committed "
            "stays as safe as before.",
            (edited(module, [*edits, before_definitions(module, code)]),),
        )


def _addresses(module: Module) -> Iterable[str]:
    """The addresses of SQLite files that the module's strings hold."""
    for node in module.nodes(ast.Constant) if "sqlite" in module.text else ():
        text = node.value if isinstance(node.value, str) else ""
        if text.startswith(("sqlite:///", "sqlite+aiosqlite:///", "sqlite+pysqlite:///")) and "memory" not in text:
            yield text.split("\n")[0][:60]

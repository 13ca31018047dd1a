"""SQLite files opened by `sqlite3` or `aiosqlite` themselves, with the rollback journal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.splices import import_as, import_from, is_alone

OPENERS = {"sqlite3.connect": False, "sqlite3.dbapi2.connect": False, "aiosqlite.connect": True}
SCHEMA = re.compile(r"(?i)\bCREATE\s+TABLE\b")
WRITE = re.compile(r"(?i)^\s*(INSERT|REPLACE|UPDATE|DELETE)\b")
NO_FILE = re.compile(r":memory:|mode=(ro|memory)|immutable=1|autocommit")


@dataclass(frozen=True, slots=True)
class _Opening:
    """A connection that is opened, and what it is called from then on."""

    module: Module
    call: ast.Call
    name: str = ""  # empty: it is handed on at once, and nothing can be said to it here
    before: ast.stmt | None = None  # new statements stand before this one
    after: ast.stmt | None = None  # or after this one

    @property
    def is_async(self) -> bool:
        return OPENERS[self.module.resolve(self.call.func) or ""]


class SqliteWithoutWal(Rule):
    """A SQLite file is opened with `sqlite3` or `aiosqlite`, requests write to it, and nothing sets its journal mode.

    Why: with the rollback journal, which is SQLite's default, each commit makes a file, syncs it, syncs the
    database and removes the file, and readers and the writer lock each other out meanwhile: "database is locked".
    Example: `async with aiosqlite.connect(path) as db:` in each webhook.

    The mend: `PRAGMA journal_mode=WAL` where the tables are created, or where the only connection is opened. The
    file keeps the mode. `synchronous` stays FULL: what was committed survives a power cut, as before. Two files
    (`-wal`, `-shm`) lie beside the database while it is open: who backs it up by copying must copy them too, and it
    must not lie on a network drive. SQLITE_WAL=0 leaves the journal as it is.
    """

    id = "sqlite-without-wal"
    category = "performance"
    severity = "medium"
    order = 14
    title = "SQLite's writers and readers wait for each other"
    sources = ("https://www.sqlite.org/wal.html",)
    bad = (
        Example(
            """import aiosqlite
from fastapi import FastAPI

PATH = "events.db"
app = FastAPI()


@app.on_event("startup")
async def prepare():
    async with aiosqlite.connect(PATH) as db:
        await db.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY)")
        await db.commit()


@app.post("/hook")
async def hook(event: dict):
    async with aiosqlite.connect(PATH) as db:
        await db.execute("INSERT INTO events VALUES (?)", (event["id"],))
        await db.commit()
""",
            """import os
from contextlib import suppress

import aiosqlite
from fastapi import FastAPI

PATH = "events.db"
app = FastAPI()


@app.on_event("startup")
async def prepare():
    async with aiosqlite.connect(PATH) as db:
        if os.environ.get("SQLITE_WAL") != "0":
            with suppress(aiosqlite.OperationalError):  # read only, or locked just now: the journal stays as it is
                await db.execute("PRAGMA journal_mode=WAL")
        await db.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY)")
        await db.commit()


@app.post("/hook")
async def hook(event: dict):
    async with aiosqlite.connect(PATH) as db:
        await db.execute("INSERT INTO events VALUES (?)", (event["id"],))
        await db.commit()
""",
            "fastapi",
        ),
        Example(
            """import os
import sqlite3

from flask import Flask, request

app = Flask(__name__)


def connection():
    db = sqlite3.connect(os.environ["DB"])
    db.row_factory = sqlite3.Row
    return db


@app.post("/hook")
def hook():
    with connection() as db:
        db.execute("INSERT INTO events VALUES (?)", (request.json["id"],))
    return ""
""",
            """import os
import sqlite3
from contextlib import suppress

from flask import Flask, request

app = Flask(__name__)


def connection():
    db = sqlite3.connect(os.environ["DB"])
    if os.environ.get("SQLITE_WAL") != "0":
        with suppress(sqlite3.OperationalError):  # read only, or locked just now: the journal stays as it is
            db.execute("PRAGMA journal_mode=WAL")
    db.row_factory = sqlite3.Row
    return db


@app.post("/hook")
def hook():
    with connection() as db:
        db.execute("INSERT INTO events VALUES (?)", (request.json["id"],))
    return ""
""",
            "flask",
        ),
    )
    good = (
        """import sqlite3

from flask import Flask, request

app = Flask(__name__)
memory = sqlite3.connect(":memory:")
catalogue = sqlite3.connect("file:catalogue.db?mode=ro", uri=True)


@app.post("/hook")
def hook():
    memory.execute("INSERT INTO events VALUES (?)", (request.json["id"],))
    return str(catalogue.execute("SELECT count(*) FROM goods").fetchone()[0])
""",
        """import sqlite3

from flask import Flask, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    with sqlite3.connect("events.db") as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("INSERT INTO events VALUES (?)", (request.json["id"],))
    return ""
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """The places that create tables, else the only connection, else the first of several."""
        modules = [module for _, module in sorted(index.tree.modules.items()) if not is_added(module)]
        if not index.routes or any("journal_mode" in module.text for module in modules):
            return
        openings = [opening for module in modules for opening in _openings(module)]
        if not openings or not any(_writes(module) for module in modules):
            return
        chosen = _places(openings)
        for opening in chosen or openings[:1]:
            yield self.finding(
                opening.module, opening.call,
                evidence=f"{unparsed(opening.call)} opens the file with the rollback journal",
                recommendation="PRAGMA journal_mode=WAL where the tables are created: the file keeps it",
                anchor=unparsed(opening.call),
                mendable=bool(chosen),
            )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The pragma, said to each of the connections that were found."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        here = [opening for opening in _openings(module) if opening.name and opening.call.lineno in lines]
        if not here:
            return None
        edits: list[Edit] = []
        for opening in here:
            edits += _said(opening)
        return Mend(
            "Let SQLite write ahead",
            "Readers and the writer no longer wait for each other, and a commit syncs one file; what was committed "
            "stays as safe as before.",
            (edited(module, edits),),
        )


def _writes(module: Module) -> bool:
    return any(isinstance(node.value, str) and WRITE.match(node.value) for node in module.nodes(ast.Constant))


def _openings(module: Module) -> Iterator[_Opening]:
    if "sqlite" not in module.text:
        return
    for call in module.nodes(ast.Call):
        if (module.resolve(call.func) or "") in OPENERS and not NO_FILE.search(unparsed(call)):
            yield _named(module, call)


def _named(module: Module, call: ast.Call) -> _Opening:
    """The connection with its name, where the code gives it one that more can be said to."""
    outer = module.parent(call)
    is_closed = isinstance(outer, ast.Call) and module.resolve(outer.func) == "contextlib.closing"
    if is_closed or isinstance(outer, ast.Await):
        outer = module.parent(outer) if outer is not None else None
    if isinstance(outer, ast.withitem) and isinstance(outer.optional_vars, ast.Name):
        around = module.parent(outer)
        if isinstance(around, ast.With | ast.AsyncWith) and around.body[0].lineno > around.lineno:
            return _Opening(module, call, outer.optional_vars.id, before=around.body[0])
    if isinstance(outer, ast.Assign) and len(outer.targets) == 1 and is_alone(module, outer):
        target = outer.targets[0]
        if isinstance(target, ast.Name | ast.Attribute):
            return _Opening(module, call, unparsed(target), after=outer)
    return _Opening(module, call)


def _places(openings: Sequence[_Opening]) -> list[_Opening]:
    """Where to say it: once for each file, where its tables are made; else at the one place that opens it."""
    named = [opening for opening in openings if opening.name]
    chosen: dict[str, _Opening] = {}
    for opening in named:
        function = opening.module.enclosing_function(opening.call)
        if function is not None and SCHEMA.search(opening.module.segment(function)):
            chosen.setdefault(_file(opening), opening)
    return list(chosen.values()) or (named if len(openings) == 1 else [])


def _file(opening: _Opening) -> str:
    """What tells one file from another; `self.path` is another in each class."""
    text = unparsed(opening.call.args[0]) if opening.call.args else ""
    owner = opening.module.enclosing_class(opening.call) if text.startswith("self.") else None
    return text if owner is None else f"{opening.module.path}:{owner.name}:{text}"


def _said(opening: _Opening) -> Iterator[Edit]:
    module = opening.module
    library, imported = import_as(module, "aiosqlite" if opening.is_async else "sqlite3")
    suppress, also = import_from(module, "contextlib", "suppress")
    environment, third = import_as(module, "os")
    yield from (edit for edit in (imported, also, third) if edit is not None)
    place = opening.before or opening.after
    if place is None:
        return
    indent = module.indent(place)
    waits = "await " if opening.is_async else ""
    comment = "read only, or locked just now: the journal stays as it is"
    lines = (
        f'if {environment}.environ.get("SQLITE_WAL") != "0":',
        f"    with {suppress}({library}.OperationalError):  # {comment}",
        f'        {waits}{opening.name}.execute("PRAGMA journal_mode=WAL")',
    )
    text = "".join(f"{indent}{line}\n" for line in lines)
    at = module.line_start(place.lineno if opening.before else (place.end_lineno or place.lineno) + 1)
    if at and module.text[at - 1] != "\n":
        text = "\n" + text.rstrip("\n")
    yield Edit(at, at, text)

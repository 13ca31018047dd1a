"""A SQLAlchemy engine built for every call: a new connection and a cold statement cache each time."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from swarm.analysis.databases.database_kinds import DATABASE_MAKERS, ENGINES, SESSION_MAKERS, SESSIONS
from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.facts.built_per_call import (
    Built,
    SharedFile,
    Thing,
    built_per_call,
    has_fixed_arguments,
    shared_module,
    sharing_edits,
    uses_of,
)
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.placing import import_edit, sibling_import

ENGINE = Thing(
    ENGINES,
    frozenset(name for name, kind in DATABASE_MAKERS.items() if kind in ENGINES and "create_" in name),
    frozenset({"dispose"}),
    frozenset({"url", "poolclass"}),
)
POOLS = ("NullPool", "QueuePool", "AsyncAdaptedQueuePool")
ASYNC_ENGINE = "sqlalchemy.ext.asyncio.AsyncEngine"
PARTS = Path(__file__).parent


class EnginePerCall(Rule):
    """A function on a request's path builds a SQLAlchemy engine, uses it and disposes of it.

    Why: an engine holds the pool and the cache of compiled statements. One per call opens a connection (to
    PostgreSQL: TCP, TLS, log-in and questions about the server), compiles every statement anew and throws both
    away. Example: `def session(): engine = create_async_engine(url); …` for every query.

    The mend: one engine per address and options, from a generated module, made at the first call with a pool of
    10 connections and 20 more under load (`DB_POOL_SIZE`, `DB_MAX_OVERFLOW`; 0 builds one per call again). The
    address is still read at each call. Async engines belong to their event loop, sync ones to their process; a
    database in memory stays one per engine. Connections to a server are pinged before use. `dispose()` becomes a
    release that leaves a shared engine open; where the app has a lifespan that imports the module, it disposes of
    all at its end. Never where the engine gets listeners or options that vary, or a pool class of its own.
    """

    id = "engine-per-call"
    category = "performance"
    severity = "high"
    order = 12
    title = "A database engine is built for every call"
    sources = (
        "https://docs.sqlalchemy.org/en/20/core/connections.html#basic-usage",
        "https://docs.sqlalchemy.org/en/20/core/pooling.html",
    )
    bad = (
        Example(
            """import os
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine


@asynccontextmanager
async def open_session():
    engine = create_async_engine(os.environ["DATABASE_URL"])
    try:
        async with AsyncSession(engine) as session:
            yield session
    finally:
        await engine.dispose()


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/orders")
async def orders():
    async with open_session() as session:
        return (await session.execute(text("SELECT id FROM orders"))).scalars().all()
""",
            """import os
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared_engines import dispose_async_engines, release_async_engine, shared_async_engine


@asynccontextmanager
async def open_session():
    engine = shared_async_engine(os.environ["DATABASE_URL"])
    try:
        async with AsyncSession(engine) as session:
            yield session
    finally:
        await release_async_engine(engine)


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield
    await dispose_async_engines()


app = FastAPI(lifespan=lifespan)


@app.get("/orders")
async def orders():
    async with open_session() as session:
        return (await session.execute(text("SELECT id FROM orders"))).scalars().all()
""",
            "fastapi",
        ),
        Example(
            """from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

app = Flask(__name__)
URL = "sqlite:///shop.db"


@app.post("/orders")
def order():
    with Session(create_engine(URL, poolclass=NullPool)) as session:
        session.execute(text("INSERT INTO orders DEFAULT VALUES"))
        session.commit()
    return "", 201
""",
            """from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from shared_engines import shared_engine

app = Flask(__name__)
URL = "sqlite:///shop.db"


@app.post("/orders")
def order():
    with Session(shared_engine(URL, poolclass=NullPool)) as session:
        session.execute(text("INSERT INTO orders DEFAULT VALUES"))
        session.commit()
    return "", 201
""",
            "flask",
        ),
        Example(
            """from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def count(request):
    engine = create_async_engine("sqlite+aiosqlite:///shop.db")
    event.listen(engine.sync_engine, "connect", print)
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT COUNT(*) FROM orders")
    return JSONResponse(rows.scalar())


app = Starlette(routes=[Route("/count", count)])
""",
            None,
            "starlette",
        ),
    )
    good = (
        """from contextlib import asynccontextmanager
from functools import lru_cache

from fastapi import FastAPI, Request
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

engine = create_async_engine("sqlite+aiosqlite:///shop.db")
SessionLocal = async_sessionmaker(engine)
_late = None


@lru_cache
def reports():
    return create_engine("sqlite:///reports.db")


def late():
    global _late
    if _late is None:
        _late = create_async_engine("sqlite+aiosqlite:///late.db")
    return _late


def build():
    made = create_async_engine("sqlite+aiosqlite:///kept.db")
    return made, async_sessionmaker(made)


class Context:
    def open(self):
        self.engine, self.sessions = build()
        return self.sessions()


@asynccontextmanager
async def lifespan(app):
    app.state.engine, _ = build()
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/orders")
async def orders(request: Request):
    with reports().connect() as connection:
        connection.execute(text("SELECT 1"))
    async with Context().open() as fourth:
        await fourth.scalar(text("SELECT 1"))
    async with SessionLocal() as session, AsyncSession(late()) as other, request.app.state.engine.connect() as third:
        return [await session.scalar(text("SELECT 1")), await other.scalar(text("SELECT 1")), third.closed]


def check():
    with create_engine("sqlite:///shop.db").connect() as connection:
        connection.execute(text("SELECT 1"))
""",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """Every engine built on a request's path."""
        seen: dict[str, int] = {}
        for built in built_per_call(index, ENGINE):
            yield self._finding(index, built, seen)

    def _finding(self, index: Index, built: Built, seen: dict[str, int]) -> Finding:
        name = unparsed(built.call.func)
        anchor = f"{built.function.qualname}:{name}"
        seen[anchor] = seen.get(anchor, 0) + 1
        return self.finding(
            built.function.module, built.call,
            evidence=f"{name}(…) in {built.function.qualname} opens a connection of its own with every call",
            recommendation="Build one engine with a pool, at its first use, and share it between calls",
            anchor=anchor + (f"#{seen[anchor]}" if seen[anchor] > 1 else ""),
            mendable=_can_share(index, built),
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Lead the constructions of the findings to the shared engines."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        seen: dict[str, int] = {}
        chosen = [
            built for built in built_per_call(index, ENGINE)
            if self._finding(index, built, seen).id in wanted and _can_share(index, built)
        ]  # fmt: skip
        if not chosen:
            return None
        kinds = {built.kind for built in chosen}
        stem, added = shared_module(index, module, _generated(kinds))
        places = [(built, _make(built), _release(built)) for built in chosen]
        ending = _ending(index, module, stem) if ASYNC_ENGINE in kinds else None
        own = ending[1] if ending is not None and ending[0] is module else None
        names = ("dispose_async_engines",) if own is not None else ()
        edits = sharing_edits(index, module, places, stem, names)
        changes: list[FileChange] = [edited(module, [*edits, *(own or [])])]
        if ending is not None and own is None:
            changes.append(edited(*ending))
        return Mend(
            "Share one database engine between calls",
            "An engine per call opens a new connection and compiles every statement anew; a shared one keeps both. "
            "Its pool has limits from the environment (DB_POOL_SIZE, DB_MAX_OVERFLOW).",
            (*changes, *([added] if added is not None else [])),
        )


def _make(built: Built) -> str:
    return "shared_async_engine" if built.kind == ASYNC_ENGINE else "shared_engine"


def _release(built: Built) -> str:
    return "release_async_engine" if built.kind == ASYNC_ENGINE else "release_engine"


def _can_share(index: Index, built: Built) -> bool:
    """Whether sharing changes nothing but the connections: no listeners, no options of one call alone."""
    module = built.function.module
    given = {keyword.arg: unparsed(keyword.value).rsplit(".", 1)[-1] for keyword in built.call.keywords}
    if given.get("poolclass", "NullPool") not in POOLS or not has_fixed_arguments(index, built, ENGINE):
        return False
    if built.context or not (built.call.args or "url" in given):
        return False
    if not built.name:
        return built.returned or _is_plain_use(index, module, module.parent(built.call), built.call)
    return all(_is_plain_use(index, module, use, None) for use in uses_of(index, built))


def _is_plain_use(index: Index, module: Module, use: ast.AST | None, call: ast.Call | None) -> bool:
    """A session or connection is opened on it, tables are created, or it is handed back or closed."""
    if isinstance(use, ast.keyword):
        use = module.parent(use)
    if isinstance(use, ast.Return):
        return True
    if isinstance(use, ast.Attribute):
        return use.attr in ("connect", "begin", "dispose")
    if not isinstance(use, ast.Call) or use is call:
        return False
    kind = index.kinds.of(module, use) or ""
    creates = isinstance(use.func, ast.Attribute) and use.func.attr == "create_all"
    return kind in SESSIONS | SESSION_MAKERS or creates


def _generated(kinds: set[str]) -> SharedFile:
    """The module's text: what the target does not use (sync or async) is left out, unless both may be needed."""
    is_async, is_sync = ASYNC_ENGINE in kinds, bool(kinds - {ASYNC_ENGINE})
    standard = ["asyncio"] * is_async + ["os"] + ["threading"] * is_sync + ["weakref"]
    imports = ""
    if is_async:
        imports += "from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine\n"
    core = (PARTS / "shared_engines_core.txt").read_text(encoding="utf-8")
    core = core.replace("@STDLIB@", "".join(f"import {name}\n" for name in standard)).replace("@IMPORTS@", imports)
    if not is_sync:
        core = core.replace("import URL, Engine, make_url", "import URL, make_url")
    else:
        core = core.replace("import sqlalchemy\n", "import sqlalchemy\nfrom sqlalchemy import create_engine\n")
    texts = [core]
    texts += [(PARTS / "shared_engines_async.txt").read_text(encoding="utf-8")] * is_async
    texts += [(PARTS / "shared_engines_sync.txt").read_text(encoding="utf-8")] * is_sync
    return SharedFile("shared_engines", "".join(texts), "shared_async_engine" if is_async else "shared_engine")


def _ending(index: Index, module: Module, stem: str) -> tuple[Module, list[Edit]] | None:
    """Where the app's lifespan can dispose of the engines: the edits of its file, without the import in `module`."""
    for function in _lifespans(index):
        home, last = function.module, function.node.body[-1]
        if isinstance(last, ast.Return | ast.Raise | ast.While) or home.segment(last).endswith(";"):
            continue
        at = home.line_start((last.end_lineno or last.lineno) + 1)
        lead = "" if home.text[:at].endswith("\n") else "\n"
        edit = Edit(at, at, f"{lead}{home.indent(last)}await dispose_async_engines()\n")
        if home is module:
            return home, [edit]
        statement = _import_for(index, home, module, stem)
        if statement is not None:
            return home, [import_edit(index.tree, home, statement), edit]
    return None


def _lifespans(index: Index) -> Iterator[Function]:
    for module in index.tree.modules.values():
        for call in module.nodes(ast.Call):
            for keyword in call.keywords:
                function = index.named_function(module, keyword.value) if keyword.arg == "lifespan" else None
                yields = function is not None and bool(index.own_of(function, ast.Yield))
                if function is not None and yields and function.is_async:
                    yield function


def _import_for(index: Index, home: Module, module: Module, stem: str) -> str | None:
    """How `home` imports the generated module: as it imports the module beside it, or as a sibling."""
    folder = module.path.rpartition("/")[0]
    if home.path.rpartition("/")[0] == folder:
        return sibling_import(index.tree, home, stem, "dispose_async_engines")
    package = module.dotted.rpartition(".")[0]
    for node in home.nodes(ast.ImportFrom):
        if not node.level and node.module == module.dotted and package:
            return f"from {package}.{stem} import dispose_async_engines"
    return None

"""A database or Redis connection that is opened for one request's work and closed again."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from swarm.analysis.databases.handed_statements import run_by
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.request_code import is_kept_by_hand, loops_around, request_functions
from swarm.rules.keeping.kept_connections import can_be_kept, keep_connections
from swarm.rules.rule import Example, Mend, Rule

# what opens a connection, and the pool of the same library
OPENERS = {
    "psycopg.connect": "psycopg_pool.ConnectionPool",
    "psycopg.Connection.connect": "psycopg_pool.ConnectionPool",
    "psycopg.AsyncConnection.connect": "psycopg_pool.AsyncConnectionPool",
    "psycopg2.connect": "psycopg2.pool.ThreadedConnectionPool",
    "asyncpg.connect": "asyncpg.create_pool",
    "asyncpg.create_pool": "one pool for the process",
    "psycopg_pool.ConnectionPool": "one pool for the process",
    "psycopg_pool.AsyncConnectionPool": "one pool for the process",
    "psycopg2.pool.ThreadedConnectionPool": "one pool for the process",
    "pymysql.connect": "a pool, such as DBUtils'",
    "MySQLdb.connect": "a pool, such as DBUtils'",
    "mysql.connector.connect": "its own `pool_name=`",
    "aiomysql.connect": "aiomysql.create_pool",
    "pymongo.MongoClient": "one client for the process: it is a pool",
    "motor.motor_asyncio.AsyncIOMotorClient": "one client for the process: it is a pool",
    "redis.Redis": "one client for the process: it is a pool",
    "redis.StrictRedis": "one client for the process: it is a pool",
    "redis.from_url": "one client for the process: it is a pool",
    "redis.Redis.from_url": "one client for the process: it is a pool",
    "redis.asyncio.Redis": "one client for the event loop: it is a pool",
    "redis.asyncio.from_url": "one client for the event loop: it is a pool",
    "redis.asyncio.Redis.from_url": "one client for the event loop: it is a pool",
}
NOTE = "functions that open a file's connection"
CONNECTIONS = ("sqlite3.Connection", "aiosqlite.Connection")
EMBEDDED = ("sqlite3.connect", "aiosqlite.connect")  # no handshake: worth telling only in a loop


class ConnectionPerQuery(Rule):
    """A function on a request's path opens a connection to a database or to Redis for its own use.

    Why: a connection costs TCP, TLS and a login, 5 to 50 ms, and a process of the server's; under load the server
    runs out of them. Example: `psycopg.connect(URL)` or `redis.from_url(URL)` inside a handler. Of SQLite, which
    has no handshake, only connections inside loops are told, and as low, as Redis is, whose log-in is short.

    The mend, for psycopg, psycopg2 and asyncpg: a generated module whose `kept_connection(…)` takes the place of
    `connect(…)`. `close()` gives the connection back, rolled back, and the next request gets it, after a sign of life
    where it lay for more than a second. Only where the function that opens it closes it, and nothing in the service
    sets up a session (SET, LISTEN, temporary tables, advisory locks). Elsewhere: a pool made at the start.
    """

    id = "connection-per-query"
    category = "performance"
    severity = "medium"
    order = 12
    title = "A database connection is opened on every request"
    sources = ("https://www.psycopg.org/psycopg3/docs/advanced/pool.html",)
    bad = (
        Example(
            """import asyncpg
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook(event: dict):
    connection = await asyncpg.connect("postgresql://db/shop")
    await connection.execute("INSERT INTO events VALUES ($1)", event["id"])
    await connection.close()
""",
            """from fastapi import FastAPI

from kept_connections import kept_connection

app = FastAPI()


@app.post("/hook")
async def hook(event: dict):
    connection = await kept_connection("postgresql://db/shop")
    await connection.execute("INSERT INTO events VALUES ($1)", event["id"])
    await connection.close()
""",
            "fastapi",
        ),
        Example(
            """import psycopg
from flask import Flask, request
from psycopg.rows import dict_row

app = Flask(__name__)


def rows(sql, values):
    with psycopg.connect("postgresql://db/shop", row_factory=dict_row) as connection:
        return connection.execute(sql, values).fetchall()


@app.post("/hook")
def hook():
    return rows("SELECT * FROM orders WHERE id = %s", (request.json["id"],))
""",
            """from flask import Flask, request
from psycopg.rows import dict_row

from kept_connections import kept_connection

app = Flask(__name__)


def rows(sql, values):
    with kept_connection("postgresql://db/shop", row_factory=dict_row) as connection:
        return connection.execute(sql, values).fetchall()


@app.post("/hook")
def hook():
    return rows("SELECT * FROM orders WHERE id = %s", (request.json["id"],))
""",
            "flask",
        ),
        Example(
            """import redis
from flask import Flask

app = Flask(__name__)


def seen(key):
    client = redis.from_url("redis://cache/0")
    return client.set(key, 1, nx=True)


@app.post("/hook/<key>")
def hook(key):
    return str(seen(key))
""",
            None,
            "flask",
        ),
    )
    good = (
        """import sqlite3
from contextlib import asynccontextmanager

import asyncpg
import redis
from fastapi import FastAPI

cache = redis.Redis()
_pool = None


@asynccontextmanager
async def lifespan(app):
    app.state.pool = await asyncpg.create_pool("postgresql://db/shop")
    yield


app = FastAPI(lifespan=lifespan)


async def connection():
    global _pool
    if _pool is None:
        _pool = await asyncpg.connect("postgresql://db/shop")
    return _pool


@app.post("/hook")
async def hook(event: dict):
    await (await connection()).execute("SELECT 1")
    with sqlite3.connect("shop.db") as db:
        db.execute("SELECT 1")
    cache.set("a", 1)
""",
        """import redis
from fastapi import FastAPI, Request

app = FastAPI()


class Registry:
    def __init__(self):
        self.kept = {}

    def get(self, name, make):
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]


def make_redis():
    return redis.Redis()


app.state.registry = Registry()


@app.post("/hook")
def hook(request: Request):
    return request.app.state.registry.get("cache", make_redis).incr("hooks")
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every opening of a connection that a request does and does not keep."""
        for function in request_functions(index):
            module = function.module
            for call in index.calls(function):
                dotted = index.resolve(module, call.func) or ""
                loop = next(iter(loops_around(module, call)), None) if dotted in EMBEDDED else None
                by_query = dotted in EMBEDDED and bool(run_by(index, function))  # it runs what others hand it
                is_told = dotted in OPENERS or by_query or (loop is not None and "sleep(" not in unparsed(loop))
                kept = is_kept_by_hand(module, call, function) and not _is_kept_for_request(index, function, call)
                if not is_told or kept or _is_anothers(index, function, call):
                    continue
                yield self.finding(
                    module, call,
                    evidence=f"{function.qualname} opens a connection with {dotted}",
                    recommendation=f"Keep connections: {OPENERS.get(dotted, 'one before the loop')}",
                    anchor=f"{function.qualname}:{unparsed(call.func)}",
                    mendable=can_be_kept(index, function, call),
                    severity="low" if dotted in EMBEDDED or dotted.startswith("redis.") else None,
                )  # fmt: skip
            for call, opener in _opened_by_others(index, function):
                yield self.finding(
                    module, call,
                    evidence=f"{function.qualname} opens a connection by {opener.qualname} for each query",
                    recommendation="Open one for all of them",
                    anchor=f"{function.qualname}:{unparsed(call.func)}", mendable=False, severity="low",
                )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Keep the connections of the findings open between requests."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings if finding.mendable}
        calls = [
            call for function in index.functions_of(module) for call in index.calls(function)
            if call.lineno in lines and can_be_kept(index, function, call)
        ]  # fmt: skip
        changes = keep_connections(index, module, calls) if calls else []
        if not changes:
            return None
        return Mend(
            "Keep database connections for the next request",
            "What was closed at a request's end lies idle, rolled back, for the next one: no log-in, no new process "
            "of the server's. DB_KEPT_CONNECTIONS (10 for each process; 0 closes all, as before) and DB_KEPT_IDLE_S "
            "bound it.",
            tuple(changes),
        )


def _opened_by_others(index: Index, function: Function) -> Iterator[tuple[ast.Call, Function]]:
    """Calls of functions that open a file's connection and hand it out: in loops, and for what others hand in."""
    module = function.module
    openers = _openers(index)
    for call in index.calls(function) if openers else ():
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        loop = next(loops_around(module, call), None) if name in openers else None
        if name not in openers or ((loop is None or "sleep(" in unparsed(loop)) and not run_by(index, function)):
            continue
        opener = index.resolve_call(module, call)
        opened = [one for one in index.calls(opener) if index.resolve(opener.module, one.func) in EMBEDDED] \
            if opener is not None else []  # fmt: skip
        hands_out = opener is not None and index.kinds.result(opener) in CONNECTIONS
        if opener is not None and hands_out and opened and not is_kept_by_hand(opener.module, opened[0], opener):
            yield call, opener


def _openers(index: Index) -> frozenset[str]:
    """The names of the functions that open a file's connection themselves."""
    if NOTE not in index.notes:
        around = (index.enclosing(module, call) for module, call in index.calls_named("connect")
                  if index.resolve(module, call.func) in EMBEDDED)  # fmt: skip
        index.notes[NOTE] = frozenset(function.name for function in around if function is not None)
    return cast("frozenset[str]", index.notes[NOTE])


def _is_anothers(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether a function that nobody calls by name gives the connection back: who is handed it may keep it."""
    module = function.module
    parent = module.parent(call)
    parent = module.parent(parent) if isinstance(parent, ast.Await) else parent
    if not isinstance(parent, ast.Return) or index.callers(function):
        return False
    around = [where.parent(named) for where, named in index.names(function.name)]
    return not any(isinstance(one, ast.Call) and unparsed(one.func).endswith("Depends") for one in around)


def _is_kept_for_request(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether what keeps it ends with the request itself: `flask.g`."""
    statement = function.module.statement(call)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    owners = [target.value for target in targets if isinstance(target, ast.Attribute)]
    return any(index.resolve(function.module, owner) == "flask.g" for owner in owners)

"""Calls one by one in a loop where the client has one for many."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.databases.statements import sql_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.clients import construction
from swarm.rules.facts.request_code import has_turns, loops_around, request_functions
from swarm.rules.rule import Example, Rule

BULK = re.compile(r"^(?:bulk|batch|multi|many|all)_|_(?:bulk|batch|many|all|multi)$")
# libraries' own, by the kind of the client: the method for one, and the one for many
_OF_REDIS = {
    "get": "mget", "set": "pipeline", "delete": "delete(*keys)", "incr": "pipeline", "expire": "pipeline",
    "hgetall": "pipeline", "lpush": "lpush(name, *values)", "sadd": "sadd(name, *values)",
}  # fmt: skip
KNOWN = {
    (kind, method): many for kind in ("redis.Redis", "redis.asyncio.Redis") for method, many in _OF_REDIS.items()
}  # fmt: skip
OF_BOTO3 = {
    "send_message": "send_message_batch", "put_item": "batch_writer", "put_record": "put_records",
    "delete_object": "delete_objects", "delete_message": "delete_message_batch", "publish": "publish_batch",
}  # fmt: skip
OVER_NETWORK = frozenset({
    "asyncpg.Connection", "asyncpg.Pool", "psycopg.Connection", "psycopg.Cursor", "psycopg.AsyncConnection",
    "psycopg.AsyncCursor", "psycopg2.Cursor",
})  # fmt: skip


class UnusedBulkCall(Rule):
    """A loop on a request's path makes one call for each row, and the client beside it has a call for many.

    Why: each call pays for its own wait and counts against the quota; a hundred contacts are a hundred calls of the
    hundred that ten seconds allow. Example: `for row in rows: await crm.create_contact(row)` where the client also
    has `create_contacts`, `client.get(key)` of Redis in a loop, where `mget` is one trip.

    What to do: the call for many. No patch is written: how it answers where one row of many fails is its own.
    """

    id = "unused-bulk-call"
    category = "api"
    severity = "low"
    title = "One call for each row, where there is one for all"
    sources = ("https://redis.io/docs/latest/develop/using-commands/pipelining/",)
    bad = (
        Example(
            """import httpx
from fastapi import FastAPI

app = FastAPI()


class Crm:
    def __init__(self):
        self.client = httpx.AsyncClient(timeout=5)

    async def create_contact(self, row):
        return await self.client.post("https://crm.example/contacts", json=row)

    async def create_contacts(self, rows):
        return await self.client.post("https://crm.example/contacts/bulk", json=rows)


crm = Crm()


@app.post("/import")
async def import_rows(rows: list[dict]):
    for row in rows:
        await crm.create_contact(row)
""",
            None,
            "fastapi",
        ),
        Example(
            """import redis
from flask import Flask, request

app = Flask(__name__)
cache = redis.Redis()


@app.post("/names")
def names():
    return [cache.get(key) for key in request.get_json()]
""",
            None,
            "flask",
        ),
        Example(
            """import asyncpg
from fastapi import FastAPI

app = FastAPI()


@app.on_event("startup")
async def start():
    app.state.pool = await asyncpg.create_pool("postgresql://db/shop")


@app.post("/hook")
async def hook(event: dict):
    async with app.state.pool.acquire() as connection:
        for item in event["items"]:
            await connection.execute("UPDATE payments SET settled = true WHERE ref = $1", item["ref"])
""",
            None,
            "fastapi",
        ),
    )
    good = (
        """import httpx
import redis
from fastapi import FastAPI

app = FastAPI()
cache = redis.Redis()


class Crm:
    def __init__(self):
        self.client = httpx.AsyncClient(timeout=5)

    async def create_contact(self, row):
        return await self.client.post("https://crm.example/contacts", json=row)

    async def list_contacts(self):
        return await self.client.get("https://crm.example/contacts")


crm = Crm()


@app.post("/import")
async def import_rows(rows: list[dict]):
    for row in rows:
        await crm.create_contact(row)
    pipe = cache.pipeline()
    for row in rows:
        pipe.get(row["id"])
    return [row.get("id") for row in rows], pipe.execute(), cache.mget([row["id"] for row in rows])
""",
        """import httpx
from fastapi import FastAPI

app = FastAPI()


class Crm:
    def __init__(self):
        self.client = httpx.AsyncClient(timeout=5)

    async def create_contact(self, row):
        return await self.client.post("https://crm.example/contacts", json=row)

    async def create_contacts(self, rows):
        return [await self.create_contact(row) for row in rows]


crm = Crm()


@app.post("/import")
async def import_rows(rows: list[dict]):
    return len(await crm.create_contacts(rows))
""",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Calls in loops on requests' paths whose object has a sibling for many."""
        for function in request_functions(index):
            for call, many in _single(index, function):
                one = unparsed(call.func)
                yield self.finding(
                    function.module, call,
                    evidence=f"{function.qualname} calls {one} once for each turn of a loop; there is {many}",
                    recommendation=f"Collect the rows and call {many} once",
                    anchor=f"{function.qualname}:{one}",
                    mendable=False,
                )  # fmt: skip


def _single(index: Index, function: Function) -> Iterator[tuple[ast.Call, str]]:
    module = function.module
    for call in index.calls(function) if has_turns(function) else ():
        if not isinstance(call.func, ast.Attribute) or not any(True for _ in loops_around(module, call)):
            continue
        kind = index.kinds.of(module, call.func.value) or ""
        known = KNOWN.get((kind, call.func.attr))
        if known is not None and call.args and not isinstance(call.args[0], ast.Constant):
            yield call, known
            continue
        many = _of_boto3(index, module, call) or _of_driver(index, module, call, kind)
        if many:
            yield call, many
            continue
        callee = index.resolve_call(module, call)
        if callee is None or callee.class_name is None or BULK.search(callee.name):
            continue
        siblings = [one.name for one in index.functions_of(callee.module) if one.class_name == callee.class_name]
        many = next((name for name in siblings if _is_for_many(callee.name, name)), "")
        if (
            many
            and many != function.name
            and any(isinstance(part, ast.Name) for value in call.args for part in walk(value))
        ):
            yield call, many


def _of_boto3(index: Index, module: Module, call: ast.Call) -> str:
    """The call for many beside one of an AWS client or resource."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in OF_BOTO3:
        return ""
    if index.kinds.of(module, call.func.value) == "boto3.Client":
        return OF_BOTO3[call.func.attr]
    made: ast.expr | None = construction(index, module, call.func.value)
    while isinstance(made, ast.Call | ast.Attribute):
        if isinstance(made, ast.Call) and (index.resolve(module, made.func) or "").startswith("boto3."):
            return OF_BOTO3[call.func.attr]
        made = made.func if isinstance(made, ast.Call) else made.value
    return ""


def _of_driver(index: Index, module: Module, call: ast.Call, kind: str) -> str:
    """`executemany` for an INSERT over a network that is sent once for each row, and whose answer nobody reads."""
    sql = sql_call(index, module, call) if kind in OVER_NETWORK and call.args else None
    parent = module.parent(call)
    parent = module.parent(parent) if isinstance(parent, ast.Await) else parent
    at_once = ("INSERT",) if kind == "psycopg2.Cursor" else ("INSERT", "UPDATE", "DELETE")
    if sql is None or sql.verb not in at_once or not isinstance(parent, ast.Expr) or len(call.args) < 2:
        return ""
    loop = next(loops_around(module, call))
    if not isinstance(loop, ast.For) or len(loop.body) > 1:
        return ""
    return "executemany" if kind != "psycopg2.Cursor" else "psycopg2.extras.execute_values"


def _is_for_many(one: str, other: str) -> bool:
    """`create_contacts`, `bulk_create_contact`, `create_contact_batch` for `create_contact`."""
    if one == other:
        return False
    bare = BULK.sub("", other)
    plural = bare in (f"{one}s", f"{one}es", f"{one[:-1]}ies") and not one.startswith(("get_all", "list"))
    return plural or (bare == one and bare != other)

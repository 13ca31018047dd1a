"""Kinds of values: by assignments, annotations, states, properties, and by who hands them on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from swarm.analysis.effects import effects_cache, http_call
from swarm.analysis.source import Module
from tests.analysis.trees import index_of


def test_kinds_follow_assignments_annotations_and_attributes(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        {
            "a.py": """import sqlite3
from contextlib import nullcontext
import httpx
from typing import Optional

client = httpx.AsyncClient()


def connect():
    conn = sqlite3.connect("x")
    return conn


async def f(given: Optional["sqlite3.Connection"], unknown):
    own = connect()
    cursor = own.execute("SELECT 1")
    async with nullcontext(client) as shared:
        use(given, own, cursor, shared, unknown, client)


def loop():
    x = loop()
    return x
"""
        },
    )
    module = index.tree.modules["a.py"]
    call = next(node for node in module.nodes(ast.Call) if ast.unparse(node.func) == "use")
    assert [index.kinds.of(module, argument) for argument in call.args] == [
        "sqlite3.Connection", "sqlite3.Connection", "sqlite3.Cursor", "httpx.AsyncClient", None, "httpx.AsyncClient",
    ]  # fmt: skip


def test_a_dict_is_no_http_client(tmp_path: Path) -> None:
    index = index_of(tmp_path, {"a.py": "def f(d: dict):\n    return d.get('x'), {}.get('y')\n"})
    module = index.tree.modules["a.py"]
    assert [http_call(index, module, call) for call in module.nodes(ast.Call)] == [None, None]


def test_what_a_base_in_another_module_assigns_is_known(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        {
            "connection.py": "import requests\nclass Connection:\n    def __init__(self):\n"
            "        self.session = requests.Session()\n",
            "orders.py": "from connection import Connection\nclass Orders(Connection):\n    def newest(self):\n"
            "        return self.session.get('https://a.example').json()\n",
        },
    )
    (newest,) = (function for function in index.functions if function.name == "newest")
    assert [call.verb for call in effects_cache(index).of(newest).http] == ["GET"]


def test_a_global_that_begins_as_none_is_followed(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        {
            "desk.py": "class Desk:\n    def told(self, order): ...\n    def heard(self, order): ...\n",
            "server.py": "from flask import Flask\nfrom desk import Desk\napp = Flask(__name__)\n"
            "first = None\nsecond = None\n\ndef run(given):\n    global first, second\n    first = Desk()\n"
            "    second = given\n    app.run()\n\n@app.post('/hook')\ndef hook():\n"
            "    first.told(1)\n    second.heard(1)\n    return {}\n",
        },
    )
    assert {function.qualname for function in index.reachable()} >= {"hook", "Desk.told", "Desk.heard"}


@pytest.mark.parametrize(
    ("body", "known"),
    [
        ("return super().request(method, 'https://a.example' + url, **options)", True),
        ("return super().request(method, url, timeout=9, **options)", False),
    ],
)
def test_a_derived_client_is_one_unless_it_has_rules_of_its_own(tmp_path: Path, body: str, known: bool) -> None:
    index = index_of(
        tmp_path,
        {
            "app.py": "import requests\nclass Shop(requests.Session):\n"
            f"    def request(self, method, url, **options):\n        {body}\n\n"
            "def stock():\n    return Shop().get('/stock')\n"
        },
    )
    (stock,) = (function for function in index.functions if function.name == "stock")
    assert bool(effects_cache(index).of(stock).http) is known


def test_kinds_follow_a_state_and_what_callers_hand_on(tmp_path: Path) -> None:
    files = {
        "app.py": """import redis.asyncio as redis
from fastapi import FastAPI, Request
from psycopg2.pool import ThreadedConnectionPool

from work import Work, key_of, rows

app = FastAPI()
pool = ThreadedConnectionPool(1, 5, "dbname=a")


async def start():
    app.state.store = redis.from_url("redis://cache")
    app.state.work = Work()


async def lifespan(app):
    yield {"late": Work()}


@app.post("/a")
async def a(request: Request):
    connection = pool.getconn()
    with connection.cursor() as cursor:
        rows(cursor, "a")
    await key_of(request.app.state.store, "a")
    return request.app.state.work.of(), request.state.late.of()


@app.post("/b")
async def b(request: Request):
    with pool.getconn().cursor() as cursor:
        rows(cursor, "b")
    mixed(pool), mixed(app)


def mixed(thing):
    return thing.of
""",
        "work.py": """class Work:
    def of(self):
        return 1


async def key_of(store, name):
    return await store.get(name)


def rows(cursor, name):
    cursor.execute("SELECT 1 WHERE a = %s", (name,))
    return cursor.fetchall()
""",
    }
    index = index_of(tmp_path, files)
    app, work = index.tree.modules["app.py"], index.tree.modules["work.py"]

    def owners(module: Module, method: str) -> set[str | None]:
        calls = [call for call in module.nodes(ast.Call) if isinstance(call.func, ast.Attribute)]
        return {index.kinds.of(module, call.func.value) for call in calls if call.func.attr == method}  # type: ignore[attr-defined]

    assert owners(work, "get") == {"redis.asyncio.Redis"}
    assert owners(work, "execute") == {"psycopg2.Cursor"}
    assert owners(app, "of") == {"work.Work"}
    thing = next(node for node in app.nodes(ast.Name) if node.id == "thing")
    assert index.kinds.of(app, thing) is None  # its callers do not agree


def test_kinds_follow_properties_extensions_and_applications(tmp_path: Path) -> None:
    text = """from functools import cached_property

import httpx
from flask import Flask, current_app
from sqlalchemy import create_engine

class Box:
    @property
    def engine(self):
        return create_engine("sqlite://")
    @cached_property
    def crm(self) -> httpx.Client:
        return make()
    def plain(self):
        return httpx.Client()

box = Box()

def build():
    app = Flask(__name__)
    app.extensions["crm"] = httpx.Client()
    app.store = Box()
    return app

def view():
    use(box.engine, box.crm, current_app.extensions["crm"], current_app.store, current_app.other, box.plain)
"""
    index = index_of(tmp_path, {"app.py": text})
    module = index.tree.modules["app.py"]
    call = next(c for c in module.nodes(ast.Call) if getattr(c.func, "id", "") == "use")
    assert [index.kinds.of(module, argument) for argument in call.args] == [
        "sqlalchemy.Engine", "httpx.Client", "httpx.Client", "app.Box", None, None
    ]  # fmt: skip

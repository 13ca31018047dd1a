"""The index: routes in every style, the call graph, kinds of values."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from swarm.analysis.effects import effects_cache, http_call
from swarm.analysis.index import Index, build_index
from swarm.analysis.source import Module, SourceTree


def index_of(root: Path, files: dict[str, str]) -> Index:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return build_index(SourceTree.load(root))


def routes_of(index: Index) -> set[tuple[str, str, str, str]]:
    return {(",".join(r.methods), r.path, r.function.qualname, r.framework) for r in index.routes}


@pytest.mark.parametrize(
    ("files", "routes"),
    [
        (
            {"app.py": "import fastapi as f\nsvc = f.FastAPI()\n@svc.post('/a')\nasync def a(): ...\n"},
            {("POST", "/a", "a", "fastapi")},
        ),
        (
            {
                "pkg/__init__.py": "",
                "pkg/core.py": "from fastapi import APIRouter\ninbox = APIRouter(prefix='/v1')\n",
                "pkg/views.py": "from pkg.core import inbox as box\n@box.put('/b')\ndef b(): ...\n",
            },
            {("PUT", "/v1/b", "b", "fastapi")},
        ),
        (
            {
                "app.py": "from fastapi import FastAPI\ndef make():\n    api = FastAPI()\n"
                "    @api.get('/c')\n    async def c(): ...\n    return api\n"
            },
            {("GET", "/c", "make.c", "fastapi")},
        ),
        (
            {
                "app.py": "from fastapi import FastAPI\ndef hook(): ...\ndef add(api: FastAPI) -> None:\n"
                "    api.add_api_route('/d', hook, methods=['POST'])\napp = FastAPI()\nadd(app)\n"
            },
            {("POST", "/d", "hook", "fastapi")},
        ),
        (
            {
                "app.py": "from starlette.applications import Starlette\nfrom starlette.routing import Mount, Route\n"
                "from starlette.endpoints import HTTPEndpoint\nclass E(HTTPEndpoint):\n"
                "    async def post(self, request): ...\nasync def f(request): ...\n"
                "app = Starlette(routes=[Route('/f', f), Mount('/m', routes=[Route('/e', E, methods=['POST'])])])\n"
            },
            {("GET", "/f", "f", "starlette"), ("POST", "/m/e", "E.post", "starlette")},
        ),
        (
            {
                "src/shop/__init__.py": "from flask import Flask\nfrom .hooks import bp\n"
                "def create():\n    app = Flask(__name__)\n    app.register_blueprint(bp)\n    return app\n",
                "src/shop/hooks.py": "from flask import Blueprint\nbp = Blueprint('h', __name__, url_prefix='/h')\n"
                "@bp.route('/g', methods=['POST', 'PUT'])\ndef g(): ...\n",
            },
            {("POST,PUT", "/h/g", "g", "flask")},
        ),
        (
            {
                "app.py": "from flask import Flask\nfrom flask.views import MethodView\n"
                "class V(MethodView):\n    def post(self): ...\n    def helper(self): ...\n"
                "def h(): ...\napp = Flask(__name__)\n"
                "app.add_url_rule('/v', view_func=V.as_view('v'), methods=['POST'])\n"
                "app.add_url_rule('/h', 'h', h)\n"
            },
            {("POST", "/v", "V.post", "flask"), ("GET", "/h", "h", "flask")},
        ),
        (
            {
                "app.py": "from fastapi import FastAPI\nclass Server:\n    def __init__(self):\n"
                "        self.web = FastAPI()\n        self.web.add_api_route('/i', self.i, methods=['POST'])\n"
                "    async def i(self): ...\n"
            },
            {("POST", "/i", "Server.i", "fastapi")},
        ),
        (
            {
                "app.py": "class Box:\n    def get(self, x):\n        return lambda f: f\n"
                "b = Box()\n@b.get('/no')\ndef n(): ...\n"
            },
            set(),
        ),
    ],
)  # fmt: skip
def test_routes_are_found_however_they_are_added(
    tmp_path: Path, files: dict[str, str], routes: set[tuple[str, str, str, str]]
) -> None:
    assert routes_of(index_of(tmp_path, files)) == routes


SHOP = {
    "shop/__init__.py": "",
    "shop/app.py": """import asyncio
from fastapi import Depends, FastAPI
from shop.crm import Crm, get_crm
from shop import handlers

app = FastAPI()


def startup():
    slow_setup()


def slow_setup(): ...


def in_thread():
    deep()


def deep(): ...


@app.post("/hook")
async def hook(body: dict, crm: Crm = Depends(get_crm)):
    await crm.load()
    await asyncio.to_thread(in_thread)
    return await handlers.TABLE[body["type"]](body)
""",
    "shop/crm.py": """import httpx


class Base:
    def close(self): ...


class Crm(Base):
    def __init__(self):
        self.http = httpx.AsyncClient()

    async def load(self):
        self.note()
        return await self.http.get("https://a.example")

    def note(self): ...


def get_crm():
    return Crm()
""",
    "shop/handlers.py": """TABLE = {}


def handles(kind):
    def register(function):
        TABLE[kind] = function
        return function

    return register


@handles("paid")
async def paid(event):
    store(event)


def store(event): ...


def forgotten(): ...
""",
}


def test_reachable_follows_methods_dependencies_threads_and_tables(tmp_path: Path) -> None:
    index = index_of(tmp_path, SHOP)
    reachable = {function.qualname for function in index.reachable()}
    assert {"hook", "Crm.load", "Crm.note", "get_crm", "in_thread", "deep", "paid", "store"} <= reachable
    assert not {"startup", "slow_setup", "forgotten"} & reachable
    assert index.on_request_path(*_first(index, "store"))
    assert not index.on_request_path(*_first(index, "forgotten"))


def _first(index: Index, qualname: str):  # type: ignore[no-untyped-def]
    function = next(f for f in index.functions if f.qualname == qualname)
    return function.module, function.node.body[0]


def test_what_is_handed_to_a_thread_is_not_on_the_loop(tmp_path: Path) -> None:
    index = index_of(tmp_path, SHOP)
    on_loop = {function.qualname for function in index.functions if index.on_event_loop(function)}
    assert {"hook", "Crm.load", "Crm.note", "store"} <= on_loop
    assert not {"in_thread", "deep", "startup"} & on_loop


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


def test_effects_tell_requests_sql_and_shared_memory(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        {
            "a.py": """import requests
import sqlite3

COUNT = {}
SELECT = "SELECT * FROM people WHERE id = ?"


def work(session: requests.Session, box):
    session.request("DELETE", "https://a.example")
    conn = sqlite3.connect("x")
    conn.execute(SELECT, (1,))
    conn.execute("INSERT INTO seen " + "VALUES (1)")
    conn.row_factory = None
    COUNT["n"] = 1
    box.items.append(2)
"""
        },
    )
    effects = effects_cache(index).of(index.functions[0])
    assert [(call.library, call.verb, call.reads) for call in effects.http] == [("requests", "DELETE", False)]
    assert [(sql.verb, sql.writes, set(sql.tables)) for sql in effects.sql] == [
        ("SELECT", False, {"people"}), ("INSERT", True, {"seen"}),
    ]  # fmt: skip
    assert effects.writes_memory == {"COUNT", "box.items"}
    assert len(effects.blocking) == 4


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


def test_routes_that_a_list_spells_out(tmp_path: Path) -> None:
    text = """from starlette.applications import Starlette
from starlette.routing import Route

async def a(request): ...
async def b(request): ...
async def c(request): ...

TABLE = {"/c": c}
app = Starlette(routes=[Route(f"/x/{f.__name__}", f, methods=["POST"]) for f in (a, b)])
for path, handler in TABLE.items():
    app.add_route(path, handler, methods=["POST"])
"""
    assert {route.function.name for route in index_of(tmp_path, {"app.py": text}).routes} == {"a", "b", "c"}


def test_dependencies_under_an_alias_of_another_module(tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "",
        "app/deps.py": "from typing import Annotated\n\nfrom fastapi import Depends, Request\n\n\n"
        "async def verified(request: Request) -> bytes:\n    return await request.body()\n\n\n"
        "Verified = Annotated[bytes, Depends(verified)]\n",
        "app/main.py": "from fastapi import FastAPI\n\nfrom app.deps import Verified\n\napp = FastAPI()\n\n\n"
        '@app.post("/hook")\nasync def hook(body: Verified):\n    return len(body)\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    index = build_index(SourceTree.load(tmp_path))
    (route,) = index.routes
    assert [one.name for one in index.mentions(route.function)] == ["verified"]
    assert {one.name for one in index.reachable()} >= {"hook", "verified"}

"""The index: routes in every style, the call graph, effects."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from tests.analysis.trees import first, index_of


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
    assert index.on_request_path(*first(index, "store"))
    assert not index.on_request_path(*first(index, "forgotten"))


def test_what_is_handed_to_a_thread_is_not_on_the_loop(tmp_path: Path) -> None:
    index = index_of(tmp_path, SHOP)
    on_loop = {function.qualname for function in index.functions if index.on_event_loop(function)}
    assert {"hook", "Crm.load", "Crm.note", "store"} <= on_loop
    assert not {"in_thread", "deep", "startup"} & on_loop


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

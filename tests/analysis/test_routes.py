"""Whole paths, whoever registers them; what a request reaches; which loop it runs on."""

from __future__ import annotations

import ast

import pytest

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.core.patches import FileChange


def index_of(**files: str) -> Index:
    empty = SourceTree({}, {}, frozenset(), {}, "")
    changes = [FileChange(f"{name.replace('__', '/')}.py", None, text) for name, text in files.items()]
    return build_index(empty.with_changes(changes))


def served(index: Index) -> set[str]:
    return {f"{method} {route.path} {route.function.qualname}" for route in index.routes for method in route.methods}


def reached(index: Index) -> set[str]:
    return {function.qualname for function in index.reachable()}


ROUTER = """
from fastapi import APIRouter
router = APIRouter(prefix="/hooks")
@router.post("/crm")
async def crm(): ...
"""

BLUEPRINT = """
from flask import Blueprint
from flask.views import MethodView
bp = Blueprint("x", __name__, url_prefix="/hooks")
class Hook(MethodView):
    def post(self): return work()
def work(): ...
bp.add_url_rule("/crm", view_func=Hook.as_view("crm"))
@bp.route("/b", methods=["POST"])
def b(): ...
"""

CONSTANTS = """
from pydantic_settings import BaseSettings
BASE = "/api"
PATH = BASE + "/hook"
class Settings(BaseSettings):
    path: str = "/s"
settings = Settings()
"""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {
                "parts__hooks": ROUTER,
                "main": "from fastapi import FastAPI\nfrom parts import hooks\napp = FastAPI()\n"
                "app.include_router(hooks.router, prefix='/api/v1')\n",
            },
            {"POST /api/v1/hooks/crm crm"},
        ),
        (
            {
                "parts__hooks": ROUTER,
                "parts__api": "from fastapi import APIRouter\nfrom parts.hooks import router as inner\n"
                "api = APIRouter(prefix='/api')\napi.include_router(inner, prefix='/v2')\n",
                "main": "from fastapi import FastAPI\nfrom parts.api import api\n"
                "def make():\n    app = FastAPI()\n    app.include_router(api)\n    return app\n",
            },
            {"POST /api/v2/hooks/crm crm"},
        ),
        (
            {
                "config": CONSTANTS,
                "main": "from fastapi import FastAPI\nimport config\nfrom config import PATH, settings\n"
                "app = FastAPI()\n@app.post(PATH)\ndef a(): ...\n@app.post(config.PATH + '/x')\ndef b(): ...\n"
                "@app.post(f'{PATH}/y')\ndef c(): ...\n@app.post(settings.path)\ndef d(): ...\n"
                "@app.post(compute())\ndef e(): ...\n",
            },
            {"POST /api/hook a", "POST /api/hook/x b", "POST /api/hook/y c", "POST /s d", "POST  e"},
        ),
        (
            {
                "main": "from starlette.applications import Starlette\nfrom starlette.routing import Mount, Route\n"
                "from starlette.endpoints import HTTPEndpoint\nclass Hook(HTTPEndpoint):\n"
                "    async def post(self, request): ...\n"
                "app = Starlette(routes=[Mount('/a', routes=[Mount('/b', routes=[Route('/hook', Hook)])])])\n",
            },
            {"POST /a/b/hook Hook.post"},
        ),
        (
            {
                "main": "from fastapi import FastAPI\napp = FastAPI()\nsub = FastAPI()\napp.mount('/sub', sub)\n"
                "@sub.post('/hook')\ndef hook(): ...\n",
            },
            {"POST /sub/hook hook"},
        ),
        (
            {
                "bp": BLUEPRINT,
                "main": "from flask import Flask\nfrom bp import bp\napp = Flask(__name__)\n"
                "app.register_blueprint(bp, url_prefix='/api')\n",
            },
            {"POST /api/crm Hook.post", "POST /api/b b"},
        ),
        (
            {
                "bp": BLUEPRINT,
                "main": "from flask import Flask\nfrom bp import bp\napp = Flask(__name__)\n"
                "app.register_blueprint(bp)\n",
            },
            {"POST /hooks/crm Hook.post", "POST /hooks/b b"},
        ),
        (
            {
                "routes": "def init(app):\n    @app.post('/x')\n    async def x(): ...\n"
                "    app.add_url_rule('/y', 'y', y, methods=['POST'])\ndef y(): ...\n"
                "def other(app):\n    @app.post('/no')\n    def no(): ...\n",
                "main": "from flask import Flask\nimport routes\napp = Flask(__name__)\nroutes.init(app)\n",
            },
            {"POST /x init.x", "POST /y y"},
        ),
        (
            {
                "main": "import functools\nfrom fastapi import FastAPI\nasync def part(a, b): ...\ndef late(): ...\n"
                "app = FastAPI()\n"
                "app.add_api_route('/part', functools.partial(part, 1), methods=['POST'])\n"
                "app.router.add_api_route('/z', part)\napp.post('/late')(late)\n",
            },
            {"POST /part part", "GET /z part", "POST /late late"},
        ),
        (
            {
                "main": "from flask import Flask\nfrom flask_restful import Api, Resource\napp = Flask(__name__)\n"
                "api = Api(app)\nclass Hook(Resource):\n    def post(self): ...\n"
                "api.add_resource(Hook, '/hook', '/hook2')\n",
            },
            {"POST /hook Hook.post", "POST /hook2 Hook.post"},
        ),
        (
            {
                "bp": BLUEPRINT,
                "main": "from flask import Flask\nfrom bp import bp\ndef put_on(app):\n"
                "    app.register_blueprint(bp, url_prefix='/api/')\n"
                "def make():\n    app = Flask(__name__)\n    put_on(app)\n    return app\n",
            },
            {"POST /api/crm Hook.post", "POST /api/b b"},
        ),
        (
            {
                "main": "import os\nfrom fastapi import FastAPI\nfrom pydantic import BaseModel, Field\n"
                "class Settings(BaseModel):\n    path: str = Field('/field', min_length=1)\nsettings = Settings()\n"
                "app = FastAPI()\n@app.post(os.getenv('HOOK', '/env'))\ndef a(): ...\n"
                "@app.post(settings.path)\ndef b(): ...\n@app.post(os.environ['HOOK'])\ndef c(): ...\n",
            },
            {"POST /env a", "POST /field b", "POST  c"},
        ),
    ],
)  # fmt: skip
def test_paths_are_whole(files: dict[str, str], expected: set[str]) -> None:
    assert served(index_of(**files)) == expected


CLASSES = """
from fastapi import APIRouter, Depends, FastAPI


class Hooks:
    def __init__(self, service, other=None):
        self.router = APIRouter()
        self.router.add_api_route("/hook", self.handle, methods=["POST"])
        self.service = service

    async def handle(self):
        return await self.service.run()


class Service:
    async def run(self): ...


def dep(): ...
def auth(): ...
def unused(): ...


class Limit:
    def __call__(self):
        return left()


def left(): ...


app = FastAPI(dependencies=[Depends(auth)])
hooks = Hooks(Service())
app.include_router(hooks.router, prefix="/p", dependencies=[Depends(dep), Depends(Limit())])
"""


def test_dependencies_of_applications_and_what_constructors_are_handed_are_on_the_path() -> None:
    index = index_of(main=CLASSES)
    assert served(index) == {"POST /p/hook Hooks.handle"}
    assert reached(index) == {"Hooks.handle", "Service.run", "dep", "auth", "Limit.__call__", "left"}


def test_two_callers_that_disagree_tell_nothing_of_a_constructors_argument() -> None:
    index = index_of(main=CLASSES + "\nclass Other: ...\nagain = Hooks(Other())\n")
    module = index.tree.modules["main.py"]
    service = next(n for n in module.nodes(ast.Attribute) if ast.unparse(n) == "self.service.run")
    assert index.kinds.of(module, service.value) is None


def test_a_job_for_another_process_is_not_on_the_path() -> None:
    index = index_of(
        main="from fastapi import FastAPI\nfrom celery import Celery\napp = FastAPI()\nqueue = Celery()\n"
        "@queue.task\ndef job(x): ...\ndef here(): ...\n@app.post('/a')\nasync def a():\n"
        "    job.delay(1)\n    here()\n"
    )
    assert reached(index) == {"a", "here"}


LAYERS = """
from fastapi import FastAPI
app = FastAPI()

@app.post("/one")
async def one(): return await middle()

@app.post("/two")
async def two(): return await deep()

async def middle(): return await deep()
async def deep(): ...
def alone(): ...
"""


def test_the_routes_that_reach_a_function() -> None:
    index = index_of(main=LAYERS)
    by_name = {function.name: function for function in index.functions}
    assert [route.path for route in index.routes_reaching(by_name["deep"])] == ["/one", "/two"]
    assert index.routes_reaching(by_name["alone"]) == ()
    assert [route.path for route in index.routes_reaching(by_name["middle"])] == ["/one"]


def test_only_handlers_of_a_shared_loop_run_on_it() -> None:
    fastapi = index_of(main=LAYERS)
    assert all(fastapi.on_event_loop(f) for f in fastapi.functions if f.is_async)
    flask = index_of(
        main="from flask import Flask\napp = Flask(__name__)\n@app.post('/x')\nasync def x(): return helper()\n"
        "def helper(): ...\n"
    )
    assert not any(flask.on_event_loop(f) for f in flask.functions)

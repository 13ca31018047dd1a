"""Mends put code where it works: imports above what uses them, spelled as the tree does, at the app that serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.writing.placing import main_app, sibling_import
from tests.rules.mending import loaded, mend, write

LATE = """import requests
from flask import Flask, request

app = Flask(__name__)


def stock(item):
    return requests.get(f"http://127.0.0.1:9/{item}").json()


import logging
import os
import uuid


@app.post("/orders")
def take():
    return {"id": str(uuid.uuid4()), "item": request.get_json()["item"], "pid": os.getpid(), "left": stock("tea")}


LOG = logging.getLogger("late")
"""
VIEWS_LAST = """from flask import Flask

app = Flask(__name__)

from late import views
"""
VIEWS = """from flask import request

from late import app


@app.post("/orders")
def take():
    return {"item": request.get_json()["item"]}
"""
MIDDLEWARES = ("unchecked-json", "body-size-limit", "no-metrics", "no-request-id")


@pytest.mark.parametrize("rule", [*MIDDLEWARES, "client-per-call", "missing-timeout", "missing-retry"])
def test_imports_stand_above_what_uses_them_where_others_come_later(tmp_path: Path, rule: str) -> None:
    write(tmp_path, {"late_imports.py": LATE})
    mend(tmp_path, rule)
    with loaded(tmp_path, "late_imports") as module:
        answer = module.app.test_client().post("/orders", json={})
    assert answer.status_code in (400, 500), "the handler fails on a payload without an item, and so it was reached"


@pytest.mark.parametrize("rule", MIDDLEWARES)
def test_views_that_are_imported_after_the_app_stay_behind_it(tmp_path: Path, rule: str) -> None:
    write(tmp_path, {"late/__init__.py": VIEWS_LAST, "late/views.py": VIEWS})
    mend(tmp_path, rule)
    with loaded(tmp_path, "late") as module:
        assert module.app.test_client().post("/orders", json={"item": "tea"}).json == {"item": "tea"}


def test_the_app_of_a_module_is_preferred_to_one_that_a_function_makes_for_tests(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": (
        "from fastapi import FastAPI\n\n\ndef for_tests():\n    test_app = FastAPI()\n    return test_app\n\n\n"
        'admin = FastAPI()\napp = FastAPI()\napp.mount("/admin", admin)\n'
    )})  # fmt: skip
    app = main_app(build_index(SourceTree.load(tmp_path)))
    assert app is not None and app.name == "app"


def test_a_folder_without_an_init_file_is_spelled_as_its_modules_spell_it(tmp_path: Path) -> None:
    write(tmp_path, {"src/main.py": "from src.settings import load\n", "src/settings.py": "def load(): ...\n"})
    tree = SourceTree.load(tmp_path)
    assert sibling_import(tree, tree.modules["src/main.py"], "guard", "X") == "from src.guard import X"


def test_a_folder_whose_name_no_import_can_hold_is_imported_from_without_it(tmp_path: Path) -> None:
    write(tmp_path, {"my-shop/app/views.py": "from app.db import load\n", "my-shop/app/db.py": "def load(): ...\n"})
    tree = SourceTree.load(tmp_path)
    for file in ("views", "db"):
        statement = sibling_import(tree, tree.modules[f"my-shop/app/{file}.py"], "guard", "X")
        assert "my-shop" not in statement
        compile(statement, file, "exec")


FACTORY = """from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hook(request):
    return JSONResponse(await request.json())


def create_app():
    return Starlette(
        routes=[Route("/hook", hook, methods=["POST"])],
    )
"""


def test_an_app_that_a_factory_returns_gets_a_name_and_its_middlewares(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    write(tmp_path, {"late.py": FACTORY})
    mend(tmp_path, "body-size-limit", "no-request-id", "no-metrics")
    text = (tmp_path / "late.py").read_text()
    assert text.count("    return app\n") == 1
    assert text.count("app.add_middleware(") == 3
    with loaded(tmp_path, "late") as late:
        client = TestClient(late.create_app())
        answer = client.post("/hook", json={"id": 1})
        assert answer.json() == {"id": 1}
        assert answer.headers["x-request-id"]
        assert client.post("/hook", content=b"[" + b"1," * 2_000_000 + b"1]").status_code == 413
        assert "http_server_request" in client.get("/metrics").text


def test_middlewares_find_their_order_past_a_route_that_stands_between(tmp_path: Path) -> None:
    text = (
        "from flask import Flask, request\n\n\ndef create_app():\n    app = Flask(__name__)\n\n"
        '    @app.post("/hook")\n    def hook():\n        return request.get_json()\n\n    return app\n'
    )
    write(tmp_path, {"factory.py": text})
    mend(tmp_path, "body-size-limit", "no-health-check", "no-metrics", "no-request-id", "guessed-content-type")
    lines = (tmp_path / "factory.py").read_text().splitlines()
    added = [line.split("= ")[1].split("(")[0] for line in lines if "wsgi_app =" in line]
    assert added == ["BodyLimitMiddleware", "AnswerHeadersMiddleware", "MetricsMiddleware", "RequestIdMiddleware"]
    with loaded(tmp_path, "factory") as factory:
        client = factory.create_app().test_client()
        assert client.post("/hook", data=b" " * 1_100_000).status_code == 413
        assert 'status="413"' in client.get("/metrics").text  # what a guard refuses is counted


@pytest.mark.parametrize("rule", ["no-health-check"])
def test_no_route_is_written_behind_a_return(tmp_path: Path, rule: str) -> None:
    from tests.rules.mending import find

    write(tmp_path, {"late.py": FACTORY})
    assert [finding.mendable for finding in find(tmp_path, rule)] == [False]


DOTENV = """import os

import httpx
from dotenv import load_dotenv
from fastapi import FastAPI

load_dotenv()

KEY = os.environ["KEY"]
app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.get("/stock")
async def stock():
    return (await client.get("https://a.example", headers={"key": KEY}, timeout=None)).json()
"""


def test_settings_come_after_the_file_that_fills_the_environment(tmp_path: Path) -> None:
    write(tmp_path, {"late.py": DOTENV})
    mend(tmp_path, "missing-timeout")
    text = (tmp_path / "late.py").read_text()
    assert text.index("load_dotenv()") < text.index("HTTP_TIMEOUT_S = ") < text.index("KEY = ")

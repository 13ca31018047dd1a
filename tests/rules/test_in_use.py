"""Findings in files that the service never loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.rules.facts.in_use import runs_with
from swarm.rules.scan import scan
from tests.intake.strangers import index_of
from tests.rules.mending import find, write

_APP = """
    from fastapi import FastAPI

    from desk import work

    app = FastAPI()


    @app.post("/hook")
    async def hook(event: dict):
        return await work.handle(event)
    """
_CALL = """
    import requests


    def call(number):
        return requests.get("https://api.shop.example/v1/orders/" + number).json()
    """
_SECRET = "import stripe\n\nstripe.api_key = " + repr("sk_" + "live_51H8aBcDeFgHiJkLmNoPqRsT") + "\n"
_WORK = """
    from desk.shop import call


    async def handle(event):
        return call(event["number"])
    """


def severities(folder: Path, files: dict[str, str], rule: str = "missing-timeout") -> dict[str, tuple[str, bool]]:
    return {f.file: (f.severity, f.mendable) for f in scan(index_of(folder, files)) if f.rule == rule}


def test_file_that_nothing_imports_is_low(tmp_path: Path) -> None:
    files = {
        "desk/__init__.py": "", "desk/app.py": _APP, "desk/work.py": _WORK, "desk/shop.py": _CALL,
        "fill_orders.py": _CALL,
    }  # fmt: skip
    found = severities(tmp_path, files)
    assert found["fill_orders.py"] == ("low", False)
    assert found["desk/shop.py"][0] in ("high", "medium")


@pytest.mark.parametrize(
    "reason",
    [
        {"desk/loading.py": "from importlib import import_module\n\nimport_module('fill_orders')\n"},
        {"worker.py": "import fill_orders\n"},
        {"jobs.py": "from celery import Celery\nimport fill_orders\n\nqueue = Celery('x')\n"},
    ],
)
def test_file_that_may_be_loaded_keeps_its_severity(tmp_path: Path, reason: dict[str, str]) -> None:
    files = {"desk/__init__.py": "", "desk/app.py": _APP, "desk/work.py": _WORK, "desk/shop.py": _CALL,
             "fill_orders.py": _CALL, **reason}  # fmt: skip
    assert severities(tmp_path, files)["fill_orders.py"][0] in ("high", "medium")


def test_secret_in_a_script_is_out_all_the_same(tmp_path: Path) -> None:
    files = {"desk/__init__.py": "", "desk/app.py": _APP, "desk/work.py": _WORK, "desk/shop.py": _CALL,
             "fill_orders.py": _SECRET}  # fmt: skip
    found = [f for f in scan(index_of(tmp_path, files)) if f.file == "fill_orders.py"]
    assert any(f.severity in ("critical", "high") for f in found)


def test_tree_without_routes_is_left_as_it_is(tmp_path: Path) -> None:
    assert severities(tmp_path, {"shop.py": _CALL})["shop.py"][0] in ("high", "medium", "low")


_SERVICE = """
    import requests
    from flask import Flask

    {imported}
    app = Flask(__name__)


    def rates():
        print("asked")
        return requests.get("http://bank/rates", timeout=5).json()


    @app.post("/hook")
    def hook():
        return rates()
    """


@pytest.mark.parametrize(
    ("files", "mendable"),
    [
        ({"desk/logs.py": "import logging\n\nlogging.basicConfig()\n"}, True),
        ({"other/logs.py": "import logging\n\nlogging.basicConfig()\n"}, False),
        ({"serve.py": "import logging\nfrom desk.app import app\n\nlogging.basicConfig()\n"}, True),
    ],
)
def test_prints_become_log_lines_where_the_process_shows_them(
    tmp_path: Path, files: dict[str, str], mendable: bool
) -> None:
    imported = "from desk import logs" if "desk/logs.py" in files else ""
    app = _SERVICE.format(imported=imported)
    found = severities(tmp_path, {"desk/__init__.py": "", "desk/app.py": app, **files}, "print-in-request")
    assert found["desk/app.py"][1] is mendable


def test_second_service_of_a_tree_gets_no_module_of_the_first(tmp_path: Path) -> None:
    files = {"desk/__init__.py": "", "desk/app.py": _SERVICE.format(imported=""),
             "bank/__init__.py": "", "bank/app.py": _SERVICE.format(imported="")}  # fmt: skip
    found = severities(tmp_path, files, "no-operation-metrics")
    assert len(found) == 1


def test_a_router_is_no_service_of_its_own(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        {
            "desk/__init__.py": "",
            "desk/main.py": "from fastapi import FastAPI\n\nfrom desk.api import router\n\n\ndef create_app():\n"
            "    app = FastAPI()\n    app.include_router(router)\n    return app\n",
            "desk/api.py": "from fastapi import APIRouter\n\nfrom desk.work import handle\n\nrouter = APIRouter()\n",
            "desk/work.py": "def handle(event): ...\n",
        },
    )
    modules = index.tree.modules
    assert runs_with(index, modules["desk/work.py"], modules["desk/main.py"])


def test_a_router_that_no_application_loads_is_what_runs(tmp_path: Path) -> None:
    index = index_of(
        tmp_path,
        {
            "api.py": "from fastapi import APIRouter\n\nfrom work import handle\n\nrouter = APIRouter()\n",
            "work.py": "def handle(event): ...\n",
            "other.py": "x = 1\n",
        },
    )
    modules = index.tree.modules
    assert runs_with(index, modules["work.py"], modules["api.py"])
    assert not runs_with(index, modules["work.py"], modules["other.py"])


def test_documents_of_an_application_that_nothing_names_are_served_to_nobody(tmp_path: Path) -> None:
    write(tmp_path, {
        "app/__init__.py": "",
        "app/main.py": "from fastapi import FastAPI\nfrom app.hooks import setup\n\napp = FastAPI()\nsetup(app)\n",
        "app/hooks.py": "from fastapi import FastAPI\n\n\ndef setup(app: FastAPI):\n    @app.post('/hook')\n"
        "    async def hook(event: dict):\n        return event\n\n\napp = FastAPI()\n",
    })  # fmt: skip
    assert [finding.file for finding in find(tmp_path, "open-api-docs")] == ["app/main.py"]

"""Fixes in files that `start` never loads stay advice: no gate would see them run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarm.config.schema import Target
from swarm.coordinator.unproven import started_module, without_unproven
from swarm.verify.fixes import Fix
from tests.intake.strangers import index_of, write_tree

_APP = """
    from fastapi import FastAPI

    from shop import orders

    app = FastAPI()


    @app.post("/hook")
    def hook(event: dict):
        return orders.take(event)
    """
TREE = {
    "shop/__init__.py": "", "shop/app.py": _APP, "shop/orders.py": "def take(event):\n    return event\n",
    "shop/worker.py": "from celery import Celery\n\nwork = Celery()\n",
    "billing/__init__.py": "", "billing/web.py": "from flask import Flask\n\napp = Flask(__name__)\n",
}  # fmt: skip
START = "uvicorn shop.app:app --port {port}"


def target(start: str = START, **fields: Any) -> Target:
    return Target.model_validate({"path": ".", "start": start, **fields})


def kept(folder: Path, files: dict[str, str], one: Target) -> tuple[set[str], tuple[str, ...]]:
    index = index_of(folder, files)
    fixes = [Fix("missing-timeout", "api", file, (file,), "a") for file in (*index.tree.modules, "requirements.txt")]
    left, notes = without_unproven(fixes, index, one, folder)
    return {fix.file for fix in left}, notes


def test_what_start_does_not_load_is_left_and_told(tmp_path: Path) -> None:
    files, notes = kept(tmp_path, TREE, target())
    assert files == {"shop/__init__.py", "shop/app.py", "shop/orders.py", "requirements.txt"}
    assert [note.partition(":")[0] for note in notes] == ["billing/__init__.py", "billing/web.py", "shop/worker.py"]
    assert "`start` runs shop/app.py" in notes[1] and "missing-timeout" in notes[1]


def test_the_other_service_is_proven_by_a_target_of_its_own(tmp_path: Path) -> None:
    files, _ = kept(tmp_path, TREE, target("flask --app billing.web run --port {port}"))
    assert files == {"billing/web.py", "requirements.txt"}


def test_what_the_tests_import_is_proven_by_them(tmp_path: Path) -> None:
    write_tree(tmp_path, {"tests/test_worker.py": "from shop import worker\n"})
    files, notes = kept(tmp_path, TREE, target(tests="pytest -q"))
    assert "shop/worker.py" in files and "billing/web.py" not in files and len(notes) == 2
    assert "shop/worker.py" not in kept(tmp_path, TREE, target())[0]


@pytest.mark.parametrize(
    "line",
    ["import importlib\nimportlib.import_module(NAME)\n", 'PLUGINS = ["shop.worker", "billing.web"]\n'],
)
def test_what_may_be_loaded_by_its_name_stays(tmp_path: Path, line: str) -> None:
    orders = f"{line}\n\ndef take(event):\n    return event\n"
    files, notes = kept(tmp_path, {**TREE, "shop/orders.py": orders}, target())
    assert {"shop/worker.py", "billing/web.py"} <= files and not notes


@pytest.mark.parametrize("start", ["hooks --port {port}", "uvicorn other.app:app", "sh -c 'x"])
def test_start_that_names_no_module_leaves_all(tmp_path: Path, start: str) -> None:
    files, notes = kept(tmp_path, TREE, target(start))
    assert "billing/web.py" in files and not notes


@pytest.mark.parametrize(
    ("start", "fields", "file"),
    [
        ("gunicorn --bind 127.0.0.1:{port} 'shop.app:make(1)'", {}, "shop/app.py"),
        ("flask --app shop.app run", {}, "shop/app.py"),
        ("python -m billing.web --port {port}", {}, "billing/web.py"),
        ("python billing/web.py", {}, "billing/web.py"),
        ("uvicorn app:app", {"cwd": "shop"}, "shop/app.py"),
        ("uvicorn app:app --app-dir shop", {}, "shop/app.py"),
        ("python -m uvicorn shop.app:app", {}, "shop/app.py"),
    ],
)
def test_module_that_start_names(tmp_path: Path, start: str, fields: dict[str, str], file: str) -> None:
    module = started_module(index_of(tmp_path, TREE), target(start, **fields))
    assert module is not None and module.path == file


def test_folder_above_the_target_s(tmp_path: Path) -> None:
    own = {name.removeprefix("shop/"): text for name, text in TREE.items() if name.startswith("shop/")}
    index = index_of(tmp_path / "shop", own)
    one = Target.model_validate({"path": "shop", "start": START, "cwd": "."})
    module = started_module(index, one)
    assert module is not None and module.path == "app.py"

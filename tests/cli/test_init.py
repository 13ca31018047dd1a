"""`swarm init` on services that it has never seen, from looking to a file that works."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from swarm.config.load import load_agents
from tests.cli.conftest import Cli
from tests.intake.strangers import NOTES, ORDERS, PINGS, write_tree

pytestmark = pytest.mark.long


def test_src_layout_with_a_host_in_its_code(cli: Cli, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "orders", ORDERS)
    said = cli("init", str(root))
    assert said.code == 0, said.err
    target = load_agents(root / "agents.yaml").targets["orders"]
    (webhook,) = target.webhooks
    assert (webhook.path, webhook.sign.header, webhook.sign.secret_env, webhook.sign.format) == (
        "/api/v1/hooks/orders", "X-Shop-Signature", "WEBHOOK_SECRET", "sha256={hex}",
    )  # fmt: skip
    (upstream,) = target.upstreams
    assert upstream.host == "api.shop.example"
    (route,) = upstream.routes
    assert (route.method, route.path) == ("GET", "/v2/orders/{id}")
    assert {"total", "lines"} <= set(route.json_body)
    assert "2 of 2 events got a good answer" in said.out
    assert said.out.splitlines()[-1] == "next: swarm run -c orders/agents.yaml"
    assert cli("validate", "-c", "orders/agents.yaml").code == 0
    scanned = cli("scan", "-c", "orders/agents.yaml")
    assert scanned.code == 0 and "findings" in scanned.out


def test_flask_with_a_token_and_its_own_data(cli: Cli, tmp_path: Path) -> None:
    root = write_tree(tmp_path, NOTES)
    said = cli("init", str(root))
    assert said.code == 0, said.err
    (target,) = load_agents(root / "agents.yaml").targets.values()
    (webhook,) = target.webhooks
    assert webhook.headers["X-Notes-Token"] == target.env["NOTES_TOKEN"]
    assert target.env["DATABASE_URL"] == "sqlite:///{tmp}/service.db"
    assert [(u.host, r.method, r.path) for u in target.upstreams for r in u.routes] == [
        ("api.summary.example", "POST", "/v1/summaries")
    ]
    assert target.upstreams[0].routes[0].json_body["summary"]["short"]
    assert "1 of 1 event got a good answer" in said.out
    bench = cli("bench", "--seconds", "1", "--rate", "5")
    assert bench.code == 0, bench.err


def test_starlette_by_a_list_of_routes(cli: Cli, tmp_path: Path) -> None:
    said = cli("init", str(write_tree(tmp_path, PINGS)))
    assert said.code == 0, said.err
    (target,) = load_agents(tmp_path / "agents.yaml").targets.values()
    assert target.health == "/health"
    assert target.webhooks[0].payloads == [{"kind": "created", "who": "value"}]
    assert "has no tests" in said.out


def test_only_looking_starts_nothing(cli: Cli, tmp_path: Path) -> None:
    files = {"app.py": "import sys\nfrom flask import Flask\n\napp = Flask('x')\nopen('started', 'w')\n"}
    files["app.py"] += "\n\n@app.post('/hook')\ndef hook():\n    return 'ok'\n"
    said = cli("init", str(write_tree(tmp_path, files)), "--no-start")
    assert said.code == 0, said.err
    assert "starting" not in said.out and said.out.splitlines()[-1] == "next: swarm doctor"
    assert yaml.safe_load((tmp_path / "agents.yaml").read_text())["targets"]


def test_a_file_that_is_there_stays(cli: Cli, tmp_path: Path) -> None:
    write_tree(tmp_path, {**PINGS, "agents.yaml": "version: 1\n"})
    said = cli("init", str(tmp_path))
    assert said.code == 2 and "--force" in said.err and len(said.err.splitlines()) == 1
    assert (tmp_path / "agents.yaml").read_text() == "version: 1\n"
    assert cli("init", str(tmp_path), "--force", "--no-start").code == 0
    assert "targets" in (tmp_path / "agents.yaml").read_text()


def test_module_that_is_not_installed(cli: Cli, tmp_path: Path) -> None:
    files = {"server.py": "import no_such_package\n" + PINGS["server.py"].replace("\n        ", "\n").lstrip()}
    said = cli("init", str(write_tree(tmp_path, files)))
    assert said.code == 3
    assert "'no_such_package' is not installed there (server.py:1 imports it)" in said.out
    assert said.out.splitlines()[-1] == "next: swarm doctor"
    assert (tmp_path / "agents.yaml").exists()


def test_tests_that_fail_already_are_left_out(cli: Cli, tmp_path: Path) -> None:
    tests = """
        import urllib.request

        import pytest


        def test_good():
            assert True


        def test_red():
            assert 1 + 1 == 3


        @pytest.mark.parametrize("word", ["a b", "c"])
        def test_network(word):
            urllib.request.urlopen("https://api.shop.example/x")
        """
    files = {
        **PINGS,
        "tests/test_app.py": tests,
        "tests/test_odd.py": "import no_such_package\n\n\ndef test_it():\n    pass\n",
    }
    said = cli("init", str(write_tree(tmp_path, files)))
    assert said.code == 0, said.err
    (target,) = load_agents(tmp_path / "agents.yaml").targets.values()
    assert target.tests is not None
    assert "--ignore=tests/test_odd.py" in target.tests
    assert "--deselect tests/test_app.py::test_red" in target.tests
    assert "without those: 1 passed" in said.out


def test_import_with_side_effects_and_settings_by_the_dozen(cli: Cli, tmp_path: Path) -> None:
    names = [f"SETTING_{number}" for number in range(14)]
    text = """
        import os
        import sqlite3
        import urllib.request

        from flask import Flask

        for name in NAMES:
            os.environ[name]
        sqlite3.connect("data/here/service.db").execute("create table if not exists t (n)")
        urllib.request.urlopen(urllib.request.Request("https://api.licence.example/v1/check", b"{}")).read()
        app = Flask("x")


        @app.post("/hook")
        def hook():
            return "ok"
        """.replace("NAMES", repr(names))
    said = cli("init", str(write_tree(tmp_path, {"app.py": text})))
    assert said.code == 0, said.out
    (target,) = load_agents(tmp_path / "agents.yaml").targets.values()
    assert set(names) <= set(target.env)
    assert target.setup == "mkdir -p data/here"
    assert [(u.host, r.path) for u in target.upstreams for r in u.routes] == [("api.licence.example", "/v1/check")]


@pytest.mark.parametrize(("word", "told"), [("nowhere", "does not exist"), ("file.txt", "is a file")])
def test_path_that_is_no_folder(cli: Cli, tmp_path: Path, word: str, told: str) -> None:
    (tmp_path / "file.txt").write_text("x")
    said = cli("init", word)
    assert said.code == 3 and told in said.err and len(said.err.splitlines()) == 1

"""Targets that cannot be worked on: one clear line, exit 3, no report folder, nothing left running."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from swarm.target.running.server import start_server
from tests.cli.conftest import Cli, Said
from tests.cli.tiny import AGENTS, APP, left_running, scratch_left, write_service

pytestmark = pytest.mark.long


def assert_refused(said: Said, tmp_path: Path, *told: str) -> None:
    """Exit 3 in a line or two that tell, and nothing left: no folder of the run, no process, no scratch."""
    assert said.code == 3, said.err
    for words in told:
        assert words in said.err
    assert len(said.err.splitlines()) <= 2, said.err
    reports = tmp_path / "reports"
    assert not reports.exists() or list(reports.iterdir()) == []
    scratch = Path(tempfile.gettempdir())
    assert left_running(scratch) == []
    assert scratch_left(scratch) == []


def test_module_that_is_missing(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, app=f"import no_such_module\n{APP}")
    assert_refused(cli("run"), tmp_path, "target tiny does not start", "cannot import 'no_such_module'", "`python`")


def test_crash_at_start(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, app='raise RuntimeError("the licence has expired")\n')
    assert_refused(cli("run"), tmp_path, "does not start", "RuntimeError: the licence has expired")


def test_setting_that_is_missing(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, app=f"import os\nKEY = os.environ['LICENCE_KEY']\n{APP}")
    assert_refused(cli("run"), tmp_path, "does not start", "put LICENCE_KEY into the target's `env`")


def test_start_that_ends_at_once_and_says_nothing(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, app="pass\n")
    assert_refused(cli("run"), tmp_path, "does not start", "exit code 0")


def test_program_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, agents=AGENTS.replace("python app.py", "no-such-program app.py"))
    assert_refused(cli("run"), tmp_path, "no-such-program")


def test_server_that_never_answers(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert start_server.__kwdefaults__ is not None
    monkeypatch.setitem(start_server.__kwdefaults__, "deadline_s", 0.5)
    write_service(tmp_path, app="import time\nprint('thinking', flush=True)\ntime.sleep(600)\n")
    assert_refused(cli("run"), tmp_path, "does not start", "nothing listened on its port within 0.5 s")


def test_health_that_stays_bad(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert start_server.__kwdefaults__ is not None
    monkeypatch.setitem(start_server.__kwdefaults__, "deadline_s", 1.0)
    broken = APP.replace(
        '@app.post("/hook")', '@app.get("/health")\ndef health():\n    return "", 503\n\n\n@app.post("/hook")'
    )
    write_service(tmp_path, app=broken, agents=AGENTS.replace("path: .\n", "path: .\n    health: /health\n"))
    assert_refused(cli("run"), tmp_path, "does not start", "/health answers 503 within 1 s")


def test_port_that_is_taken(cli: Cli, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        agents = AGENTS.replace("{port}", str(port)).replace("path: .\n", 'path: .\n    env: {PORT: "{port}"}\n')
        app = f"import http.server as h\nh.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler)\n"
        write_service(tmp_path, app=app, agents=agents)
        assert_refused(cli("run"), tmp_path, "does not start", "its port is taken", "{port}")


def test_start_without_a_port_to_give(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, agents=AGENTS.replace("{port}", "8080"))
    assert_refused(cli("run"), tmp_path, "{port}")


def test_red_tests_at_baseline(cli: Cli, tmp_path: Path) -> None:
    agents = AGENTS.replace("path: .\n", 'path: .\n    tests: "pytest -q test_it.py"\n')
    write_service(tmp_path, agents=agents, test_it__py="def test_sum():\n    assert 1 + 1 == 3\n")
    assert_refused(cli("run"), tmp_path, "tests fail before any patch", "test_sum", "Mend them first")


def test_tests_that_call_the_network(cli: Cli, tmp_path: Path) -> None:
    agents = AGENTS.replace("path: .\n", "path: .\n    tests: pytest -q\n")
    text = "import urllib.request\n\n\ndef test_it():\n    urllib.request.urlopen('https://api.shop.example/x')\n"
    write_service(tmp_path, agents=agents, test_it__py=text)
    assert_refused(cli("run"), tmp_path, "they call api.shop.example:443, and nothing leaves")


def test_tests_that_cannot_start(cli: Cli, tmp_path: Path) -> None:
    agents = AGENTS.replace("path: .\n", 'path: .\n    tests: "pytest -q nowhere"\n')
    write_service(tmp_path, agents=agents)
    assert_refused(cli("run"), tmp_path, "tests fail before any patch", "nowhere")


def test_setup_that_fails(cli: Cli, tmp_path: Path) -> None:
    agents = AGENTS.replace("path: .\n", "path: .\n    setup: \"python -c 'raise SystemExit(4)'\"\n")
    write_service(tmp_path, agents=agents)
    assert_refused(cli("run"), tmp_path, "setup")


def test_upstream_that_does_not_start(cli: Cli, tmp_path: Path) -> None:
    upstream = '\n      - {name: crm, env: CRM_URL, start: "python -c 1/0 --port {port}"}\n'
    write_service(tmp_path, agents=AGENTS.rstrip() + upstream)
    assert_refused(cli("run"), tmp_path, "crm")


@pytest.mark.parametrize("words", [("bench",), ("bench", "--seconds", "1")])
def test_bench_of_a_target_that_does_not_start(cli: Cli, tmp_path: Path, words: tuple[str, ...]) -> None:
    write_service(tmp_path, app="import no_such_module\n")
    assert_refused(cli(*words), tmp_path, "cannot import 'no_such_module'")


def test_reports_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, reports="a file in the place of the folder")
    said = cli("run")
    assert (said.code, said.out) == (2, "")
    assert "cannot write reports to reports" in said.err and "--out" in said.err
    assert len(said.err.splitlines()) == 1
    assert (tmp_path / "reports").read_text() == "a file in the place of the folder"

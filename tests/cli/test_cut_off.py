"""Runs that are cut off: what was done is kept, nothing is left running, and the exit code is the contract's."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.cli.tiny import (
    AGENTS,
    APP,
    SHORT_SWARM,
    left_running,
    report_of,
    run_short,
    scratch_left,
    swarm_environment,
    write_service,
)
from tests.strict_server import StrictServer

pytestmark = pytest.mark.long

PHASES = ("baseline", "specialists", "verify", "benchmark")
# nothing for the performance specialist to mend, so that a run of it alone has no benchmark to make
CLEAN = """
import argparse

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    return jsonify(sku=request.get_json()["sku"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    app.run(host="127.0.0.1", port=parser.parse_args().port, threaded=True)
"""
# a target whose own tests take their time, so that the baseline does
SLOW_TESTS = AGENTS.replace("path: .\n", 'path: .\n    tests: "pytest -q test_it.py"\n')
SLOW_TEST = "import time\n\n\ndef test_it():\n    time.sleep(1.5)\n"


class Cutting:
    """A `swarm run --json` under way, for a signal in the middle."""

    def __init__(self, folder: Path, tmp: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [*SHORT_SWARM, "run", "--json", *words], cwd=folder, env=swarm_environment(tmp),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.events: list[dict[str, Any]] = []

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Read events until one is wanted."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if wanted(self.events[-1]):
                return
        raise AssertionError(f"swarm ended before: {self.process.communicate(timeout=20)[1]}")

    def end(self) -> tuple[int, str]:
        """Exit code and stderr, once it has ended."""
        out, err = self.process.communicate(timeout=40)
        self.events += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, err


@contextlib.contextmanager
def cutting(folder: Path, tmp: Path, *words: str) -> Iterator[Cutting]:
    one = Cutting(folder, tmp, *words)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate(timeout=20)


@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_in_each_phase_keeps_what_was_done(tmp_path: Path, phase: str) -> None:
    service, tmp = write_service(tmp_path / "service", agents=SLOW_TESTS, test_it__py=SLOW_TEST), tmp_path / "tmp"
    with cutting(service, tmp) as run:
        run.until(lambda event: event["event"] == "phase_started" and event["phase"] == phase)
        time.sleep(0 if phase == "baseline" else 0.5)
        run.process.send_signal(signal.SIGINT)
        code, err = run.end()
    assert code == 130, err
    assert err == "swarm: interrupted; what was done is kept\n"
    assert run.events[-1]["event"] == "run_finished" and run.events[-1]["exit_code"] == 130
    report = report_of(service / "reports")
    assert report["run"]["status"] == "degraded"
    assert "interrupted; what was done is kept" in report["run"]["notes"]
    done = PHASES[: PHASES.index(phase) + 1]
    assert [one["phase"] for one in report["phases"] if one["phase"] in PHASES][: len(done)] == list(done)
    if phase in ("verify", "benchmark"):
        assert report["findings"] and len(report["agents"]) == 5
    assert left_running(tmp) == []
    assert scratch_left(tmp) == []


def test_ctrl_c_while_reports_are_written_still_writes_them(tmp_path: Path) -> None:
    service, tmp = write_service(tmp_path / "service", app=CLEAN), tmp_path / "tmp"
    with cutting(service, tmp, "--only", "performance") as run:
        run.until(lambda event: event["event"] == "phase_started" and event["phase"] == "monitoring")
        run.process.send_signal(signal.SIGINT)
        code, err = run.end()
    assert (code, err) == (0, "")
    assert report_of(service / "reports")["run"]["status"] == "complete"
    assert (service / "reports" / "latest" / "report.html").exists()


def test_termination_is_as_good_as_ctrl_c(tmp_path: Path) -> None:
    service, tmp = write_service(tmp_path / "service"), tmp_path / "tmp"
    with cutting(service, tmp) as run:
        run.until(lambda event: event["event"] == "phase_started" and event["phase"] == "specialists")
        run.process.terminate()
        code, _ = run.end()
    assert code == 130
    assert report_of(service / "reports")["run"]["status"] == "degraded"
    assert left_running(tmp) == []


def test_kill_leaves_nothing_past_the_next_start(tmp_path: Path) -> None:
    daemon = APP + "\n"
    daemon = daemon.replace(
        "import argparse\n",
        "import argparse\nimport subprocess\nimport sys\n\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'], start_new_session=True)\n",
    )
    service, tmp = write_service(tmp_path / "service", app=daemon), tmp_path / "tmp"
    with cutting(service, tmp) as run:
        run.until(lambda event: event["event"] == "agent_finished")
        deadline = time.monotonic() + 10
        while not any("time.sleep(300)" in one for one in left_running(tmp)) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait(timeout=20)
    assert scratch_left(tmp) != []
    assert left_running(tmp) != []  # the service's own daemon, which no signal of the kernel's reaches
    (folder,) = [path for path in (service / "reports").iterdir() if path.name != "latest"]
    whole = (folder / "journal.jsonl").read_text().rpartition("\n")[0]
    kinds = {json.loads(line).get("event") for line in whole.splitlines()}
    assert "AgentFinished" in kinds  # what was done is in the journal
    again = run_short("run", "-c", "agents.yaml", "--deadline", "0.01", cwd=service, env=swarm_environment(tmp))
    assert again.returncode == 5
    assert left_running(tmp) == []
    assert scratch_left(tmp) == []


def test_deadline_ends_the_run_with_a_partial_report(tmp_path: Path) -> None:
    service, tmp = write_service(tmp_path / "service"), tmp_path / "tmp"
    began = time.monotonic()
    done = run_short("run", "--deadline", "5", cwd=service, env=swarm_environment(tmp))
    assert done.returncode == 5
    assert time.monotonic() - began < 30
    assert done.stderr == "swarm: the deadline of 5 s ended the run early\n"
    report = report_of(service / "reports")
    assert report["run"]["status"] == "degraded"
    assert "the deadline of 5 s ended the run early" in report["run"]["notes"]
    assert report["findings"]
    assert "swarm explain" in done.stdout
    assert left_running(tmp) == []
    assert scratch_left(tmp) == []


def test_reader_that_leaves_does_not_end_the_run(tmp_path: Path) -> None:
    service, tmp = write_service(tmp_path / "service", app=CLEAN), tmp_path / "tmp"
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(SHORT_SWARM)} run --only performance | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=service, env=swarm_environment(tmp), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert report_of(service / "reports")["run"]["status"] == "complete"
    assert left_running(tmp) == []


def test_broken_provider_falls_back_and_says_so(
    cli: Cli, tmp_path: Path, shortened: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_service(tmp_path, app=CLEAN)
    with StrictServer().serving() as server:
        for name, value in server.environ("not-a-key-at-all").items():
            monkeypatch.setenv(name, value)
        done = cli("run", "--only", "performance")
    assert done.code == 0, done.err
    assert "provider anthropic (ANTHROPIC_API_KEY is set)" in done.out.splitlines()[0]
    report = report_of(tmp_path / "reports")
    assert report["run"]["status"] == "degraded"
    assert {agent["status"] for agent in report["agents"]} == {"degraded"}
    assert {agent["provider"] for agent in report["agents"]} == {"offline"}
    told = " ".join(report["run"]["notes"])
    assert "performance: " in told and "HTTP 401: authentication_error" in told
    assert "degraded" in done.out
    assert not any("not-a-key-at-all" in path.read_text() for path in (tmp_path / "reports").rglob("*.json*"))


def test_json_is_json_lines_alone_and_apply_applies(cli: Cli, tmp_path: Path, shortened: None) -> None:
    write_service(tmp_path)
    done = cli("run", "--json", "--apply", "--only", "api", "--fail-on", "severity:low")
    assert (done.code, done.err) == (0, "")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert events[0]["event"] == "run_started" and events[-1]["event"] == "run_finished"
    assert events[-1]["exit_code"] == 0 and events[-1]["accepted"] > 0
    assert "timeout=" in (tmp_path / "app.py").read_text()
    assert cli("rollback").code == 0
    assert (tmp_path / "app.py").read_text() == APP.lstrip("\n")


def test_quiet_prints_the_result_alone(cli: Cli, tmp_path: Path, shortened: None) -> None:
    write_service(tmp_path, app=CLEAN)
    done = cli("run", "--quiet", "--only", "performance")
    assert done.code == 0, done.err
    assert "── " not in done.out
    assert "accepted" in done.out and "\nNext:\n" in done.out

"""`swarm resume`: what the journal of a cut-off run holds is taken from there."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.cli.test_cut_off import CLEAN, cutting
from tests.cli.tiny import left_running, report_of, run_short, swarm_environment, write_service

pytestmark = pytest.mark.long


def journal_of(service: Path) -> list[dict[str, Any]]:
    (path,) = [path for path in (service / "reports").glob("*/journal.jsonl") if path.parent.name != "latest"]
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def calls_of(records: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    """Finished calls: one each, whichever process has run it."""
    return [(r["agent"], r["turn"], r["result"]["call_id"]) for r in records if r["kind"] == "result"]


@pytest.mark.parametrize(
    ("at", "how"),
    [
        ("tool_finished", signal.SIGKILL),
        ("phase_started benchmark", signal.SIGKILL),
        ("phase_started plan", signal.SIGINT),
    ],
    ids=["killed-among-tools", "killed-in-the-benchmark", "interrupted"],
)
def test_a_cut_off_run_goes_on_where_it_was(tmp_path: Path, at: str, how: signal.Signals) -> None:
    service, tmp = write_service(tmp_path / "service", app=CLEAN), tmp_path / "tmp"
    with cutting(service, tmp, "--only", "performance", "--provider", "offline") as run:
        run.until(lambda event: f"{event['event']} {event.get('phase', '')}".strip() == at)
        run.process.send_signal(how)
        run.process.wait(timeout=40)
    before = journal_of(service)
    resumed = run_short("resume", "latest", "--quiet", cwd=service, env=swarm_environment(tmp))
    assert resumed.returncode == 0, resumed.stderr
    after = journal_of(service)
    assert after[: len(before)] == before
    finished = calls_of(after)
    assert len(set(finished)) == len(finished) and set(calls_of(before)) <= set(finished)
    turns = [(r["agent"], r["turn"]) for r in after if r["kind"] == "turn"]
    assert len(set(turns)) == len(turns)
    (note,) = [note for note in report_of(service / "reports")["run"]["notes"] if note.startswith("resumed: ")]
    assert f"{sum(r['kind'] == 'turn' for r in before)} turns" in note
    taken = [note for note in report_of(service / "reports")["run"]["notes"] if note.startswith("taken from the ")]
    assert bool(taken) == ("benchmark" in at)
    assert left_running(tmp) == []
    again = run_short("resume", "latest", cwd=service, env=swarm_environment(tmp))
    assert again.returncode == 2 and "came to its end" in again.stderr


def test_a_run_that_was_measured_whole_is_only_written_down(tmp_path: Path) -> None:
    service, tmp = write_service(tmp_path / "service", app=CLEAN), tmp_path / "tmp"
    with cutting(service, tmp, "--only", "performance", "--provider", "offline") as run:
        run.until(lambda event: event["event"] == "phase_started" and event["phase"] == "monitoring")
        run.process.kill()
        run.process.wait(timeout=40)
    before = journal_of(service)
    resumed = run_short("resume", "latest", "--quiet", cwd=service, env=swarm_environment(tmp))
    assert resumed.returncode == 0, resumed.stderr
    after = journal_of(service)[len(before) :]
    phases = [record["phase"] for record in after if record.get("event") == "PhaseStarted"]
    assert phases == ["monitoring", "report"]
    assert (service / "reports" / "latest" / "report.html").exists()
    assert report_of(service / "reports")["run"]["status"] == "complete"


def test_a_target_that_has_changed_is_refused_and_the_journal_kept(tmp_path: Path) -> None:
    service, tmp = write_service(tmp_path / "service", app=CLEAN), tmp_path / "tmp"
    with cutting(service, tmp, "--only", "performance", "--provider", "offline") as run:
        run.until(lambda event: event["event"] == "tool_finished")
        run.process.kill()
        run.process.wait(timeout=40)
    (service / "app.py").write_text(CLEAN.replace("/hook", "/hooks"))
    before = journal_of(service)
    resumed = run_short("resume", "latest", cwd=service, env=swarm_environment(tmp))
    assert resumed.returncode == 3
    assert "has changed since run" in resumed.stderr and "(app.py)" in resumed.stderr
    assert "start anew with: swarm run" in resumed.stderr
    assert journal_of(service)[: len(before)] == before


def test_words_that_mean_no_unfinished_run(cli: Cli, tmp_path: Path) -> None:
    said = cli("resume", "latest")
    assert said.code == 2 and "no run in reports to go on with; begin one with: swarm run" in said.err
    folder = tmp_path / "reports" / "20260101-000000-tiny-abcd"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text('{"kind": "turn"}\n')
    said = cli("resume", folder.name)
    assert said.code == 2 and "of another version of swarm" in said.err
    (folder / "journal.jsonl").write_text('{"kind": "event", "event": "RunFinished", "exit_code": 1}\n')
    said = cli("resume", str(folder))
    assert said.code == 2 and "came to its end; show it with: swarm report" in said.err

"""validate, explain, scan, doctor, runs, report: what they tell, and that they change nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from swarm.console.journal import FileJournal
from swarm.rules.registry import all_rules
from tests.cli.conftest import Cli
from tests.cli.tiny import AGENTS, write_service


def test_validate_tells_targets_and_swarms(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path)
    said = cli("validate")
    assert said.code == 0
    assert f"target tiny: {tmp_path}" in said.out
    assert "agents.yaml is valid" in said.out
    assert said.out.splitlines()[-1].startswith("next: swarm ")


def test_explain_lists_every_rule(cli: Cli) -> None:
    said = cli("explain")
    assert said.code == 0
    listed = {line.split()[1] for line in said.out.splitlines() if len(line.split()) > 4}
    assert {rule.id for rule in all_rules()} <= listed


@pytest.mark.parametrize("rule", [rule.id for rule in all_rules()])
def test_explain_every_rule(cli: Cli, rule: str) -> None:
    said = cli("explain", rule)
    assert said.code == 0
    assert said.out.startswith(f"{rule}: ")
    assert "\nBad:\n" in said.out
    assert not any(line != line.rstrip() for line in said.out.splitlines())


def test_scan_finds_and_tells(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path)
    said = cli("scan")
    assert said.code == 0
    assert "missing-timeout" in said.out and "app.py:13" in said.out
    assert said.out.splitlines()[-1] == "next: swarm run tiny"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agents.yaml", "app.py"]


def test_scan_needs_no_interpreter_of_the_target(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, agents=AGENTS.replace("path: .", "path: .\n    python: .venv/bin/python"))
    assert "missing-timeout" in cli("scan").out


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("python app.py --port 80", "holds {port}"),
        ("cd . && python app.py --port {port}", "needs a shell"),
        ("uvicornn app:app --port {port}", "the program 'uvicornn' is neither"),
    ],
)
def test_command_that_cannot_be_run_is_told_before_anything_starts(
    cli: Cli, tmp_path: Path, start: str, says: str
) -> None:
    write_service(tmp_path, agents=AGENTS.replace("python app.py --port {port}", start))
    said = cli("run", "--provider", "offline")
    assert said.code == 3 and says in said.err and len(said.err.splitlines()) == 1 and "found [" not in said.out


def test_scan_as_json(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path)
    said = cli("scan", "--json", "--fail-on", "severity:high")
    assert said.code == 1
    findings = json.loads(said.out)
    assert {"id", "rule", "severity", "file", "line", "title"} <= set(findings[0])


def test_scan_fails_on_what_is_asked_alone(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path)
    said = cli("scan", "--fail-on", "severity:high")
    assert said.code == 1
    assert "fails: " in said.out and "of high or above" in said.out
    assert cli("scan", "--fail-on", "severity:critical").code == 0


def test_scan_of_a_clean_file_and_one_that_is_no_python(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path, app="x = 1\n", broken__py="def (:\n")
    said = cli("scan")
    assert said.code == 0
    assert "not analysed: broken.py" in said.out
    assert "no findings" in said.out


def test_doctor_is_well(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path)
    said = cli("doctor")
    assert said.code == 0
    assert "ok       target tiny" in said.out
    assert "all is well" in said.out
    assert said.out.splitlines()[-1] == "next: swarm run tiny"
    assert not (tmp_path / "reports").exists()


def test_doctor_tries_what_a_run_needs(cli: Cli, tmp_path: Path) -> None:
    write_service(tmp_path)
    said = cli("doctor").out
    assert "ok       target tiny: starts: it answers after" in said
    assert "ok       target tiny: baseline can be measured: POST /hook answers 200 in" in said
    assert "ok       target tiny: upstreams answer: calls answered: stock 3" in said


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("python app.py", "python nothing.py", "missing  target tiny: starts: "),
        (
            'sku: "{{int:1:50}}"',
            'other: "x"',
            "tiny: baseline can be measured: POST /hook answers 500",
        ),
        ('path: "/stock/{sku}"', 'path: "/else"', "missing  target tiny: upstreams answer: nobody plays GET stock"),
    ],
)
def test_doctor_tells_what_would_end_a_run(cli: Cli, tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in AGENTS
    write_service(tmp_path, agents=AGENTS.replace(old, new))
    said = cli("doctor")
    assert said.code == 3
    assert told in said.out
    assert "targets.tiny" in said.out


def test_doctor_names_what_is_missing_with_its_remedy(cli: Cli, tmp_path: Path) -> None:
    write_service(
        tmp_path, agents=AGENTS.replace("path: .", "path: .\n    python: /nowhere/python"), reports="a file"
    )
    said = cli("doctor")
    assert said.code == 3
    assert "missing  target tiny" in said.out and "/nowhere/python" in said.out
    assert "missing  reports" in said.out and "--out" in said.out
    assert "2 of " in said.out
    assert said.out.splitlines()[-1] == "next: swarm doctor"


def test_doctor_without_a_config(cli: Cli) -> None:
    said = cli("doctor")
    assert said.code == 3
    assert "missing  config: no agents.yaml" in said.out


def test_runs_and_none(cli: Cli, applicable: Path) -> None:
    assert "no runs in elsewhere" in cli("runs", "--out", "elsewhere").out
    broken = applicable / "reports" / "20250101-000000-tiny-0000"
    broken.mkdir()
    (broken / "report.json").write_text("{", encoding="utf-8")
    said = cli("runs")
    assert said.code == 0
    first, second, *_ = said.out.splitlines()
    assert first.startswith("20260101-000000-tiny-abcd") and "3 accepted" in first and "1 rejected" in first
    assert second.startswith("20250101-000000-tiny-0000") and "cannot be read" in second


def test_runs_names_those_that_were_cut_off_and_how_to_go_on(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "reports"
    journal = FileJournal(out / "20260101-000000-tiny-0001", lambda text: text)
    FileJournal(out / "20260102-000000-tiny-0002", lambda text: text).close()
    killed, running = cli("runs").out.splitlines()
    assert killed.startswith("20260102") and killed.endswith("swarm resume 20260102-000000-tiny-0002")
    assert running.startswith("20260101") and running.endswith("running")
    journal.close()


@pytest.mark.parametrize(
    ("name", "sign"),
    [("md", "# "), ("html", "<!doctype html"), ("sarif", '"version": "2.1.0"'), ("json", '"schema": 1'),
     ("junit", "<testsuite"), ("gitlab", "[")],
)  # fmt: skip
def test_report_in_every_format(cli: Cli, applicable: Path, name: str, sign: str) -> None:
    said = cli("report", "latest", "--format", name)
    assert said.code == 0
    assert sign.lower() in said.out.lower()
    file = applicable / f"again.{name}"
    told = cli("report", "-f", name, "-o", str(file))
    assert file.read_text(encoding="utf-8") == said.out
    assert told.out.splitlines()[-1].startswith("next: swarm apply")


def test_report_is_what_the_run_wrote(cli: Cli, applicable: Path) -> None:
    (folder,) = [path for path in (applicable / "reports").iterdir() if not path.is_symlink()]
    assert cli("report", str(folder), "-f", "json").out == (folder / "report.json").read_text(encoding="utf-8")


def test_report_mistakes(cli: Cli, applicable: Path) -> None:
    assert cli("report", "-f", "docx").code == 2
    said = cli("report", "-o", "nowhere/report.md")
    assert said.code == 2 and "cannot write nowhere/report.md" in said.err


def test_two_runs_stand_side_by_side(cli: Cli, applicable: Path) -> None:
    run = "20260101-000000-tiny-abcd"
    shutil.copytree(applicable / "reports" / run, applicable / "reports" / "20260102-000000-tiny-beef")
    said = cli("compare", run, "latest")
    assert said.code == 0
    assert f"{run}" in said.out and "patches accepted · rejected" in said.out
    assert said.out.splitlines()[-1].startswith("next: swarm report ")
    assert cli("compare", run, "latest", "--format", "md").out.startswith("# ")
    refused = cli("compare", "latest", "latest")
    assert (refused.code, "both words name" in refused.err) == (2, True)
    assert cli("compare", run, "latest", "--format", "csv").code == 2


def test_report_draws_anew_what_the_runs_have_in_common(cli: Cli, applicable: Path) -> None:
    (first,) = [path for path in (applicable / "reports").iterdir() if not path.is_symlink()]
    assert cli("report", str(first)).code == 0
    assert not (first / "patterns-across-runs.md").exists()  # one run has nothing in common with itself
    second = applicable / "reports" / "20990102-000000-tiny-beef"
    shutil.copytree(first, second)
    told = cli("report", str(second), "-o", "report.md")
    assert told.code == 0 and "patterns-across-runs.md" in told.out
    assert (second / "patterns-across-runs.md").read_text(encoding="utf-8").startswith("# 2 runs of ")
    assert "and 1 before it suggest" in (second / "agents.reusable.yaml").read_text(encoding="utf-8")
    shutil.rmtree(first)
    assert cli("report", str(second)).code == 0

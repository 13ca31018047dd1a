"""`swarm run` on a sync Flask service that nobody tuned swarm for, for real, from the program to `git am`."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.tiny import left_running, run_program, scratch_left, swarm_environment

pytestmark = pytest.mark.alone
DESK = Path(__file__).parents[1] / "targets" / "parcel_desk"
SPECIALISTS = {
    "courier_latency_tuner": "performance",
    "parcel_security_reviewer": "security",
    "neighbour_call_keeper": "api",
    "desk_lookout": "monitoring",
}


def fingerprint(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Every file of a tree with its content, its time of change and its mode."""
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[str(path.relative_to(folder))] = (content, stat.st_mtime_ns, stat.st_mode)
    return found


def contents(folder: Path) -> dict[str, str]:
    """What a rollback must bring back: names and bytes; a `.git` and caches of the tests left out."""
    return {
        name: content
        for name, (content, _, _) in fingerprint(folder).items()
        if not name.startswith(".git") and "__pycache__" not in name and ".pytest_cache" not in name
    }


@dataclass(frozen=True)
class Done:
    """One run and what it left."""

    desk: Path
    folder: Path
    report: dict[str, Any]
    code: int
    out: str
    err: str
    before: dict[str, tuple[str, int, int]]
    after: dict[str, tuple[str, int, int]]
    env: dict[str, str]
    left: tuple[list[str], list[str]]

    @property
    def accepted(self) -> list[dict[str, Any]]:
        return [patch for patch in self.report["patches"] if patch["verdict"] == "accepted"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """A real run with a short load, shared by the tests of this module.

    A machine that was busy hides gains, and swarm rightly accepts none then: one more run is granted.
    """
    root = tmp_path_factory.mktemp("desk")
    desk = root / "desk"
    shutil.copytree(DESK, desk, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    agents = desk / "agents.yaml"
    agents.write_text(agents.read_text().replace("load: {rate: 10, seconds: 6}", "load: {rate: 10, seconds: 2}"))
    assert "seconds: 2}" in agents.read_text()
    env = swarm_environment(root / "tmp")
    before = fingerprint(desk)
    for _ in range(2):
        run = run_program("run", "--out", str(root / "out"), cwd=desk, env=env, timeout_s=240)
        after = fingerprint(desk)
        assert (root / "out" / "latest").exists(), f"exit {run.returncode}: {run.stderr}\n{run.stdout[-3000:]}"
        folder = (root / "out" / "latest").resolve()
        report = json.loads((folder / "report.json").read_text())
        if any(p["verdict"] == "accepted" and p["effect"] for p in report["patches"]):
            break
    left = (left_running(root / "tmp"), scratch_left(root / "tmp"))
    yield Done(desk, folder, report, run.returncode, run.stdout, run.stderr, before, after, env, left)


def test_run_is_done_and_whole(done: Done) -> None:
    assert (done.code, done.err) == (0, "")
    assert done.report["run"]["status"] == "complete"
    assert done.report["run"]["provider"].startswith("offline")
    assert done.out.splitlines()[0].split("  ", 1)[1].startswith(f"run {done.report['run']['id']}")


def test_every_specialist_has_an_accepted_patch(done: Done) -> None:
    findings = {finding["id"]: finding for finding in done.report["findings"]}
    mended = [findings[one] for patch in done.accepted for one in patch["findings"]]
    assert {finding["agent"] for finding in mended} >= set(SPECIALISTS)
    assert {finding["category"] for finding in mended} >= set(SPECIALISTS.values())
    assert all(findings[one]["status"] == "patched" for patch in done.accepted for one in patch["findings"])


def test_accepted_patches_passed_every_gate_and_rejected_ones_say_why(done: Done) -> None:
    for patch in done.accepted:
        gates = {gate["name"]: gate["passed"] for gate in patch["gates"]}
        assert {"applies", "parses", "tests", "starts", "replay"} <= set(gates)
        assert all(passed is not False for passed in gates.values())
        assert gates["tests"] is True and gates["replay"] is True
    for patch in done.report["patches"]:
        if patch["verdict"] == "rejected":
            assert patch["reason"]
            assert (done.folder / "rejected" / f"{patch['id']}.patch").exists()


def test_it_got_faster_and_broke_nothing(done: Done) -> None:
    latency = done.report["benchmarks"][0]
    assert latency["before"]["n"] > 0 and latency["after"]["n"] > 0
    assert latency["after"]["p50"] < 0.95 * latency["before"]["p50"]
    verification = done.report["verification"]
    assert verification["tests_before"] == verification["tests_after"]
    assert verification["tests_after"]["failed"] == 0 and verification["tests_after"]["passed"] > 0
    assert verification["replay"]["requests"] > 0
    assert verification["replay"]["differences"] == []


SCHEMA_1 = {
    "run": {"id", "started", "finished", "duration_s", "swarm", "target", "pattern", "provider", "status", "notes"},
    "agents": {"name", "role", "model", "provider", "status", "started_s", "finished_s", "turns", "tool_calls",
               "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "peak_context_tokens",
               "tokens_are", "cost_usd", "findings"},
    "findings": {"id", "agent", "rule", "category", "severity", "confidence", "cwe", "title", "file", "line",
                 "end_line", "evidence", "recommendation", "status", "patch"},
    "patches": {"id", "file", "title", "rule", "findings", "author", "verdict", "reason", "files", "gates", "effect"},
    "benchmarks": {"name", "unit", "before", "after", "ratio"},
    "targets": {"expression", "specialist", "before", "after", "met", "reason"},
    "capacity": {"before_rps", "after_rps", "criterion"},
    "errors": {"before", "after"},
    "resources": {"before", "after"},
    "scores": {"security", "compliance"},
    "efficiency": {"context", "time"},
    "verification": {"tests_before", "tests_after", "replay"},
    "monitoring": {"files", "validated_by"},
}  # fmt: skip
DEEPER = {
    ("efficiency", "context"): {"swarm_peak_tokens", "swarm_total_tokens", "generalist_peak_tokens",
                                "generalist_total_tokens", "saving", "method"},
    ("efficiency", "time"): {"wall_s", "sum_of_agents_s", "critical_path_s", "saving"},
    ("scores", "security"): {"before", "after", "checks"},
    ("resources", "before"): {"rss_mb", "cpu_percent"},
    ("resources", "after"): {"rss_mb", "cpu_percent"},
    ("verification", "tests_before"): {"passed", "failed", "skipped"},
    ("verification", "replay"): {"requests", "identical", "differences"},
}  # fmt: skip


def test_report_has_every_field_of_schema_1(done: Done) -> None:
    assert done.report["schema"] == 1
    for name, fields in SCHEMA_1.items():
        items = done.report[name] if isinstance(done.report[name], list) else [done.report[name]]
        assert items, name
        for item in items:
            assert fields <= set(item), f"{name} lacks {fields - set(item)}"
    for (outer, inner), fields in DEEPER.items():
        assert fields <= set(done.report[outer][inner]), f"{outer}.{inner}"
    latency = done.report["benchmarks"][0]
    assert {"n", "mean", "p50", "p90", "p95", "p99", "max"} <= set(latency["before"])
    assert {"p50", "p95", "ci95"} <= set(latency["ratio"])
    for outcome in done.report["targets"]:
        assert outcome["met"] is not None or outcome["reason"].startswith("not measured, because")


def test_specialists_worked_at_the_same_time(done: Done) -> None:
    spans = {a["name"]: (a["started_s"], a["finished_s"]) for a in done.report["agents"] if a["role"] == "specialist"}
    assert set(spans) == set(SPECIALISTS)
    assert max(start for start, _ in spans.values()) < min(end for _, end in spans.values())


def test_run_folder_holds_every_file_of_the_contract(done: Done) -> None:
    for name in ("report.json", "report.md", "report.html", "findings.sarif", "patterns.md", "agents.reusable.yaml",
                 "benchmarks.json", "patches/series", "combined.patch", "monitoring/prometheus-rules.yml",
                 "monitoring/grafana-dashboard.json", "monitoring/alertmanager.yml", "journal.jsonl"):  # fmt: skip
        assert (done.folder / name).stat().st_size > 0, name
    series = (done.folder / "patches" / "series").read_text().split()
    assert series == [f"{patch['id']}.patch" for patch in done.accepted]
    for agent in SPECIALISTS:
        assert (done.folder / "transcripts" / f"{agent}.jsonl").stat().st_size > 0


def test_no_secret_and_no_path_of_the_machine_in_the_folder(done: Done) -> None:
    for path in done.folder.rglob("*"):
        if path.is_file() and "patch" not in path.name:
            text = path.read_text(encoding="utf-8")
            assert "courier-test-secret" not in text, path.name
            if path.name not in ("journal.jsonl",) and path.parent.name != "transcripts":
                assert str(done.env["TMPDIR"]) not in text, path.name


def test_user_tree_was_not_written_to(done: Done) -> None:
    assert done.before == done.after


def test_nothing_is_left(done: Done) -> None:
    """No process, so no port either, and no scratch folder."""
    assert done.left == ([], [])


OWN_TESTS = """
import os, sys
import flask, pytest, requests  # once: the tests of each tree run in a fork

for folder in sys.argv[1:]:
    child = os.fork()
    if not child:
        os.chdir(folder)
        code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "tests"])
        sys.stdout.flush()
        os._exit(code)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"the tests fail in {folder}")
"""


def run_own_tests(folders: Sequence[Path], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The service's own tests on trees of it, until they fail in one."""
    return subprocess.run(
        [sys.executable, "-c", OWN_TESTS, *map(str, folders)],
        env={**env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_patches_go_in_one_by_one_and_the_tests_pass_after_each(done: Done, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(done.desk, clone)
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "as it was"]):
        subprocess.run([*git, *words], cwd=clone, check=True, capture_output=True)
    for patch in done.accepted:
        file = done.folder / patch["file"]
        am = subprocess.run([*git, "am", "-q", str(file)], cwd=clone, capture_output=True, text=True, check=False)
        assert am.returncode == 0, f"{patch['id']}: {am.stderr}"
        shutil.copytree(clone, tmp_path / patch["id"], ignore=shutil.ignore_patterns(".git"))
    trees = [tmp_path / patch["id"] for patch in done.accepted]
    with ThreadPoolExecutor(2) as pool:
        for tests in pool.map(lambda some: run_own_tests(some, done.env), (trees[::2], trees[1::2])):
            assert tests.returncode == 0, tests.stdout[-2000:] + tests.stderr
            assert tests.stdout.count(" passed") == len(tests.args) - 3
    log = subprocess.run([*git, "log", "--format=%s"], cwd=clone, capture_output=True, text=True, check=True)
    assert len(log.stdout.splitlines()) == len(done.accepted) + 1
    status = subprocess.run([*git, "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_apply_and_rollback_bring_back_the_same_bytes(done: Done) -> None:
    before = contents(done.desk)
    words = ["apply", str(done.folder)]
    check = run_program(*words, "--check", cwd=done.desk, env=done.env)
    assert check.returncode == 0, check.stderr
    assert contents(done.desk) == before
    applied = run_program(*words, cwd=done.desk, env=done.env)
    assert applied.returncode == 0, applied.stderr
    assert f"{len(done.accepted)} patches applied" in applied.stdout
    touched = {name for patch in done.accepted for name in patch["files"]}
    after = contents(done.desk)
    assert {name for name in after if after[name] != before.get(name)} == touched
    back = run_program("rollback", str(done.folder), cwd=done.desk, env=done.env)
    assert back.returncode == 0, back.stderr
    assert contents(done.desk) == before


def test_next_commands_of_the_run_work_as_printed(done: Done) -> None:
    lines = [line.strip() for line in done.out.partition("\nNext:\n")[2].splitlines()]
    checks = [line.split("   ")[0] for line in lines if "--check" in line]
    assert len(checks) == 1
    typed = run_program(*checks[0].split()[1:], cwd=done.desk, env=done.env)
    assert typed.returncode == 0, typed.stderr

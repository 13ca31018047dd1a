"""bandit as a library: what comes through, what is left out, and how it joins our own findings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from swarm.analysis.bandit_scan import bandit_findings, join
from swarm.core.findings import Finding

CODE = """import pickle
import subprocess


def load(data, name):
    assert data
    subprocess.call("ls " + name, shell=True)
    try:
        return pickle.loads(data)
    except Exception:
        pass


def find(conn, name):
    return conn.execute(f"SELECT * FROM people WHERE name = '{name}'")


def main(app):
    app.run(host="0.0.0.0")
"""


@pytest.fixture
def found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> tuple[Finding, ...]:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "tests").mkdir()
    for name in ("pkg/app.py", "tests/test_app.py", "pkg/broken.py"):
        (tmp_path / name).write_text("def (" if "broken" in name else CODE)
    findings = bandit_findings(tmp_path, ["pkg/app.py", "tests/test_app.py", "pkg/broken.py", "README.md"])
    shown = capfd.readouterr()
    assert shown.out == "" and shown.err == ""
    return findings


def test_holes_come_through_with_place_and_cwe(found: tuple[Finding, ...]) -> None:
    rules = {finding.rule: finding for finding in found}
    assert {"bandit-B602", "bandit-B301", "bandit-B608"} <= set(rules)
    assert {finding.file for finding in found} == {"pkg/app.py"}
    assert rules["bandit-B602"].line == 7
    assert rules["bandit-B608"].cwe == ("CWE-89",)
    assert rules["bandit-B608"].sources == ("bandit B608",)


def test_noise_is_left_out(found: tuple[Finding, ...]) -> None:
    rules = {finding.rule for finding in found}
    assert not rules & {"bandit-B101", "bandit-B104", "bandit-B110"}
    assert not any(rule.startswith("bandit-B4") for rule in rules)


def test_nothing_to_read_is_nothing_found(tmp_path: Path) -> None:
    assert bandit_findings(tmp_path, ["tests/test_x.py", "a.txt"]) == ()


def test_own_rule_wins_and_names_its_source(found: tuple[Finding, ...]) -> None:
    theirs = next(finding for finding in found if finding.rule == "bandit-B608")
    own = replace(theirs, rule="sql-from-strings", sources=("OWASP",), severity="critical")
    joined = join([own], found)
    assert len(joined) == len(found)
    assert joined[0].rule == "sql-from-strings"
    assert joined[0].sources == ("OWASP", "bandit B608")
    assert "bandit-B608" not in {finding.rule for finding in joined}


def test_same_line_in_another_file_or_of_another_kind_stays(found: tuple[Finding, ...]) -> None:
    theirs = next(finding for finding in found if finding.rule == "bandit-B608")
    elsewhere = replace(theirs, rule="sql-from-strings", file="pkg/other.py")
    other_kind = replace(theirs, rule="no-metrics", cwe=())
    assert len(join([elsewhere, other_kind], [theirs])) == 3


def test_what_is_reported_by_a_name_alone_is_low_and_has_words(tmp_path: Path) -> None:
    (tmp_path / "state.py").write_text("import shelve\n\nwith shelve.open('threads') as kept:\n    kept['a'] = 1\n")
    (found,) = bandit_findings(tmp_path, ["state.py"])
    assert (found.rule, found.severity) == ("bandit-B301", "low")
    assert found.title.startswith("Pickle and modules that wrap it can be unsafe")

"""The registry and the scan: what a rule must have, order, duplicates, deliberate choices."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.core.findings import Finding, severity_rank
from swarm.core.plugins import BrokenPlugin
from swarm.rules.registry import all_rules, check, rule_by_id
from swarm.rules.rule import Example, Rule
from swarm.rules.scan import scan

SLOW = """import requests
from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook():
    requests.get("https://a.example")
    requests.post("https://b.example")  # fire and forget: deliberate
    return ""
"""


def index_of(tmp_path: Path, text: str) -> Index:
    (tmp_path / "app.py").write_text(text, encoding="utf-8")
    return build_index(SourceTree.load(tmp_path))


def test_every_specialist_has_four_rules_that_mend() -> None:
    mending: dict[str, int] = {}
    for rule in all_rules():
        if any(example.after is not None for example in rule.bad):
            mending[rule.category] = mending.get(rule.category, 0) + 1
    assert mending["performance"] >= 4
    assert mending["api"] >= 4


def test_rules_are_found_by_id() -> None:
    rule = rule_by_id("n-plus-one")
    assert rule is not None
    assert rule.id == "n-plus-one"
    assert rule_by_id("no-such-rule") is None


def test_a_rule_without_documentation_or_with_a_taken_id_is_refused() -> None:
    class Silent(Rule):
        id = "silent"
        category = "api"
        severity = "low"
        title = "Nothing"
        bad = (Example("x = 1\n", None),)
        good = ("y = 1\n",)

        def find(self, index: Index) -> Iterable[Finding]:
            return ()

    Silent.__doc__ = None
    with pytest.raises(BrokenPlugin, match="docstring"):
        check(Silent, {})
    Silent.__doc__ = "Said."
    with pytest.raises(BrokenPlugin, match="taken by elsewhere"):
        check(Silent, {"silent": "elsewhere"})
    Silent.good = ()
    with pytest.raises(BrokenPlugin, match="`good`"):
        check(Silent, {})


def test_a_scan_is_sorted_and_names_each_problem_once(tmp_path: Path) -> None:
    index = index_of(tmp_path, SLOW)
    found = scan(index, ("performance", "api"))
    ranks = [severity_rank(finding.severity) for finding in found]
    assert ranks == sorted(ranks)
    assert len({finding.id for finding in found}) == len(found)
    assert {finding.category for finding in found} == {"performance", "api"}
    assert scan(index, ("compliance",)) == ()


def test_a_choice_called_deliberate_is_info_and_not_mended(tmp_path: Path) -> None:
    found = [f for f in scan(index_of(tmp_path, SLOW), ("api",)) if f.rule == "missing-timeout"]
    assert [(f.line, f.severity, f.mendable) for f in found] == [(9, "high", True), (10, "info", False)]


def test_a_finding_keeps_its_id_when_lines_move(tmp_path: Path) -> None:
    before = {f.id for f in scan(index_of(tmp_path, SLOW))}
    assert before == {f.id for f in scan(index_of(tmp_path, SLOW.replace("\n\n\n", "\n\n# more\n\n\n", 1)))}

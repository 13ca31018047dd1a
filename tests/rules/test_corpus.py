"""Handlers with a hole and their twins without: what the rules that follow data find, and what they falsely report.

A handler counts as found where a finding of its kind lies in it, or has a flow that goes through it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.analysis.index import Function, Index, build_index
from swarm.analysis.source import SourceTree
from swarm.core.findings import Finding
from swarm.rules.registry import all_rules

CORPUS = Path(__file__).parents[1] / "corpus"
RULES = {
    "sql": "sql-from-strings", "run": "command-injection", "code": "code-injection", "path": "path-traversal",
    "redirect": "open-redirect", "fetch": "request-forgery", "page": "cross-site-scripting",
    "template": "template-injection", "header": "header-injection", "log": "log-injection",
    "xpath": "xpath-injection", "ldap": "ldap-injection", "xml": "external-entities",
    "load": "unsafe-deserialisation", "trust": "trust-boundary", "random": "weak-random",
}  # fmt: skip
NAME = re.compile(r"(hole|twin)_([a-z]+)_\w+$")


@pytest.fixture(scope="module")
def index() -> Index:
    return build_index(SourceTree.load(CORPUS))


@pytest.fixture(scope="module")
def findings(index: Index) -> list[Finding]:
    wanted = set(RULES.values())
    return [f for rule in all_rules() if rule.id in wanted for f in rule.find(index)]


def handlers(index: Index) -> Iterator[tuple[Function, bool, str]]:
    for function in index.functions:
        matched = NAME.match(function.name)
        if matched is not None:
            yield function, matched[1] == "hole", RULES[matched[2]]


def goes_through(finding: Finding, function: Function) -> bool:
    first, last = function.node.lineno, function.node.end_lineno or 0
    places = [(finding.file, finding.line), *((step.file, step.line) for step in finding.flow)]
    return any(file == function.module.path and first <= line <= last for file, line in places)


def test_of_the_holes_most_are_found_and_of_the_twins_few_reported(index: Index, findings: list[Finding]) -> None:
    every = list(handlers(index))
    assert len(every) >= 150
    assert len({function.module.path for function, _, _ in every}) == 3
    hit = {f for f, _, rule in every if any(x.rule == rule and goes_through(x, f) for x in findings)}
    holes = [function for function, is_hole, _ in every if is_hole]
    twins = [function for function, is_hole, _ in every if not is_hole]
    missed = [f"{f.module.path}:{f.name}" for f in holes if f not in hit]
    false = [f"{f.module.path}:{f.name}" for f in twins if f in hit]
    assert len(missed) <= 0.05 * len(holes), missed
    assert len(false) <= 0.03 * len(twins), false


def test_a_twin_of_one_kind_has_no_hole_of_another(index: Index, findings: list[Finding]) -> None:
    twins = [function for function, is_hole, _ in handlers(index) if not is_hole]
    severe = [f for f in findings if f.severity in ("critical", "high")]
    wrong = {f"{f.name}: {x.rule} at {x.line}" for f in twins for x in severe if goes_through(x, f)}
    assert len(wrong) <= 0.03 * len(twins), sorted(wrong)


def test_flows_begin_where_data_comes_in_and_end_where_it_does_harm(findings: list[Finding]) -> None:
    followed = [finding for finding in findings if finding.flow]
    assert len(followed) > 60
    for finding in followed:
        assert (finding.flow[-1].file, finding.flow[-1].line) == (finding.file, finding.line)
        assert all(step.line > 0 and step.text for step in finding.flow)

"""Every rule's examples: the bad ones are found and mended to exactly the given text, the good ones give nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.core.patches import FileChange
from swarm.rules.registry import all_rules
from swarm.rules.rule import Example, Rule

BAD = [(rule, example) for rule in all_rules() for example in rule.bad]
GOOD = [(rule, text) for rule in all_rules() for text in rule.good]


def index_of(tmp_path: Path, text: str) -> Index:
    (tmp_path / "app.py").write_text(text, encoding="utf-8")
    return build_index(SourceTree.load(tmp_path))


def label(value: object) -> str | None:
    return value.id if isinstance(value, Rule) else None


@pytest.mark.parametrize(("rule", "example"), BAD, ids=label)
def test_a_bad_example_is_found_and_mended(rule: Rule, example: Example, tmp_path: Path) -> None:
    index = index_of(tmp_path, example.before)
    findings = list(rule.find(index))
    assert findings, "the rule does not find its own example"
    assert {finding.rule for finding in findings} == {rule.id}
    mendable = [finding for finding in findings if finding.mendable]
    if example.after is None:
        assert not mendable, "an example with advice only is called mendable"
        return
    assert mendable, "an example with a mend is not called mendable"
    mend = rule.mend(index, mendable)
    assert mend is not None
    changes = {change.path: change for change in mend.changes}
    assert changes["app.py"].after == example.after
    for change in mend.changes:
        if change.path.endswith(".py"):
            compile(change.after or "", change.path, "exec")
    left = build_index(index.tree.with_changes(mend.changes))
    assert not [finding for finding in rule.find(left) if finding.mendable]


@pytest.mark.parametrize(("rule", "text"), GOOD, ids=label)
def test_a_good_example_gives_nothing(rule: Rule, text: str, tmp_path: Path) -> None:
    compile(text, "app.py", "exec")
    assert [finding.title for finding in rule.find(index_of(tmp_path, text))] == []


@pytest.mark.parametrize("rule", all_rules(), ids=label)
def test_a_rule_leaves_broken_and_empty_files_alone(rule: Rule, tmp_path: Path) -> None:
    index = index_of(tmp_path, "")
    assert list(rule.find(index)) == []
    broken = index.tree.with_changes([FileChange("other.py", None, "def broken(:\n")])
    assert broken.unparsed
    assert list(rule.find(build_index(broken))) == []

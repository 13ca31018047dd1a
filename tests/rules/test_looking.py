"""Looking with a rule: once over each tree, and an error of the rule's own ends its search alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.core.findings import Finding
from swarm.rules.looking import blind_rules, found_by
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.scan import scan
from swarm.scores.credit import Seen, credit_of
from swarm.scores.registry import CHECKS
from swarm.verify.fixes import Fix, NotMended, build_patch


def index_of(text: str, folder: Path) -> Index:
    (folder / "app.py").write_text(text, encoding="utf-8")
    return build_index(SourceTree.load(folder))


class Breaking(Rule):
    """Finds one thing, then breaks down."""

    id = "breaking"
    category = "performance"
    severity = "low"
    title = "A thing"
    bad = (Example("", ""),)
    good = (Example("", ""),)
    times = 0

    def find(self, index: Index) -> Iterable[Finding]:
        Breaking.times += 1
        module = index.tree.modules["app.py"]
        yield self.finding(
            module, module.tree.body[0], evidence="e", recommendation="r", anchor="a", mendable=True
        )  # fmt: skip
        raise ValueError("cannot read this")

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        raise KeyError("nor write it")


def test_what_was_found_before_a_rule_broke_down_is_kept_and_the_rule_named(tmp_path: Path) -> None:
    index, rule = index_of("x = 1\n", tmp_path), Breaking()
    assert [finding.anchor for finding in found_by(rule, index)] == ["a"]
    assert dict(blind_rules(index)) == {"breaking": "ValueError: cannot read this"}
    times = Breaking.times
    found_by(Breaking(), index)
    assert Breaking.times == times, "it looks at a tree once"


def test_a_mend_that_breaks_down_gives_no_patch(tmp_path: Path) -> None:
    built = build_patch(
        Fix("breaking", "performance", "app.py", (), "a tester"),
        index_of("x = 1\n", tmp_path),
        {"breaking": Breaking()},
        1,
    )
    assert isinstance(built, NotMended)
    assert "KeyError" in built.reason


def test_code_that_cannot_be_written_out_ends_no_scan(tmp_path: Path) -> None:
    index = index_of(
        "def told(steps):\n"
        "    text = ''\n"
        "    for step in steps:\n"
        "        text = 'step\\n' f\"{step or '\u0627\u200c\u0628'}\\n\" + text\n"
        "    return text\n",
        tmp_path,
    )
    scan(index)
    assert dict(blind_rules(index)) == {}


def test_a_check_whose_rule_broke_down_earns_nothing() -> None:
    check = next(check for check in CHECKS if check.rules and not check.probes)
    assert (credit_of(check, Seen((), ())).value or 0.0) > 0
    blind = credit_of(check, Seen((), (), blind=check.rules[:1]))
    assert (blind.value, blind.state) == (0.0, "not run")

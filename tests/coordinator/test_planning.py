"""Rules that shall only advise give no fixes, and it is told."""

from __future__ import annotations

from swarm.coordinator.planning import unknown_rules, without
from swarm.verify.fixes import Fix


def test_rules_that_only_advise_are_left_out_and_told_once() -> None:
    fixes = [Fix(rule, "api", file, ("f",), "a") for rule in ("one", "two") for file in ("x.py", "y.py")]
    kept, notes = without(fixes, ["two", "three"])
    assert [fix.key for fix in kept] == ["one:x.py", "one:y.py"]
    assert notes == ("two is not mended: agents.yaml has it under advice_only",)
    assert without(fixes, []) == (tuple(fixes), ())


def test_a_name_that_is_no_rule_is_told() -> None:
    (note,) = unknown_rules(["missing-timeot", "missing-timeout"], {"missing-timeout"})
    assert note == "advice_only names 'missing-timeot', which is no rule; did you mean 'missing-timeout'?"

"""What several runs have in common: nothing is told of a single one, and advice needs more than one case."""

from __future__ import annotations

import re
from dataclasses import replace

from swarm.core.patches import Rejected
from swarm.core.report import Report
from swarm.reporting.across_runs import render
from swarm.reporting.lessons import earned, tally
from tests.reporting.hostile import hostile_report
from tests.reporting.sample import sample_report


def runs() -> list[Report]:
    first = sample_report()
    later = replace(
        first,
        run=replace(first.run, id="20260102-000000-other-0001", duration_s=first.run.duration_s * 2),
        patches=tuple(replace(one, verdict=Rejected("tests", "red", ())) for one in first.patches),
    )
    return [first, later]


def test_one_run_has_nothing_in_common_with_itself() -> None:
    assert render([sample_report()]) == "" == render([])


def test_rules_agents_and_trends_are_summed_over_the_runs() -> None:
    both = runs()
    won, lost = tally(both)
    alone, _ = tally(both[:1])
    assert won == alone and sum(won.values()) > 0
    assert sum(gates["tests"] for gates in lost.values()) >= len(both[1].patches)
    per_agent = earned(both)
    assert {one.runs for one in per_agent.values()} == {2}
    assert sum(one.patches for one in per_agent.values()) > 0
    text = render(both)
    assert "time +100" in text
    for rule in won:
        assert f"| `{rule}` | {won[rule]} | {sum(lost[rule].values())} |" in text


def test_advice_needs_more_than_one_case() -> None:
    first, later = runs()
    bad = replace(first, patches=later.patches)
    rule = later.patches[0].patch.rule
    assert f"No patch of `{rule}` was accepted" in render([bad, later])
    assert f"No patch of `{rule}` was accepted" not in render([first, later])
    assert "brought no accepted patch in 2 runs" in render([bad, later])


def test_hostile_words_stay_words() -> None:
    text = render([hostile_report(), hostile_report()])
    outside_code = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)
    assert "<script" not in outside_code and "<img" not in outside_code

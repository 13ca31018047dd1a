"""Two runs side by side: figures of both, what only one has, and what must not be compared."""

from __future__ import annotations

from dataclasses import replace

from swarm.core.report import Report, TimeEfficiency
from swarm.reporting.side_by_side import Line, SideBySide, render_markdown, side_by_side
from tests.reporting.sample import hostile_report, sample_report


def line(both: SideBySide, label: str) -> Line:
    (found,) = [one for part in both.parts for one in part.lines if one.label == label]
    return found


def test_figures_stand_beside_each_other_with_their_ratio() -> None:
    first = sample_report()
    second = replace(
        first,
        run=replace(first.run, id="20260102-000000-other-0001", pattern="sequential"),
        time=TimeEfficiency(20.0, 20.0, 20.0, 0.0),
        agents=tuple(replace(a, input_tokens=2 * a.input_tokens, cost_usd=None) for a in first.agents),
    )
    both = side_by_side(first, second)
    assert (line(both, "pattern").first, line(both, "pattern").second) == (first.run.pattern, "sequential")
    assert line(both, "specialists, wall time").second == "20.0 s"
    assert line(both, "speed-up over one after the other").second == "1.0×"
    assert line(both, "input, with what caches held").change.startswith("+")
    assert line(both, "cost").second == "–" and line(both, "cost").change == ""
    assert both.only_first == both.only_second == ()


def test_what_only_one_run_found_or_mended_is_listed() -> None:
    first = sample_report()
    second = replace(first, findings=first.findings[1:], patches=())
    both = side_by_side(first, second)
    gone = first.findings[0]
    assert any(text.startswith(f"finding {gone.rule} ") for text in both.only_first)
    assert any(text.startswith("patch ") for text in both.only_first)
    assert both.only_second == ()


def test_it_says_what_must_not_be_compared() -> None:
    first = sample_report()
    other = replace(
        first,
        run=replace(first.run, target="another", status="degraded"),
        security_score=replace(first.security_score, registry="0123"),
    )
    said = " ".join(side_by_side(first, other).cautions)
    assert "Different targets" in said and "is degraded" in said
    assert "The security scores are of different lists" in said and "compliance" not in said
    assert "commit" in " ".join(
        side_by_side(first, replace(first, run=replace(first.run, target_commit="abc"))).cautions
    )


def test_runs_that_measured_nothing_and_hostile_words_are_shown() -> None:
    first = sample_report()
    text = render_markdown(side_by_side(Report(run=first.run), hostile_report()))
    assert "| capacity | – |" in text
    assert "<script" not in text

"""Two runs side by side: figures of both, what only one has, and what must not be compared."""

from __future__ import annotations

from dataclasses import replace

from swarm.core.efficiency import TimeEfficiency
from swarm.core.report import Report
from swarm.reporting.compared import Line
from swarm.reporting.side_by_side import SideBySide, render_markdown, side_by_side
from tests.reporting.hostile import hostile_report
from tests.reporting.sample import sample_report


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
    assert line(both, "cost").second == "cost unknown" and line(both, "cost").change == ""
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


def test_a_swarm_beside_a_generalist_tells_what_it_saved_and_what_it_cost_more() -> None:
    swarm = sample_report()
    one = replace(
        next(a for a in swarm.agents if a.role == "specialist"), name="generalist", peak_context_tokens=49_600,
        input_tokens=60_000, cache_read_tokens=0, cache_write_tokens=0, output_tokens=4_000,
    )  # fmt: skip
    single = replace(
        swarm,
        run=replace(swarm.run, id="20260102-000000-other-0001", pattern="single"),
        agents=(one,),
        time=TimeEfficiency(60.0, 60.0, 60.0, 0.0),
    )
    assert swarm.time.wall_s is not None
    for both in (side_by_side(swarm, single), side_by_side(single, swarm)):
        assert line(both, "largest context of an agent, tokens").change == "swarm: 75 % less"
        assert line(both, "tokens of all turns").change.startswith("swarm: ")
        assert line(both, "tokens of all turns").change.endswith("more")
        less = 100 * (1 - swarm.time.wall_s / 60)
        assert f"{less:.3g} % less" in line(both, "wall time until all was found").change
    assert line(side_by_side(swarm, single), "largest context of an agent, tokens").first == "12,400"
    assert not any(part.title.startswith("A swarm against") for part in side_by_side(swarm, swarm).parts)
    offline = replace(single, run=replace(single.run, provider="anthropic (asked for)"))
    assert any("tokens cannot be compared" in said for said in side_by_side(swarm, offline).cautions)

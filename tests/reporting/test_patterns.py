"""patterns.md: what a swarm saved, and why no more."""

from __future__ import annotations

from dataclasses import replace

from swarm.core.efficiency import ContextEfficiency, Makeup, SavingBounds, SavingMeans
from swarm.reporting.formats.json import render as to_json
from swarm.reporting.formats.patterns import render
from swarm.reporting.reading import read_report
from tests.reporting.sample import sample_report

BOUNDS = SavingBounds(4, 0.75, 0.61, 1_760, 2_760, 3_310, "performance_optimizer", 0.43, 2_634)
MEANS = SavingMeans(0.491, 0.18, 0.567)
MAKEUP = Makeup("performance_optimizer", 600, 2_100, 3_900, 500)
CONTEXT = ContextEfficiency(7_108, 58_541, 13_464, 35_772, 0.472, "counted so", -0.64, 16_427, BOUNDS, MEANS, MAKEUP)


def test_what_bounds_the_context_saved_is_told_from_the_outside_in() -> None:
    page = render(replace(sample_report(), context=CONTEXT))
    told = page[page.index("What bounds it:") : page.index("| agent |")]
    shares = ["75 %", "61 %", "47.2 %", "80.4 % less than one generalist"]
    places = [told.index(words) for words in shares]
    assert places == sorted(places)
    assert "performance_optimizer had 43 % of it, where 25 % is an equal share" in told


def test_what_each_means_saves_and_where_the_rest_goes_is_told() -> None:
    page = render(replace(sample_report(), context=CONTEXT))
    told = page[page.index("What saves it") : page.index("| agent |")]
    assert "(16,427 tokens): a conversation for each specialist saves 49.1 % by itself" in told
    assert "digests, artifacts and clearing 18 %, both 56.7 %" in told
    assert "charter 8.45 %, tools 29.6 %, results 54.9 %, its own words and calls 7.04 %" in told
    bare = replace(CONTEXT, means=None, makeup=None)
    assert "What saves it" not in render(replace(sample_report(), context=bare))


def test_nothing_is_said_of_bounds_where_one_agent_worked() -> None:
    assert "What bounds it" not in render(replace(sample_report(), context=replace(CONTEXT, bounds=None)))


def test_bounds_come_back_from_a_kept_report() -> None:
    report = replace(sample_report(), context=CONTEXT)
    assert read_report(to_json(report)).context == CONTEXT

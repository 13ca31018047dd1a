"""What several runs teach about the next: never from one case, always with the figures that say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm.config.load import load_agents
from swarm.core.patches import Accepted, Rejected
from swarm.core.report import AgentInfo, Report
from swarm.reporting.formats import reusable
from swarm.reporting.lessons import earned, models_played, never_accepted, patterns_ran
from tests.reporting.hostile import hostile_report
from tests.reporting.sample import sample_report


def ran(number: int, **changes: Any) -> Report:
    report = sample_report()
    run = {name: changes.pop(name) for name in ("pattern", "duration_s", "status") if name in changes}
    run.setdefault("status", "complete")
    return replace(report, run=replace(report.run, id=f"2026010{number}-000000-orders-000{number}", **run), **changes)


def refused(report: Report, gate: Any = "benchmark") -> Report:
    return replace(
        report, patches=tuple(replace(one, verdict=Rejected(gate, "no gain", ())) for one in report.patches)
    )


def by_agent(report: Report, name: str, **changes: Any) -> Report:
    agents = tuple(replace(one, **changes) if one.name == name else one for one in report.agents)
    return replace(report, agents=agents)


def specialist(report: Report) -> AgentInfo:
    return next(one for one in report.agents if one.role == "specialist")


def test_a_rule_is_given_up_only_where_it_never_got_through() -> None:
    assert never_accepted([refused(ran(1))]) == ()  # one run, however many patches
    twice = never_accepted([refused(ran(1)), refused(ran(2), "tests")])
    rules = {one.patch.rule for one in ran(1).patches if not one.patch.model}
    assert {one.rule for one in twice} == rules
    assert all(one.runs == 2 and one.gates == ("benchmark", "tests") for one in twice)
    good = {one.patch.rule for one in ran(1).patches if isinstance(one.verdict, Accepted)}
    assert good and not good & {one.rule for one in never_accepted([refused(ran(1)), refused(ran(2)), ran(3)])}


def test_the_pattern_that_brings_as_much_in_less_time_is_the_best() -> None:
    slow, fast = ran(1, pattern="sequential", duration_s=300.0), ran(2, pattern="parallel", duration_s=200.0)
    assert [one.pattern for one in patterns_ran([slow, fast])] == ["parallel", "sequential"]
    poor = replace(fast, patches=())
    assert [one.pattern for one in patterns_ran([slow, poor])] == ["sequential", "parallel"]
    cut_off = ran(3, pattern="single", duration_s=1.0, status="degraded")
    assert len(patterns_ran([slow, fast, cut_off])) == 2  # it was fast because it ended early


def test_a_cheaper_model_is_suggested_only_where_it_brought_as_much() -> None:
    name = specialist(ran(1)).name
    opus = [by_agent(ran(n), name, model="claude-opus-5-5", provider="anthropic", cost_usd=0.9) for n in (1, 2)]
    haiku = [by_agent(ran(n), name, model="claude-haiku-5-5", provider="anthropic", cost_usd=0.1) for n in (3, 4)]
    assert [one.model for one in models_played([*haiku[:1], *opus], name)] == ["claude-opus-5-5"]
    both = models_played([*haiku, *opus], name)
    assert [(one.model, one.runs) for one in both] == [("claude-haiku-5-5", 2), ("claude-opus-5-5", 2)]
    text = reusable.render(opus[1], [*haiku, opus[0]])
    assert f'"{name}":' in text and 'model: "claude-haiku-5-5"  # claude-haiku-5-5 $0.100 and' in text
    worse = [refused(one) for one in haiku]
    assert 'model: "claude-opus-5-5"' in reusable.render(opus[1], [*worse, opus[0]])


@pytest.mark.parametrize("hostile", [False, True], ids=["plain", "hostile"])
def test_what_the_runs_suggest_is_a_swarm_with_its_reasons(tmp_path: Path, hostile: bool) -> None:
    newest = hostile_report() if hostile else ran(9)
    idle = specialist(newest).name
    runs = [by_agent(refused(one), idle, findings=0) for one in (newest, replace(newest), newest)]
    runs = [replace(one, findings=tuple(f for f in one.findings if f.agent != idle)) for one in runs]
    text = reusable.render(runs[-1], runs[:-1])
    path = tmp_path / "agents.yaml"
    path.write_text(text, encoding="utf-8")
    load_agents(path)
    ((name, swarm),) = [(key, value) for key, value in yaml.safe_load(text).items() if key != "version"]
    others = [one for one in newest.agents if one.role == "specialist" and one.name != idle]
    assert name and len(swarm["specialists"]) == max(1, len(others))
    if not hostile:  # where all have one name
        assert idle not in swarm["specialists"] and "is left out: it found nothing in 3 runs" in text
        assert "and 2 before it suggest" in text
        for agent in others:
            past = earned(runs)[agent.name]
            told = swarm["specialists"][agent.name]
            assert told["max_turns"] >= past.most_turns
            assert told["budget"]["tokens"] >= 2 * past.most_tokens


def test_a_run_of_unknown_cost_says_nothing_of_what_to_spend() -> None:
    def cost(usd: float | None) -> Report:
        one = ran(1)
        return replace(one, agents=tuple(replace(a, cost_usd=usd) for a in one.agents))

    agents, partly = len(ran(1).agents), ran(2)
    partly = replace(partly, agents=(replace(partly.agents[0], cost_usd=90.0), *cost(None).agents[1:]))
    assert f"# the run cost ${agents * 0.5:.2f}" in reusable.render(cost(0.5), [])
    text = reusable.render(partly, [cost(0.5)])
    assert (
        f"# the dearest whose cost is known cost ${agents * 0.5:.2f}" in text
        and "90" not in text.split("usd:")[1][:60]
    )
    assert "usd:" not in reusable.render(cost(None), [])


def test_a_rule_without_luck_is_left_to_people(tmp_path: Path) -> None:
    text = reusable.render(refused(ran(2)), [refused(ran(1))])
    (tmp_path / "agents.yaml").write_text(text, encoding="utf-8")
    (swarm,) = load_agents(tmp_path / "agents.yaml").swarms.values()
    assert set(swarm.advice_only) == {one.patch.rule for one in ran(1).patches if not one.patch.model}
    assert "none accepted: stopped by benchmark" in text
    (tmp_path / "agents.yaml").write_text(reusable.render(refused(ran(2)), [ran(1)]), encoding="utf-8")
    (swarm,) = load_agents(tmp_path / "agents.yaml").swarms.values()
    assert not {one.patch.rule for one in ran(1).patches if isinstance(one.verdict, Accepted)} & {*swarm.advice_only}

"""What the report derives from agents and verdicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from swarm.config.schema import Swarm, Target
from swarm.coordinator.outcome import build_report, time_efficiency, with_verdicts
from swarm.coordinator.state import RunRequest, RunState
from swarm.core.alerts import AlertDraft
from swarm.core.findings import Finding
from swarm.core.patches import Accepted, JudgedPatch, Patch, Rejected
from swarm.core.report import AgentInfo, Report, Waterfall
from tests.fakes import FakeClock

AGENT = AgentInfo(
    "one", "specialist", "m", "offline", "done", 0.0, 4.0, 1, 1, 1, 1, 0, 0, 1, "estimated", 0.0, 1
)  # fmt: skip


def test_parallel_agents_save_time_and_sequential_ones_none() -> None:
    parallel = time_efficiency([AGENT, replace(AGENT, name="two", started_s=1.0, finished_s=5.0)])
    assert (parallel.wall_s, parallel.sum_of_agents_s, parallel.critical_path_s) == (5.0, 8.0, 4.0)
    assert parallel.saving == 1 - 5 / 8
    one_by_one = time_efficiency([AGENT, replace(AGENT, name="two", started_s=4.0, finished_s=8.0)])
    assert one_by_one.saving == 0.0


def test_no_agent_no_figure() -> None:
    assert time_efficiency([replace(AGENT, role="coordinator")]).saving is None


def test_agents_that_were_cut_off_are_told_and_are_no_measure_of_a_swarm() -> None:
    cut = replace(AGENT, name="two", started_s=1.0, finished_s=5.0, cost_usd=0.25, input_tokens=900)
    report = report_of(RunState(agents=[AGENT, cut], cut_off=True))
    assert [agent.cost_usd for agent in report.agents] == [0.0, 0.25]
    assert report.time.saving is None and report.context.saving is None
    assert report.context.method == "agents were cut off at their work"
    assert report.context.swarm_total_tokens == 903


def test_findings_carry_the_verdict_of_their_patch() -> None:
    def finding(anchor: str) -> Finding:
        return Finding("r", "api", "high", "high", "t", "a.py", 1, 1, "", "", anchor=anchor)

    good, bad, open_one = finding("good"), finding("bad"), finding("open")

    def patch(number: str, mended: Finding) -> Patch:
        return Patch(f"{number}-r-a", "t", "r", "api", (mended.id,), "a", "", ())

    judged = [
        JudgedPatch(patch("001", good), Accepted(())),
        JudgedPatch(patch("002", bad), Rejected("tests", "red", ())),
    ]
    marked = {f.anchor: (f.status, f.patch) for f in with_verdicts([good, bad, open_one], judged)}
    assert marked == {"good": ("patched", "001-r-a"), "bad": ("rejected", "002-r-a"), "open": ("open", None)}


def test_the_agents_alert_drafts_stand_in_the_report() -> None:
    draft = AlertDraft("TooSlow", "webhook_latency", "p95", ">", 450.0, "ms", 300, "warning", "why")
    assert report_of(RunState(alerts=(draft,))).alerts == (draft,)


def test_both_sides_show_the_way_of_a_request_of_the_same_route() -> None:
    def traced(*routes: str) -> tuple[Waterfall, ...]:
        return tuple(Waterfall(route, 200, 5.0, ()) for route in routes)

    state = RunState()
    state.waterfalls_before = traced("POST /orders", "POST /orders", "POST /refunds")
    state.waterfalls_after = traced("POST /orders", "POST /refunds", "POST /refunds")
    report = report_of(state)
    assert [one and one.request for one in (report.waterfall_before, report.waterfall_after)] == ["POST /orders"] * 2


def report_of(state: RunState) -> Report:
    swarm = Swarm(coordinator="c", specialists={"one": {"focus": "f"}})  # type: ignore[dict-item]
    target = Target(path=".", start="true")
    request = RunRequest("r", "s", swarm, "t", target, Path(), "parallel", "offline", "no key")
    parts: Any = SimpleNamespace(clock=FakeClock(), sandbox=SimpleNamespace(name="fake"), version="1", rules={})
    return build_report(request, parts, state)

from __future__ import annotations

import json

import pytest

from swarm.core.report import Waterfall, WaterfallSpan
from swarm.tools.costs import cost_ms, with_cost
from swarm.tools.digests import findings_answer
from swarm.tools.finding_store import FindingStore
from swarm.tools.tool import SHOWN_CHARS, as_json
from tests.fakes import finding


def span(start: float, duration: float, line: int, path: tuple[str, ...] = (), file: str = "app.py") -> WaterfallSpan:
    return WaterfallSpan("http", "GET x", start, duration, file, line, "f", path)


def fall(*spans: WaterfallSpan) -> Waterfall:
    return Waterfall("POST /hook", 200, 500.0, spans)


def test_the_cost_of_lines_counts_what_runs_below_them_and_overlaps_once():
    falls = [
        fall(span(0, 100, 10), span(50, 100, 11), span(300, 40, 99)),
        fall(span(0, 50, 3, ("app.py:10 handler", "lib.py:3 call"), file="lib.py")),
    ]
    assert cost_ms(finding(line=10, end_line=11), falls) == pytest.approx((150 + 50) / 2)
    assert cost_ms(finding(line=98, end_line=0), falls) is None
    assert cost_ms(finding(line=99, end_line=99), falls) == pytest.approx(20)
    assert cost_ms(finding(file="other.py", line=10), falls) is None
    assert cost_ms(finding(line=0), falls) is None


def test_a_notable_cost_makes_a_finding_surer_and_never_less_sure():
    falls = [fall(span(0, 100, 1))]
    assert with_cost(finding(confidence="low"), falls).confidence == "high"
    assert with_cost(finding(confidence="proven"), falls).confidence == "proven"
    assert with_cost(with_cost(finding(severity="low"), falls), falls).severity == "medium"
    assert with_cost(finding(severity="medium"), falls).severity == "high"
    assert with_cost(finding(severity="medium"), [fall(span(0, 20, 1))]).severity == "medium"
    small = with_cost(finding(confidence="low"), [fall(span(0, 0.2, 1))])
    assert (small.confidence, small.measured_ms) == ("low", 0.2)


def test_the_store_keeps_the_first_reporter_and_the_surer_finding():
    store = FindingStore()
    assert store.add(finding(confidence="medium"), "one")
    assert not store.add(finding(confidence="proven"), "two")
    (kept,) = store.all()
    assert (kept.agent, kept.confidence) == ("one", "proven")
    assert store.of([kept.id, "nothing"]) == (kept,)


def test_measured_costs_reach_findings_of_performance_before_and_after():
    store = FindingStore()
    store.add(finding("early"), "a")
    store.add(finding("other", category="security"), "a")
    store.measured([fall(span(0, 80, 1))])
    store.add(finding("late"), "a")
    assert [f.measured_ms for f in store.all()] == [80, None, 80]


def test_a_digest_never_loses_an_id_however_many_there_are():
    many = [finding(f"rule-{n % 7}", line=n, title="t" * 100, evidence="e" * 900, mendable=n % 2 == 0)
            for n in range(1, 400)]  # fmt: skip
    answer = findings_answer(many, {"beside": 1})
    assert {entry["id"] for entry in json.loads(answer.text)["findings"]} == {f.id for f in many}
    assert answer.short is not None
    for form in (answer.short, answer.served):
        ids = {entry["id"] for entry in form.get("findings", ())}
        ids |= {one for group in form["more_findings"] for one in group["ids"]}
        assert ids == {f.id for f in many}
    assert answer.short["count"] == 399 and answer.short["beside"] == 1


@pytest.mark.parametrize("count", [1, 5, 30, 120])
def test_a_digest_holds_as_many_of_the_worst_as_there_is_room_for(count: int):
    some = [finding(f"rule-{n % 3}", line=n, evidence="e" * 150) for n in range(1, count + 1)]
    short = findings_answer(some).short
    assert short is not None and len(as_json(short)) <= SHOWN_CHARS
    left = [one for group in short.get("more_findings", ()) for one in group["ids"]]
    assert len(short["findings"]) + len(left) == count
    assert bool(left) == (count > 20)


def test_the_worst_come_first_with_place_and_cost():
    data = json.loads(findings_answer([
        finding("b", severity="low"),
        finding("a", severity="critical", measured_ms=12.5, line=4, end_line=9),
    ]).text)  # fmt: skip
    assert [entry["rule"] for entry in data["findings"]] == ["a", "b"]
    assert data["findings"][0]["place"] == "app.py:4-9"
    assert data["findings"][0]["measured_ms"] == 12.5

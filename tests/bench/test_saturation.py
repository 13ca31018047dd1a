"""The knee and the full resource, from made-up levels: what must not be named, and what a busy machine does."""

from __future__ import annotations

from dataclasses import replace

from swarm.bench.saturation import LevelSeen, TracedRequest, growing_names, judge, knee_of, loop_held
from swarm.core.report import WaterfallSpan
from swarm.core.sweep import SweepLevel


def level(at_once: int, rps: float, cpu: float = 0.2, held: float = 0.0, **waits: float) -> SweepLevel:
    named = tuple((name.replace("_", " "), value) for name, value in waits.items())
    return SweepLevel(at_once, 20, 0, rps, 1000 * at_once / rps, 1.0, cpu, held, named)  # type: ignore[arg-type]


def span(kind: str, start_ms: float, duration_ms: float, name: str = "x", blocks: bool = False) -> WaterfallSpan:
    return WaterfallSpan(kind, name, start_ms, duration_ms, "a.py", 3, "f", (), blocks)  # type: ignore[arg-type]


def seen(one: SweepLevel, *spans: WaterfallSpan, upstream_ms: float | None = None) -> LevelSeen:
    return LevelSeen(one, (TracedRequest(1, 0.0, one.mean_ms, spans),), upstream_ms)


def test_the_knee_is_the_first_level_that_none_outdoes() -> None:
    assert knee_of([level(1, 10), level(2, 19), level(4, 21), level(8, 20)]) == 1
    assert knee_of([level(1, 10), level(2, 11), level(4, 30)]) is None, "a slow level between good ones is chance"
    assert knee_of([level(1, 10), level(4, 16)]) == 0, "four times the senders should bring more than 1.69 times"
    assert knee_of([level(1, 10)]) is None


def test_an_upstream_is_full_only_where_its_own_clock_says_so() -> None:
    alone, more = level(1, 10, upstream=90.0), level(8, 11, upstream=690.0)
    slower = judge([seen(alone, upstream_ms=90.0), seen(more, upstream_ms=680.0)])
    assert slower.resource == "upstream" and slower.knee == 1
    waits_here = judge([seen(alone, upstream_ms=90.0), seen(more, upstream_ms=91.0)])
    assert waits_here.resource is None and "not seen" in waits_here.words


def test_code_that_computes_is_the_processor_also_where_others_use_the_machine() -> None:
    full = level(4, 11, cpu=0.5, held=0.9)
    computing, sleeping = span("blocked", 0, 300, blocks=True), span("sleep", 0, 300, blocks=True)
    assert judge([seen(level(1, 10)), seen(full, computing)]).resource == "cpu"
    found = judge([seen(level(1, 10)), seen(full, sleeping)])
    assert (found.resource, found.file, found.line) == ("event loop", "a.py", 3)


def test_no_resource_is_named_that_explains_little_of_the_time() -> None:
    found = judge([seen(level(1, 10, threads=1.0)), seen(level(8, 10, threads=90.0))])
    assert found.resource is None and found.line == 0


def test_what_is_waited_for_before_the_service_begins_is_the_servers() -> None:
    one = replace(seen(level(8, 10)), traced=(TracedRequest(1, 0.0, 100.0, ()),))
    assert judge([seen(level(1, 10)), one]).resource == "server"


def test_the_loop_is_held_once_by_overlapping_spans_and_by_each_worker_for_itself() -> None:
    request = TracedRequest(1, 10.0, 100.0, (span("blocked", 0, 50, blocks=True), span("sql", 20, 30, blocks=True)))
    other = TracedRequest(2, 10.0, 100.0, ())
    assert round(loop_held([request], 10.0, 10.1), 6) == 0.5
    assert round(loop_held([request, other], 10.0, 10.1), 6) == 0.25
    assert loop_held([], 10.0, 10.1) == 0.0


def test_only_steady_growth_counts() -> None:
    full = ({"a": 0, "b": 0, "c": 0}, {"a": 10, "b": 10, "c": 4}, {"a": 40, "b": 10, "c": 40})
    assert set(growing_names(list(zip((0, 10, 40), full, strict=True)))) == {"a"}
    assert growing_names([(0, {"a": 0}), (40, {"a": 40})]) == {}, "two looks show no stretch"
    assert growing_names([(0, {}), (4, {"a": 4}), (8, {"a": 8})]) == {}, "nor do a handful of events"

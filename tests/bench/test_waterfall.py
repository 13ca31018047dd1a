"""Reading a trace: late and broken lines, the typical request, folding, upstreams by name."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from swarm.bench.profile import PROFILER_FILE
from swarm.bench.waterfall import TRACER_FILES, fold, read_trace, typical
from swarm.core.report import Waterfall, WaterfallSpan


def span(line: int, start_ms: float, duration_ms: float, name: str = "SELECT ?") -> WaterfallSpan:
    path = ("app.py:3 handler", f"db.py:{line} load")
    return WaterfallSpan("sql", name, start_ms, duration_ms, "db.py", line, "load", path)


def test_late_lines_join_their_request_and_broken_ones_are_left_out(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    row = ["http", "GET 127.0.0.1:4001/x", 1.0, 5.0, "a.py", 2, "f", ["a.py:2 f"], False]
    entry = {
        "request": 1,
        "pid": 9,
        "method": "POST",
        "path": "/h",
        "status": 200,
        "duration_ms": 9.0,
        "spans": [row],
    }
    late = {"request": 1, "pid": 9, "late": [["odd", "later", 12.0, 1.0, "", 0, "", [], False]]}
    trace.write_text("\n".join([json.dumps(entry), json.dumps(late), json.dumps(entry)[:40], "[]"]))
    (waterfall,) = read_trace(trace, {"127.0.0.1:4001": "crm"})
    assert [(s.kind, s.name) for s in waterfall.spans] == [("http", "GET crm/x"), ("other", "later")]
    assert read_trace(tmp_path / "none.jsonl") == ()


def test_work_behind_the_answer_goes_to_the_request_whose_time_it_is(tmp_path: Path) -> None:
    def entry(number: int, at_ms: float) -> dict[str, object]:
        head = {"request": number, "pid": 9, "at_ms": at_ms, "method": "POST", "path": "/h", "status": 200}
        return {**head, "duration_ms": 5.0, "spans": []}

    def row(name: str, start_ms: float) -> list[object]:
        return ["sql", name, start_ms, 2.0, "q.py", 4, "work", [], False]

    lines = [
        {"request": 0, "pid": 9, "background": [row("before all", 900.0)]},
        entry(1, 1000.0),
        entry(2, 2000.0),
        {"request": 0, "pid": 8, "background": [row("of the first", 1007.0)]},  # of a worker process
        {"request": 1, "pid": 9, "late": [row("its own", 20.0), row("of a worker that it started", 1004.0)]},
    ]
    trace = tmp_path / "trace.jsonl"
    trace.write_text("\n".join(map(json.dumps, lines)))
    first, second = read_trace(trace)
    assert [(s.name, s.start_ms, s.behind_answer) for s in first.spans] == [
        ("of the first", 7.0, True), ("its own", 20.0, True),
    ]  # fmt: skip
    assert [(s.name, s.start_ms) for s in second.spans] == [("of a worker that it started", 4.0)]
    warm_up = sum(len(json.dumps(line)) + 1 for line in lines[:2])
    assert read_trace(trace, start=warm_up) == (second,), "what the first request started is told all the same"


def test_the_typical_request_is_the_median_good_one_of_the_busiest_route() -> None:
    found = [Waterfall("POST /hook", 200, float(ms), ()) for ms in (10, 30, 20)]
    found += [Waterfall("POST /hook", 500, 1.0, ()), Waterfall("POST /other", 200, 2.0, ())]
    chosen = typical(found)
    assert chosen is not None and chosen.duration_ms == 20
    other = typical(found, "POST /other")
    assert other is not None and other.duration_ms == 2.0
    assert typical([]) is None


def test_repeated_spans_fold_and_two_do_not() -> None:
    spans = (span(5, 0, 1), span(5, 2, 1), span(5, 4, 1.5), span(7, 6, 1), span(7, 8, 1))
    folded = fold(Waterfall("POST /h", 200, 10, spans)).spans
    assert [(s.line, s.count, s.duration_ms) for s in folded] == [(5, 3, 3.5), (7, 1, 1), (7, 1, 1)]


def test_what_runs_inside_targets_is_python_3_8() -> None:
    for file in (*TRACER_FILES, PROFILER_FILE):
        assert ast.parse(file.read_text(), feature_version=(3, 8)).body, file

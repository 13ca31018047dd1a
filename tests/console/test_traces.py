"""Traces of a run at a collector on loopback: who belongs to whom, what they are called, and what is not told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from swarm.console import otlp
from swarm.console.progress import RunState
from swarm.console.traces import traces_from
from swarm.core import events as e

EVENTS = (
    e.RunStarted("r1", "orders", "small", "parallel", "anthropic", "a key is set"),
    e.AgentStarted("looker", "specialist", "claude-sonnet-5-5", "anthropic"),
    e.TurnFinished("looker", 1, 1200, 80, False, 1000, 0.25, 2.0),
    e.ToolStarted("looker", "read_file", "{}"),
    e.ToolFinished("looker", "read_file", 0.5, False, "words of the target"),
    e.AgentFinished("looker", "done", 3, 4.0),
    e.RunFinished("r1", "complete", "reports/r1", 2, 1, 9.0, 0),
)


def until(holds: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends_s
        time.sleep(0.01)


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, dict[str, str], Any]]]]:
    got: list[tuple[str, dict[str, str], Any]] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()


def spans_of(got: list[Any]) -> list[dict[str, Any]]:
    return [span for _, _, body in got for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"]]


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def test_a_run_is_one_trace_of_agents_turns_and_tools(collector: tuple[str, list[Any]]) -> None:
    url, got = collector
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{url}/", "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a%20b"}
    sink = traces_from(environ)
    assert sink is not None
    for event in EVENTS:
        sink(event)
    assert got
    (path, headers, _), *_ = got
    bodies = [body for _, _, body in got]
    assert (path, headers["x-tenant"], headers["content-type"]) == ("/v1/traces", "a b", "application/json")
    spans = {span["name"]: span for span in spans_of(got)}
    assert set(spans) == {
        "swarm run", "invoke_agent looker", "chat claude-sonnet-5-5", "execute_tool read_file",
    }  # fmt: skip
    run, agent = spans["swarm run"], spans["invoke_agent looker"]
    turn, tool = spans["chat claude-sonnet-5-5"], spans["execute_tool read_file"]
    assert "parentSpanId" not in run and agent["parentSpanId"] == run["spanId"]
    assert turn["parentSpanId"] == tool["parentSpanId"] == agent["spanId"]
    assert len({span["traceId"] for span in spans.values()}) == 1 and len(run["traceId"]) == 32
    told = attributes(turn)
    assert (told["gen_ai.operation.name"], told["gen_ai.provider.name"]) == ("chat", "anthropic")
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.cache_read.input_tokens"]) == ("1200", "1000")
    assert told["swarm.cost_usd"] == 0.25
    assert int(turn["endTimeUnixNano"]) - int(turn["startTimeUnixNano"]) == 2_000_000_000
    assert tool["status"]["code"] == 2 and attributes(tool)["gen_ai.tool.name"] == "read_file"
    assert "words of the target" not in json.dumps(bodies)


def test_none_is_made_where_none_is_asked_for() -> None:
    assert traces_from({}) is None
    assert traces_from({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}) is None


def test_a_collector_that_is_not_there_is_told_and_harms_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sink = traces_from({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/here"})
    assert sink is not None
    for event in EVENTS[:3]:
        sink(event)
    until(lambda: sink._sender._failing)
    for event in EVENTS[3:]:
        sink(event)
    told = capsys.readouterr().err
    assert told.startswith("swarm: traces cannot be sent to http://127.0.0.1:9/here: ") and told.count("\n") == 1


def test_spans_are_sent_as_they_end(collector: tuple[str, list[Any]]) -> None:
    url, got = collector
    sink = traces_from({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    assert sink is not None
    for event in EVENTS[:5]:
        sink(event)
    until(lambda: len(spans_of(got)) == 2)  # the run is not over, nor is its agent
    for event in EVENTS[5:]:
        sink(event)
    assert len(spans_of(got)) == 4


def test_a_collector_that_hangs_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(otlp, "MOST_WAITING", 16)
    monkeypatch.setattr(otlp, "_LAST_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, and never answers
        sink = traces_from({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        assert sink is not None
        for number in range(500):
            sink(e.TurnFinished("looker", number, 1, 1, False))
        sink(EVENTS[-1])
        assert sink._sender._thread is not None and sink._sender._thread.is_alive()  # it still waits for its answer
    told = capsys.readouterr().err
    assert "spans of the trace were left out" in told and told.count("\n") == 1


def test_what_agents_cost_is_summed_while_they_work() -> None:
    state = RunState()
    for event in EVENTS[:3]:
        state.apply(event, 1.0)
    assert (state.agents["looker"].cost_usd, state.cost) == (0.25, "$0.2500")
    state.apply(e.TurnFinished("looker", 2, 10, 1, False, 0, None), 2.0)
    assert state.agents["looker"].cost_usd is None and state.cost == "cost unknown"
    assert RunState().cost == ""


def test_a_turn_that_broke_off_is_paid_for_in_sight() -> None:
    state = RunState()
    for event in (*EVENTS[:3], e.TurnFailed("looker", "dropped", 0.5, 300, 7, 200, 0, 0.05)):
        state.apply(event, 1.0)
    looker = state.agents["looker"]
    assert (looker.turns, looker.input_tokens, looker.cache_read_tokens, looker.output_tokens) == (1, 1500, 1200, 87)
    assert looker.doing == "waiting to ask again" and state.cost == "$0.3000"


def test_a_turn_that_broke_off_is_a_span_of_its_own(collector: tuple[str, list[Any]]) -> None:
    url, got = collector
    sink = traces_from({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    assert sink is not None
    sink(EVENTS[1])
    sink(e.TurnFailed("looker", "HTTP 529: overloaded_error", None, 300, 7, 200, 40, None))
    until(lambda: len(spans_of(got)) == 1)
    (span,) = spans_of(got)
    told = attributes(span)
    assert span["name"] == "chat claude-sonnet-5-5" and span["status"]["message"] == "no whole turn"
    assert told["gen_ai.usage.cache_creation.input_tokens"] == "40" and "swarm.cost_usd" not in told
    sink(EVENTS[-1])

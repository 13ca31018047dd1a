"""The tracer inside unmodified services: kinds, lines, overlap, what holds the loop up, and no personal data."""

from __future__ import annotations

import time

import httpx
import pytest

from swarm.bench.waterfall import TRACER_FILES, read_trace, typical
from swarm.core.report import Waterfall, WaterfallSpan
from tests.bench.conftest import Service, Starter


@pytest.fixture(scope="module")
def service(starter: Starter) -> Service:
    stub = starter.start("fastapi", name="stub")
    return starter.start("fastapi", name="traced", inject=TRACER_FILES, stub=stub.base_url)


@pytest.fixture(scope="module")
def flask_service(starter: Starter) -> Service:
    stub = starter.start("fastapi", name="stub2")
    return starter.start("flask", name="flask", inject=TRACER_FILES, stub=stub.base_url)


def ask(service: Service, path: str, status: int = 200) -> Waterfall:
    """Send one request and give its waterfall."""
    seen = len(read_trace(service.trace_file))
    assert httpx.post(service.base_url + path, json={}, trust_env=False).status_code == status
    for _ in range(100):
        found = read_trace(service.trace_file)
        if len(found) > seen:
            return found[-1]
        time.sleep(0.01)
    raise AssertionError("no line in the trace")


def of_line(waterfall: Waterfall, line: int) -> list[WaterfallSpan]:
    return [span for span in waterfall.spans if span.line == line]


def test_a_request_shows_its_waits_with_their_lines(service: Service) -> None:
    ask(service, "/hook")
    waterfall = ask(service, "/hook")
    assert (waterfall.request, waterfall.status) == ("POST /hook", 200)
    gathered = of_line(waterfall, service.line("GATHER"))
    assert [span.kind for span in gathered] == ["http", "http"]
    assert all(span.name.endswith("/slow/{id}") and span.file == "fastapi_service.py" for span in gathered)
    first, second = gathered
    assert second.start_ms < first.start_ms + first.duration_ms  # they overlap
    (single,) = of_line(waterfall, service.line("SINGLE"))
    assert single.start_ms >= max(span.start_ms + span.duration_ms for span in gathered) - 0.5
    assert 45 < single.duration_ms < 400
    (nap,) = of_line(waterfall, service.line("NAP"))
    assert (nap.kind, nap.function, nap.blocks_loop) == ("sleep", "hook", False)
    builds = [span for span in of_line(waterfall, service.line("BUILD")) if span.name.startswith("build")]
    assert [(b.kind, b.name, b.blocks_loop) for b in builds] == [("other", "build httpx.AsyncClient", True)]


def test_n_plus_one_is_seen_and_folded(service: Service) -> None:
    waterfall = ask(service, "/hook")
    queries = of_line(waterfall, service.line("N+1"))
    assert len(queries) == 10
    assert all(span.kind == "sql" and span.blocks_loop and span.function == "rows_one_by_one" for span in queries)
    assert queries[0].name == "SELECT sku FROM lines WHERE id = ? AND sku = ? OR id = ?"
    assert [step.split()[-1] for step in queries[0].path] == ["hook", "rows_one_by_one"]
    folded = typical([waterfall])
    assert folded is not None
    (query,) = of_line(folded, service.line("N+1"))
    assert query.count == 10
    assert query.duration_ms == pytest.approx(sum(span.duration_ms for span in queries), abs=0.01)


def test_sqlalchemy_shows_its_statements_at_the_services_own_lines(service: Service) -> None:
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("greenlet")
    ask(service, "/orm")
    waterfall = ask(service, "/orm")
    inserts = of_line(waterfall, service.line("ORM-ASYNC"))
    assert [(s.kind, s.name, s.function) for s in inserts if "INSERT" in s.name] == [
        ("sql", "INSERT INTO t VALUES (?)", "mapped"),
    ]  # fmt: skip
    told = [span.name for span in waterfall.spans if "INSERT" in span.name or span.name == "COMMIT"]
    assert told == ["INSERT INTO t VALUES (?)", "COMMIT"], "the driver's own thread tells none of them again"
    assert of_line(waterfall, service.line("ORM-COMMIT"))[0].name == "COMMIT"
    (read,) = [s for s in of_line(waterfall, service.line("ORM-SYNC")) if s.name.startswith("SELECT")]
    assert (read.kind, read.name, read.blocks_loop) == ("sql", "SELECT ? WHERE ? <> ?", True)


def test_what_holds_the_loop_up_is_named(service: Service) -> None:
    waterfall = ask(service, "/blocking")
    (sleep,) = of_line(waterfall, service.line("SLEEP"))
    assert (sleep.kind, sleep.blocks_loop) == ("sleep", True)
    (blocked,) = [span for span in waterfall.spans if span.kind == "blocked"]
    assert blocked.function == "burn"
    assert abs(blocked.line - service.line("BURN")) <= 1
    assert blocked.duration_ms > 80


def test_a_wait_that_no_known_library_explains_has_its_line(service: Service) -> None:
    waterfall = ask(service, "/event")
    (wait,) = of_line(waterfall, service.line("GATE"))
    assert (wait.kind, wait.name, wait.blocks_loop) == ("other", "await", False)
    assert wait.duration_ms > 40


def test_threads_stay_with_their_request(service: Service) -> None:
    waterfall = ask(service, "/threads/12")
    assert waterfall.request == "POST /threads/{number}"
    queries = of_line(waterfall, service.line("N+1"))
    assert len(queries) == 10
    assert not any(span.blocks_loop for span in queries)
    assert [step.split()[-1] for step in queries[0].path] == ["threads", "rows_one_by_one"]


def test_work_of_a_thread_that_no_request_started_is_behind_the_answer(service: Service) -> None:
    ask(service, "/queued")
    behind, ends_s = [], time.monotonic() + 10
    while len(behind) < 2 and time.monotonic() < ends_s:
        time.sleep(0.1)
        waterfall = read_trace(service.trace_file)[-1]
        assert waterfall.request == "POST /queued"
        behind = [span for span in waterfall.spans if span.behind_answer]
    assert {span.kind for span in behind} == {"sql", "http"}, "its sleep is none of the request's"
    assert {span.line for span in behind} == {service.line("BEHIND-SQL"), service.line("BEHIND-CALL")}
    assert all(span.start_ms >= 25 for span in behind) and waterfall.duration_ms < 25


def test_other_libraries_are_timed_at_the_line_that_waits(service: Service) -> None:
    waterfall = ask(service, "/others")

    def seen(marker: str) -> list[tuple[str, str, bool]]:
        spans = of_line(waterfall, service.line(marker))
        names = [(s.kind, s.name.replace(s.name.split("/")[0].partition(" ")[2], ""), s.blocks_loop) for s in spans]
        return [name for name in names if name[0] in ("http", "sql")]

    assert [s.name for s in of_line(waterfall, service.line("ASYNC-SQL"))] == ["INSERT INTO t VALUES (?)"]
    assert [s.name for s in of_line(waterfall, service.line("ASYNC-COMMIT"))] == ["COMMIT"]
    assert seen("AIOHTTP") == [("http", "GET /slow/{id}", False)]
    assert seen("URLLIB") == [("http", "GET /slow/{id}", True)]
    assert seen("TO-THREAD") == [("http", "GET /slow/{id}", False)]
    text = service.trace_file.read_text()
    assert "Hopper" not in text and "grace" not in text


def test_errors_pass_through(service: Service, flask_service: Service) -> None:
    assert ask(service, "/raises", 500).status == 500
    assert ask(flask_service, "/fails", 500).status == 500


def test_flask_with_requests_and_a_connection_class_of_its_own(flask_service: Service) -> None:
    waterfall = ask(flask_service, "/orders/4711/events")
    assert (waterfall.request, waterfall.status) == ("POST /orders/<int:number>/events", 200)
    (call,) = [s for s in of_line(waterfall, flask_service.line("CALL")) if s.kind == "http"]
    assert (call.name.startswith("GET 127.0.0.1:") and call.name.endswith("/slow/1")) or "{id}" in call.name
    assert call.path == (f"flask_service.py:{flask_service.line('CALL')} events",)  # not the line that starts it all
    (commit,) = of_line(waterfall, flask_service.line("COMMIT"))
    assert (commit.kind, commit.name) == ("sql", "COMMIT")
    programs = of_line(waterfall, flask_service.line("PROGRAM"))
    assert [span.kind for span in programs] == ["subprocess"]
    assert "INSERT INTO e VALUES (?)" in [span.name for span in waterfall.spans]


def test_the_trace_holds_no_personal_data(service: Service, flask_service: Service) -> None:
    ask(service, "/hook")
    number = "471108154711"  # no port and no time looks like it
    ask(flask_service, f"/orders/{number}/events")
    text = service.trace_file.read_text() + flask_service.trace_file.read_text()
    for secret in ("ada@example.com", "Ada Lovelace", number, "email=", "/slow/77"):
        assert secret not in text

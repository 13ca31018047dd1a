"""What a sweep showed becomes findings, each once and none without its measurement."""

from __future__ import annotations

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.core.patches import FileChange
from swarm.core.sweep import Growing, Hanging, Resource, Sweep, SweepLevel
from swarm.tools.measuring.sweep_findings import findings_of
from tests.fakes import finding


def index_of(text: str = "") -> Index:
    empty = SourceTree({}, {}, frozenset(), {}, "")
    return build_index(empty.with_changes([FileChange("app.py", None, text)]))


def level(at_once: int, health_ms: float | None = None) -> SweepLevel:
    return SweepLevel(at_once, 10, 0, 10.0, 100.0, 120.0, 0.3, 0.0, (), health_ms)


def full(resource: Resource, **more: object) -> Sweep:
    return Sweep((level(1), level(4)), 1, resource, "1 at once …", "app.py", 7, "handle", 2.0, **more)  # type: ignore[arg-type]


def rules(sweep: Sweep, text: str = "", *known: object) -> list[str]:
    return [one.rule for one in findings_of(sweep, index_of(text), known)]  # type: ignore[arg-type]


def test_the_full_resource_is_a_finding_at_its_line_with_the_measurement() -> None:
    (found,) = findings_of(full("connection pool"), index_of(), ())
    assert (found.rule, found.file, found.line, found.confidence) == ("pool-exhausted", "app.py", 7, "proven")
    assert found.evidence == "1 at once …" and not found.mendable


def test_what_is_full_far_above_the_declared_rate_is_low() -> None:
    assert [one.severity for one in findings_of(full("database"), index_of(), (), 3.0)] == ["low"]
    assert [one.severity for one in findings_of(full("database"), index_of(), (), 9.0)] == ["medium"]


def test_a_processor_or_an_upstream_that_is_full_is_no_fault_of_a_line() -> None:
    assert rules(full("cpu")) == rules(full("upstream")) == rules(full("server")) == []
    assert rules(Sweep((level(1),), words="answers still grew")) == []


def test_a_line_that_a_rule_found_already_gets_no_second_finding() -> None:
    known = finding(file="app.py", line=6, end_line=8, rule="blocking-in-async")
    assert rules(full("event loop"), "", known) == []
    assert rules(full("event loop"), "", finding(file="app.py", line=9, end_line=9)) == ["loop-held-up"]


def test_hanging_requests_that_hold_a_connection_are_told_in_place_of_the_pool() -> None:
    waits = Hanging("waits for a connection of SQLAlchemy's pool", "app.py", 9, "inner", 1)
    assert rules(full("connection pool", hanging=(waits,))) == ["pool-deadlock"]
    first = Hanging("waits for a connection of SQLAlchemy's pool", "app.py", 7, "handle", 0)
    assert rules(full("connection pool", hanging=(first,))) == ["pool-exhausted"]


def test_a_locked_database_is_one_finding_a_line() -> None:
    assert rules(full("database", locked=(("app.py", 4, 3),))) == ["database-locked"]
    assert rules(full("database")) == ["database-saturated"]


def test_a_health_check_freezes_at_few_requests_and_not_under_heavy_load() -> None:
    frozen = Sweep((level(1, 4.0), level(8, 1300.0)), health_idle_ms=2.0, resource="cpu", file="a.py", line=3)
    (found,) = findings_of(frozen, index_of(), ())
    assert (found.rule, found.category, found.line) == ("health-check-freezes", "monitoring", 3)
    assert "1300 ms" in found.evidence
    assert rules(Sweep((level(1, 4.0), level(64, 1300.0)), health_idle_ms=2.0)) == []
    assert rules(Sweep((level(1, 900.0), level(8, 1300.0)), health_idle_ms=800.0)) == []


GROWS = """
seen = []


class Store:
    def __init__(self):
        self.ids = {}


store = Store()


def handle(event):
    seen.append(event)
    store.ids[event["id"]] = event
"""


def growing(name: str) -> Sweep:
    return Sweep((level(1),), growing=(Growing(name, "app.py", ((0, 0), (20, 20), (60, 60))),))


def test_what_grows_is_found_where_it_is_made() -> None:
    (found,) = findings_of(growing("seen"), index_of(GROWS), ())
    assert (found.rule, found.line) == ("grows-with-events", 2)
    assert "60 after 60" in found.evidence
    (of_object,) = findings_of(growing("store.ids"), index_of(GROWS), ())
    assert of_object.line == 7


def test_what_something_takes_from_or_bounds_is_left_alone() -> None:
    assert rules(growing("seen"), GROWS + "\n\ndef trim():\n    del seen[:100]\n") == []
    assert rules(growing("seen"), GROWS + "\n\ndef trim():\n    seen.clear()\n") == []
    assert rules(growing("seen"), GROWS + "\n\ndef full():\n    return len(seen) > 1000\n") == []
    assert rules(growing("store.ids"), GROWS + "\n\ndef drop(store, key):\n    store.ids.pop(key)\n") == []
    assert rules(growing("store.ids"), GROWS + "\n\ndef reset(store):\n    store.ids = {}\n") == []

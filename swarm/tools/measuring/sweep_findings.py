"""What a sweep showed, as findings: each was measured, so each is proven. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from swarm.analysis.index import Index
from swarm.core.findings import Category, Finding, Severity
from swarm.core.sweep import Growing, Resource, Sweep

FROZEN_MS = 1000.0  # the usual patience of a probe: Kubernetes gives a health check one second
FROZEN_AT_MOST = 16  # at once: many more at the same moment is load, and every service answers later then
AMPLE = 3.0
SHRINKING = frozenset({"pop", "popitem", "popleft", "clear", "remove", "discard", "cache_clear"})
_ADVICE: dict[Resource, tuple[str, Severity, str, str]] = {
    "event loop": (
        "loop-held-up", "high", "One request's blocking call holds all others up",
        "Await it (an asynchronous client or driver), or hand it to a thread.",
    ),
    "threads": (
        "threads-exhausted", "medium", "Requests wait for a free thread",
        "Await instead of occupying a thread, or give the pool as many threads as requests should wait at once.",
    ),
    "connection pool": (
        "pool-exhausted", "medium", "Requests wait for a free database connection",
        "Give the connection back before waiting for anything else; then size the pool by what the database takes.",
    ),
    "client pool": (
        "client-pool-exhausted", "medium", "Requests wait for a free connection of an HTTP client",
        "Raise the client's limit of connections to what the upstream takes, and set a pool timeout.",
    ),
    "database": (
        "database-saturated", "medium", "Requests wait for each other in the database",
        "Make transactions shorter: compute and call upstreams outside of them, commit once, index what is searched.",
    ),
}  # fmt: skip


def findings_of(
    sweep: Sweep, index: Index, known: Sequence[Finding], load_rate: float | None = None
) -> tuple[Finding, ...]:
    """The findings of a sweep. A line that is held up and has a finding of its own already gets no second one.

    Something is full first in every service: where that comes at AMPLE times the rate that the target declares, or
    more, it is told as low.
    """
    found = [*_hanging(sweep), *_locked(sweep), *_full(sweep, known, load_rate), *_frozen(sweep)]
    found += [finding for one in sweep.growing for finding in _growing(one, index)]
    return tuple(found)


def _hanging(sweep: Sweep) -> Iterator[Finding]:
    for one in sweep.hanging:
        if one.held and one.file:
            yield _finding(
                "pool-deadlock", "high", "A request that holds a connection waits for another one",
                (one.file, one.line), one.function,
                f"under load a request that held {one.held} hung here for more than a second: it {one.name}; when "
                "every connection is held by one that waits so, none ever ends",
                "Use the connection that the request has, or give it back before asking for another.",
            )  # fmt: skip


def _locked(sweep: Sweep) -> Iterator[Finding]:
    for file, line, count in sweep.locked:
        if file:
            yield _finding(
                "database-locked", "high", "Requests at the same time find the database locked",
                (file, line), "locked",
                f"{count} statement{'s' * (count != 1)} here failed with 'database is locked' when several requests "
                "came at once",
                "Use WAL and a busy timeout, keep write transactions short, and begin them as writing ones.",
            )  # fmt: skip


def _full(sweep: Sweep, known: Sequence[Finding], load_rate: float | None) -> Iterator[Finding]:
    advice = _ADVICE.get(sweep.resource) if sweep.resource else None
    if advice is None or not sweep.file or (sweep.resource == "database" and sweep.locked):
        return
    if sweep.resource == "connection pool" and any(one.held for one in sweep.hanging):
        return  # told already, with its cause
    covered = any(
        one.category == "performance" and one.file == sweep.file and one.line <= sweep.line <= one.end_line
        for one in known
    )
    if not covered:
        rule, severity, title, recommendation = advice
        at_knee = next((level.rps for level in sweep.levels if level.at_once == sweep.knee), 0.0)
        if load_rate and at_knee >= AMPLE * load_rate:
            severity = "low"
        yield _finding(rule, severity, title, (sweep.file, sweep.line), sweep.function, sweep.words, recommendation)


def _frozen(sweep: Sweep) -> Iterator[Finding]:
    worst = next((x for x in sweep.levels if x.at_once <= FROZEN_AT_MOST and (x.health_ms or 0.0) >= FROZEN_MS), None)
    if worst is None or sweep.health_idle_ms is None or sweep.health_idle_ms > FROZEN_MS / 10:
        return
    place = (sweep.file, sweep.line) if sweep.resource in ("cpu", "event loop") else ("", 0)
    yield _finding(
        "health-check-freezes", "medium", "The health check does not answer while requests are handled",
        place, "health",
        f"with {worst.at_once} requests at once it took {worst.health_ms:.0f} ms, {sweep.health_idle_ms:.0f} ms when "
        "idle: whoever probes it restarts a service that is merely busy",
        "Keep blocking work off the event loop, and computing in another process.",
        category="monitoring",
    )  # fmt: skip


def _growing(one: Growing, index: Index) -> Iterator[Finding]:
    name = one.name.rpartition(".")[2]
    line = _line_of(index, one)
    if not line or _is_bounded(index, name):
        return
    (first_events, first), (last_events, last) = one.sizes[0], one.sizes[-1]
    yield _finding(
        "grows-with-events", "medium", "Memory grows with every event", (one.file, line), one.name,
        f"`{one.name}` held {first} entries after {first_events} events and {last} after {last_events}, and nothing "
        "in the code takes one away",
        "Bound it (a deque with maxlen, an LRU, entries that expire), or keep it in the database.",
    )  # fmt: skip


def _line_of(index: Index, one: Growing) -> int:
    """Where the container is made: the attribute's assignment, the global's, or the cached function."""
    module = index.tree.modules.get(one.file)
    if module is None:
        return 0
    head, _, name = one.name.rpartition(".")
    if head:
        for node in module.nodes(ast.Attribute):
            if node.attr == name and isinstance(node.ctx, ast.Store):
                return int(node.lineno)
    statement = module.globals.get(one.name.partition(".")[0])
    return int(getattr(statement, "lineno", 0))


def _is_bounded(index: Index, name: str) -> bool:
    """Whether anything in the target takes entries away, looks at the size, or begins the container anew."""
    for module in index.tree.modules.values():
        for call in module.nodes(ast.Call):
            if (
                isinstance(call.func, ast.Attribute)
                and call.func.attr in SHRINKING
                and _last(call.func.value) == name
            ):
                return True
            if (
                isinstance(call.func, ast.Name)
                and call.func.id == "len"
                and call.args
                and _last(call.args[0]) == name
            ):
                parent = module.parent(call)
                if isinstance(parent, ast.Compare):
                    return True
        if any(_last(target.value) == name for target in _deleted(module.nodes(ast.Delete))):
            return True
        for statement in module.nodes(ast.Assign):
            inside = module.enclosing_function(statement)
            if inside is not None and inside.name != "__init__" and any(_last(t) == name for t in statement.targets):
                return True
    return False


def _deleted(statements: Sequence[ast.Delete]) -> Iterator[ast.Subscript]:
    return (target for one in statements for target in one.targets if isinstance(target, ast.Subscript))


def _last(expression: ast.expr) -> str:
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def _finding(
    rule: str, severity: Severity, title: str, place: tuple[str, int], anchor: str, evidence: str,
    recommendation: str, category: Category = "performance",
) -> Finding:  # fmt: skip
    file, line = place
    return Finding(
        rule, category, severity, "proven", title, file, line, line, evidence, recommendation, anchor=anchor
    )

"""Blocking work on the event loop: every other request waits while it runs."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding, Severity
from swarm.rules.examples import blocking_in_async as examples
from swarm.rules.facts.local_files import is_local_file, work_on_files
from swarm.rules.facts.threads import (
    CONNECTIONS,
    gives_connection,
    in_lambda,
    is_database,
    is_thread_safe,
    uses_connection,
)
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.off_the_loop import awaited_sleep, moved_call, split_function
from swarm.rules.writing.splices import import_as


@dataclass(frozen=True, slots=True)
class _Place:
    """A blocking call in an async function, and how it can be moved: None where that is not safe."""

    function: Function
    call: ast.Call
    way: Literal["sleep", "thread", "split"] | None
    what: str
    severity: Severity | None = None


class BlockingInAsync(Rule):
    """An async function sleeps, queries a database, runs a process or calls `requests` right on the event loop.

    Why: the loop serves one thing at a time; while it is blocked no other request moves, health checks included.
    Example: `time.sleep(1)` or a sync database helper called in an `async def` handler. SQLite answers from a file
    of the machine's own in a millisecond or so: that is told as medium; a small file read or written, as low.

    The mend: `time.sleep` becomes `await asyncio.sleep`; one blocking call, or a call of a sync function of the
    service that blocks, becomes `await asyncio.to_thread(f, …)`; an async function that never awaits and does
    database work on a connection or session of its own becomes a sync one, run in a thread by an async one of the
    old name. All are awaited where they stood, so the order of writes stays. Never where a connection is handed
    over or shared (it belongs to its thread), or where globals, attributes or arguments are changed (other
    requests could see it half done).
    """

    id = "blocking-in-async"
    category = "performance"
    severity = "high"
    order = 10
    title = "Blocking work on the event loop"
    sources = ("https://docs.python.org/3/library/asyncio-dev.html#running-blocking-code",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every blocking call in an async function on a request's path."""
        for function in index.functions_on_path:
            if function.is_async and index.on_event_loop(function):
                seen: dict[str, int] = {}
                for place in _places(index, function):
                    yield self._finding(place, seen)
                for call in work_on_files(index, function):
                    yield self._finding(_Place(function, call, None, "reads or writes a file", "low"), seen)

    def _finding(self, place: _Place, seen: dict[str, int]) -> Finding:
        name = unparsed(place.call.func)
        seen[name] = seen.get(name, 0) + 1
        number = f"#{seen[name]}" if seen[name] > 1 else ""
        return self.finding(
            place.function.module, place.call,
            evidence=f"{name}() {place.what} on the event loop in async {place.function.qualname}",
            recommendation="Await asyncio.sleep, an async library, or asyncio.to_thread with a connection of its own",
            anchor=f"{place.function.qualname}:{name}{number}",
            mendable=place.way is not None,
            severity=place.severity,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Move the blocking work of the findings off the loop."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        name, imported = import_as(module, "asyncio")
        edits = [imported] if imported else []
        for function in index.functions:
            if function.module is not module or not function.is_async:
                continue
            seen: dict[str, int] = {}
            chosen = [place for place in _places(index, function)
                      if self._finding(place, seen).id in wanted and place.way]  # fmt: skip
            if any(place.way == "split" for place in chosen):
                edits += split_function(module, function, name)
            else:
                edits += [edit for place in chosen for edit in (
                    awaited_sleep(module, place.call, name) if place.way == "sleep"
                    else moved_call(module, place.call, name)
                )]  # fmt: skip
        return Mend(
            "Move blocking work off the event loop",
            "The work runs in a thread (a sleep: on the loop's own timer) and is awaited where it stood: its order "
            "stays, and other requests move on meanwhile.",
            (edited(module, edits),),
        )


def _places(index: Index, function: Function) -> Iterator[_Place]:
    """The blocking calls of one async function, each with the way to move it."""
    module = function.module
    cache = effects_cache(index)
    own = cache.of(function)
    direct = [call for call in own.blocking if not in_lambda(module, call)]
    database = [call for call in direct if is_database(index, module, call)]
    held = database or [call for call in index.calls(function) if gives_connection(index, module, call)]
    if held:
        way: Literal["split"] | None = "split" if _can_split(index, function) else None
        modest: Severity | None = "medium" if is_local_file(index, module, held[0]) else None
        yield _Place(function, held[0], way, "works on a database", modest)
    split = bool(held) and _can_split(index, function)
    for call in direct:
        if call in database or split:
            continue
        name = index.resolve(module, call.func) or ""
        if name == "time.sleep":
            yield _Place(function, call, "sleep", "sleeps")
            continue
        movable = _can_await(module, call) and not own.writes_memory and not _is_awaited(module, call)
        yield _Place(function, call, "thread" if movable else None, "blocks")
    if split:
        return
    for call in index.calls(function):
        callee = index.run_by(module, call)
        if callee is None or callee.is_async or call in direct or call in held or in_lambda(module, call):
            continue
        reached = cache.reached(callee)
        if not any(effects.blocking for _, effects in reached):
            continue
        if held and uses_connection(index, module, call):
            continue  # part of the work that the first finding names
        safe = (
            not own.writes_memory
            and _can_await(module, call)
            and not uses_connection(index, module, call)
            and callee.name != "__init__"
            and not _is_generator(index, callee)
            and all(is_thread_safe(index, other) for other, _ in reached)
        )
        blocking = [(other.module, blocked) for other, effects in reached for blocked in effects.blocking]
        local = all(is_local_file(index, where, blocked) for where, blocked in blocking)
        yield _Place(function, call, "thread" if safe else None, "does blocking work", "medium" if local else None)


def _is_awaited(module: Module, call: ast.Call) -> bool:
    return isinstance(module.parent(call), ast.Await)


def _can_await(module: Module, call: ast.Call) -> bool:
    """Whether `await` may stand there: not in a lambda, a generator expression, a default or a `with` of its own."""
    for around in module.ancestors(call):
        if isinstance(around, ast.Lambda | ast.GeneratorExp | ast.arguments | ast.withitem):
            return False
        if isinstance(around, ast.stmt):
            return True
    return False


def _is_generator(index: Index, function: Function) -> bool:
    return bool(index.own_of(function, ast.Yield, ast.YieldFrom))


def _can_split(index: Index, function: Function) -> bool:
    node = function.node
    for part in [*index.own_nodes(function)]:
        if isinstance(part, ast.Await | ast.AsyncWith | ast.AsyncFor | ast.Yield | ast.YieldFrom | ast.FunctionDef):
            return False
        if isinstance(part, ast.comprehension) and part.is_async:
            return False
    given = {argument.arg for argument in parameters(node)}
    if any(index.kinds.annotated(function.module, a.annotation) in CONNECTIONS
           for a in parameters(node) if a.annotation is not None):  # fmt: skip
        return False
    if any(name.id in given and index.kinds.of(function.module, name) in CONNECTIONS
           for name in index.own_of(function, ast.Name)):  # fmt: skip
        return False  # `session=Depends(open_session)`: another thread made it
    parent = function.module.parent(node)
    in_plain_place = isinstance(parent, ast.Module | ast.ClassDef)
    reached = effects_cache(index).reached(function)
    return in_plain_place and all(is_thread_safe(index, other) for other, _ in reached)

"""Hand-written retries that hit the failing service again at once."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.effects import effects_cache, http_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.api.asked_again import asked_again
from swarm.rules.api.retry_settings import Setting, paused, settings
from swarm.rules.examples import retry_without_pause as examples
from swarm.rules.rule import Mend, Rule, edited
from swarm.rules.writing.splices import import_as


@dataclass(frozen=True, slots=True)
class _Place:
    """A retry loop: `counter` is its number of the attempt, None where it counts none."""

    function: Function
    loop: ast.For | ast.While
    handler: ast.ExceptHandler
    counter: str | None
    last: str | None


class RetryWithoutPause(Rule):
    """A loop repeats a call at once, with no pause between the tries: it failed, or the answer is not there yet.

    Why: what failed a millisecond ago fails again, and a service that is overloaded gets its load times three at
    the worst moment. Example: `for attempt in range(3): try: … except: continue`.

    The mend: a pause in the `except`, doubling with the attempt, random so that clients do not return in step,
    2 seconds at the most, and none after the last attempt; where tenacity or urllib3's `Retry` repeats, their own
    setting for it. Only for `for attempt in range(N)`; a `while True`
    without a bound is told and left: how often is enough is a decision.
    """

    id = "retry-without-pause"
    category = "api"
    severity = "medium"
    title = "Retries follow each other without a pause"
    sources = ("https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/",)
    bad = examples.BAD
    good = examples.GOOD

    def find(self, index: Index) -> Iterable[Finding]:
        """Every retry loop without a pause on a request's path."""
        for function in index.functions_on_path:
            for place in _places(index, function):
                yield self._finding(place)
            for loop, call in asked_again(index, function):
                yield self._of_answer(function, loop, call)
        for module in index.tree.modules.values():
            for setting in settings(index, module):
                yield self._of_library(module, setting)

    def _of_library(self, module: Module, setting: Setting) -> Finding:
        return self.finding(
            module, setting.node,
            evidence=f"`{' '.join(unparsed(setting.node).split())[:80]}` tries again at once after a failure",
            recommendation="Pause between the tries, longer each time and random",
            anchor=f"{setting.name}:{unparsed(setting.node)}", mendable=True,
        )  # fmt: skip

    def _of_answer(self, function: Function, loop: ast.For | ast.While, call: ast.Call) -> Finding:
        called = " ".join(unparsed(call.func).split())
        return self.finding(
            function.module, call,
            evidence=f"{function.qualname} calls {called} again and again, with no pause, until the answer suits it",
            recommendation="Pause between the calls, longer each time and random, and bound their number",
            anchor=f"{function.qualname}:{called}:{'for' if isinstance(loop, ast.For) else 'while'}",
            mendable=False,
        )  # fmt: skip

    def _finding(self, place: _Place) -> Finding:
        return self.finding(
            place.function.module, place.handler,
            evidence=f"{place.function.qualname} tries again at once after a failure",
            recommendation="Pause between the tries, longer each time and random, and bound their number",
            anchor=f"{place.function.qualname}:{unparsed(place.handler.type) if place.handler.type else 'except'}",
            mendable=place.counter is not None,
        )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """Put a pause between the tries of the findings' loops."""
        module = index.tree.modules[findings[0].file]
        wanted = {finding.id for finding in findings}
        edits = [edit for setting in settings(index, module) if self._of_library(module, setting).id in wanted
                 for edit in paused(module, setting)]  # fmt: skip
        own = []
        random_name, imported = import_as(module, "random")
        for function in index.functions:
            for place in _places(index, function) if function.module is module else ():
                if self._finding(place).id in wanted and place.counter is not None:
                    own += _pause(module, place, random_name)
        edits += [imported, *own] if imported and own else own
        return Mend(
            "Pause between retries",
            "The pauses double from 0.2 seconds up to 2, are random, and none follows the last attempt.",
            (edited(module, edits),),
        )


def _places(index: Index, function: Function) -> Iterator[_Place]:
    module = function.module
    for loop in index.own_of(function, ast.For, ast.While):
        tries = [statement for statement in loop.body if isinstance(statement, ast.Try)]
        if not tries or not _is_retry(loop):
            continue
        calls = [node for node in walk(tries[0]) if isinstance(node, ast.Call)]
        if not any(
            http_call(index, module, call) or _asks(index, module, call) or _is_decorated(index, function, call)
            for call in calls
        ):
            continue
        if not any(isinstance(node, ast.Return | ast.Break) for part in [*tries[0].body, *tries[0].orelse]
                   for node in walk(part)):  # fmt: skip
            continue
        names = [unparsed(node.func) for node in walk(loop) if isinstance(node, ast.Call)]
        if any(name.rsplit(".", 1)[-1] in ("sleep", "wait", "wait_for", "delay", "backoff") for name in names):
            continue
        for handler in tries[0].handlers:
            leaves = any(isinstance(node, ast.Raise | ast.Return | ast.Break) for node in handler.body)
            if not leaves:
                yield _described(function, loop, handler)


def _asks(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a call runs a function of the target's that asks another service."""
    callee = index.resolve_call(module, call)
    return callee is not None and any(effects.http for _, effects in effects_cache(index).reached(callee))


def _is_decorated(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether the call runs what a decorator stands above, in the decorator's own loop, and that calls a service."""
    module = function.module
    called = call.func.id if isinstance(call.func, ast.Name) else ""
    for around in module.ancestors(function.node):
        if not isinstance(around, ast.FunctionDef) or called not in {argument.arg for argument in parameters(around)}:
            continue
        outermost = [around, *(one for one in module.ancestors(around) if isinstance(one, ast.FunctionDef))][-1]
        decorator = index.function_of(outermost)
        return any(
            any(effects.http for _, effects in effects_cache(index).reached(other))
            for other in index.functions
            if any(
                index.named_function(other.module, _named(mark)) is decorator for mark in other.node.decorator_list
            )
        )
    return False


def _named(decorator: ast.expr) -> ast.expr:
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def _is_retry(loop: ast.For | ast.While) -> bool:
    if isinstance(loop, ast.While):
        return (isinstance(loop.test, ast.Constant) and bool(loop.test.value)) or _counts_tries(loop)
    over = loop.iter
    counts = isinstance(over, ast.Call) and unparsed(over.func) == "range" and len(over.args) == 1
    used = [
        node for part in loop.body if isinstance(part, ast.Try) for statement in part.body
        for node in walk(statement)
        if isinstance(node, ast.Name) and isinstance(loop.target, ast.Name) and node.id == loop.target.id
    ]  # fmt: skip
    return counts and not used  # a number that the call itself uses is a page or a part, not an attempt


def _counts_tries(loop: ast.While) -> bool:
    """`while tries < 3:` where each turn, or each failure, adds one, and the call itself does not use the number."""
    match loop.test:
        case ast.Compare(left=ast.Name(id=name), ops=[ast.Lt() | ast.LtE()]):
            pass
        case _:
            return False
    grows = any(
        isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and unparsed(node.target) == name
        and unparsed(node.value) == "1"
        for node in walk(loop)
    )  # fmt: skip
    tried = [node for part in loop.body if isinstance(part, ast.Try) for one in part.body for node in walk(one)]
    return grows and not any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load) for node in tried
    )


def _described(function: Function, loop: ast.For | ast.While, handler: ast.ExceptHandler) -> _Place:
    if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name) and isinstance(loop.iter, ast.Call):
        bound = loop.iter.args[0]
        own_line = handler.body[0].lineno > handler.lineno
        if isinstance(bound, ast.Constant | ast.Name | ast.Attribute) and own_line:
            return _Place(function, loop, handler, loop.target.id, unparsed(bound))
    return _Place(function, loop, handler, None, None)


def _pause(module: Module, place: _Place, random_name: str) -> list[Edit]:
    edits: list[Edit] = []
    counter = place.counter or "attempt"
    if counter == "_" and isinstance(place.loop, ast.For):
        taken = module.local_names(place.function.node)
        counter = next(name for name in ("attempt", "try_number", "attempt_2") if name not in taken)
        edits.append(Edit(*module.span(place.loop.target), counter))
    library = "asyncio" if place.function.is_async else "time"
    name, imported = import_as(module, library)
    edits += [imported] if imported else []
    awaiting = "await " if place.function.is_async else ""
    first = place.handler.body[0]
    indent = module.indent(first)
    at = module.line_start(first.lineno)
    code = (
        f"{indent}if {counter} < {place.last} - 1:\n"
        f"{indent}    {awaiting}{name}.sleep({random_name}.uniform(0.5, 1.0) * min(0.1 * 2**{counter}, 2.0))\n"
    )
    return [*edits, Edit(at, at, code)]

"""Loops that ask the same again at once because of the answer: its status, or a state that is not there yet."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from swarm.analysis.effects import effects_cache, http_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.rules.facts.independence import only_counts

PAUSES = ("sleep", "wait", "wait_for", "delay", "backoff", "pause", "throttle")
WAITING = re.compile(r"wait|poll|\bblock", re.IGNORECASE)  # the other side answers when there is something


def asked_again(index: Index, function: Function) -> Iterator[tuple[ast.For | ast.While, ast.Call]]:
    """The loops of a function without a pause that make one and the same call until they like its answer."""
    for loop in index.own_of(function, ast.For, ast.While):
        if not _repeats(loop) or any(isinstance(part, ast.Try) for part in loop.body):
            continue  # what catches its failure is judged by its `except`
        calls = [node for node in walk(loop) if isinstance(node, ast.Call)]
        if any(_last(call) in PAUSES for call in calls) or not _is_left(loop):
            continue
        stored = {node.id for node in walk(loop) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        for call in calls:
            given = [part for value in [call.func, *call.args, *call.keywords] for part in walk(value)]
            changes = any(isinstance(part, ast.Name) and part.id in stored for part in given)
            if not changes and not WAITING.search(unparsed(call)) and _calls_out(index, function, call):
                yield loop, call
                break


def _repeats(loop: ast.For | ast.While) -> bool:
    """Whether turns differ in nothing that is named: `while True`, `while not done`, `for attempt in range(3)`."""
    if isinstance(loop, ast.For):
        return only_counts(loop)
    stored = {node.id for node in walk(loop) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    asked = {node.id for node in walk(loop.test) if isinstance(node, ast.Name)}
    return isinstance(loop.test, ast.Constant) or bool(stored & asked)


def _is_left(loop: ast.For | ast.While) -> bool:
    """Whether an answer ends the loop, and no turn ends it in any case."""
    leaves = any(
        isinstance(part, ast.Return | ast.Break) for statement in loop.body for part in walk(statement)
    )  # fmt: skip
    always = isinstance(loop.body[-1], ast.Return | ast.Break | ast.Raise)
    goes_on = any(isinstance(part, ast.Continue) for part in walk(loop))
    by_test = isinstance(loop, ast.While) and not isinstance(loop.test, ast.Constant)
    return (leaves or by_test) and (not always or goes_on)


def _calls_out(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether a call asks another service, without a pause on its way."""
    if http_call(index, function.module, call) is not None:
        return True
    callee = index.resolve_call(function.module, call)
    if callee is None or callee is function:
        return False
    reached = effects_cache(index).reached(callee)
    pauses = any(_last(inner) in PAUSES for other, _ in reached for inner in index.calls(other))
    return not pauses and any(effects.http for _, effects in reached)


def _last(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")

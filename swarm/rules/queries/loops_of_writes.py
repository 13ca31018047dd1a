"""Loops that wait for one outgoing write after the other, each to a place of its own: told, never reordered.

What goes to one place again and again (mails, entries of a ledger) may have to arrive in its order: it is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator

from swarm.analysis.effects import HttpCall, effects_cache, outgoing_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.outgoing.handed_requests import requests_of
from swarm.analysis.source import parameters
from swarm.core.findings import Finding
from swarm.rules.facts.independence import feeds_itself, only_counts
from swarm.rules.rule import Rule

LEAVING = (ast.Break, ast.Return, ast.Yield, ast.YieldFrom)


def told_writes(
    rule: Rule, index: Index, function: Function, others: Container[ast.AST], *, waits: str, how: str
) -> Iterator[Finding]:
    """A finding for each such loop but the `others`; `waits` is its verb, `how` the way to send them at once."""
    for loop, call in writes_by_turn(index, function):
        if loop not in others:
            called = " ".join(unparsed(call.func).split())
            yield rule.finding(
                function.module, call,
                evidence=f"{function.qualname} {waits} {called}, which writes, once in each turn",
                recommendation=f"Where their order does not matter: send them {how}, or in one call",
                anchor=f"{function.qualname}:{called}", mendable=False, severity="low",
            )  # fmt: skip


def writes_by_turn(index: Index, function: Function) -> Iterator[tuple[ast.For, ast.Call]]:
    """The `for` loops whose turns each make one outgoing write, to where the turn says, and wait for nothing else."""
    for loop in index.own_of(function, ast.For):
        inner = [part for statement in loop.body for part in walk(statement)]
        if only_counts(loop) or any(isinstance(part, LEAVING) for part in inner):
            continue
        turn = _names(loop.target)
        sends = [part for part in inner if isinstance(part, ast.Call) and _goes_to(index, function, part, turn)]
        waits = sum(isinstance(part, ast.Await) for part in inner)
        if len(sends) == 1 and waits <= 1 and not feeds_itself(loop, sends[0]):
            yield loop, sends[0]


def _goes_to(index: Index, function: Function, call: ast.Call, turn: set[str]) -> bool:
    """Whether a call sends one write to an address that the turn's names are part of, and touches no database."""
    request = outgoing_call(index, function.module, call)
    if request is not None:
        return not request.reads and bool(_names(_address(request)) & turn)
    callee = index.resolve_call(function.module, call)
    if callee is None or callee is function or callee.is_async != function.is_async:
        return False
    reached = [effects for _, effects in effects_cache(index).reached(callee)]
    requests = [request for _, request in requests_of(index, function.module, call)]
    if (
        len(requests) != 1
        or requests[0].reads
        or any(one.sql or one.commits or one.unknown_database for one in reached)
    ):
        return False
    own = [argument.arg for argument in parameters(callee.node) if argument.arg not in ("self", "cls")]
    given = {k.arg: k.value for k in call.keywords if k.arg} | dict(zip(own, call.args, strict=False))
    told = {name for name, value in given.items() if _names(value) & turn}
    return bool(_names(_address(requests[0])) & told)


def _address(request: HttpCall) -> ast.expr | None:
    place = 1 if isinstance(request.call.func, ast.Attribute) and request.call.func.attr == "request" else 0
    by_name = next((keyword.value for keyword in request.call.keywords if keyword.arg == "url"), None)
    return by_name or (request.call.args[place] if len(request.call.args) > place else None)


def _names(node: ast.expr | None) -> set[str]:
    return {part.id for part in walk(node) if isinstance(part, ast.Name)} if node is not None else set()

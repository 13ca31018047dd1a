"""Work that stands in a webhook's handler itself, not in a function of its own, and that its answer does not need."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.effects import outgoing_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.rules.answering.answers import is_inert
from swarm.rules.answering.behind_the_answer import is_webhook, surroundings

CHILDREN = ("subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "os.system")
CHECKING = ("raise_for_status",)


@dataclass(frozen=True, slots=True)
class InPlace:
    """One statement of a handler that waits for `called`, behind which only the answer is made."""

    handler: Function
    statement: ast.stmt
    called: str


def work_in_place(index: Index, told: set[Function]) -> Iterator[InPlace]:
    """The last such statement of every webhook's handler but for those that are told of already."""
    seen: set[Function] = set(told)
    for route in index.routes:
        handler = route.function
        if "POST" not in route.methods or handler in seen or not is_webhook(route):
            continue
        seen.add(handler)
        for statement in index.own_of(handler, ast.Expr, ast.Assign):
            call = _waits_for(index, handler, statement)
            after, _ = surroundings(handler, statement, 1) if call is not None else (None, [])
            if call is not None and after is not None and _is_answer_alone(index, handler, statement, after):
                yield InPlace(handler, statement, " ".join(unparsed(call.func).split()))
                break


def _waits_for(index: Index, handler: Function, statement: ast.Expr | ast.Assign) -> ast.Call | None:
    """The outgoing write, or the child process, that a statement waits for."""
    if isinstance(statement, ast.Assign) and not all(isinstance(target, ast.Name) for target in statement.targets):
        return None
    value = statement.value
    while isinstance(value, ast.Await) or (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in CHECKING
    ):  # `requests.post(…).raise_for_status()`
        value = value.value if isinstance(value, ast.Await) else value.func.value  # type: ignore[attr-defined]
    if not isinstance(value, ast.Call):
        return None
    request = outgoing_call(index, handler.module, value)
    if request is not None:
        return value if not request.reads and request.is_async == handler.is_async else None
    runs = index.resolve(handler.module, value.func) in CHILDREN and not handler.is_async
    return value if runs else None


def _is_answer_alone(index: Index, handler: Function, statement: ast.stmt, after: Sequence[ast.stmt]) -> bool:
    """Whether what follows only makes the answer, and without what the statement gave."""
    given = {target.id for target in getattr(statement, "targets", []) if isinstance(target, ast.Name)}
    rest = [part for part in after if not _only_checks(part, given)]
    used = {node.id for part in rest for node in walk(part) if isinstance(node, ast.Name)}
    return bool(rest) and not given & used and all(is_inert(index, handler, part) for part in rest)


def _only_checks(statement: ast.stmt, given: set[str]) -> bool:
    """`answer.raise_for_status()`."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method), args=[])):
            return name in given and method in CHECKING
    return False

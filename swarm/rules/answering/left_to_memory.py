"""Work that a handler leaves to memory and that may be kept on disk instead: what runs, and with which data."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from swarm.analysis.index import Function, Index, Route
from swarm.rules.answering.answers import is_inert
from swarm.rules.answering.behind_the_answer import object_doubt, reach_doubt
from swarm.rules.answering.plain_data import is_plain, positional

TASKS = frozenset({"asyncio.create_task", "asyncio.ensure_future"})


@dataclass(frozen=True, slots=True)
class LeftWork:
    """One statement that leaves work to memory: `callee` is how the handler names the function.

    `doubt` is why it cannot be kept on disk as it stands, "" where it can.
    """

    route: Route
    statement: ast.stmt
    call: ast.Call
    callee: ast.expr
    function: Function
    arguments: tuple[ast.expr, ...]
    doubt: str


def left_work(index: Index, route: Route, call: ast.Call) -> LeftWork | None:
    """What a call leaves to memory, where it stands alone and names a function of the target with its data."""
    handler = route.function
    named = _named(index, handler, call)
    statement = handler.module.statement(call)
    if named is None or not isinstance(statement, ast.Expr):
        return None
    callee, given, keywords = named
    function = index.named_function(handler.module, callee)
    ordered = positional(function, given, keywords) if function is not None else None
    if function is None or ordered is None:
        return None
    return LeftWork(
        route, statement, call, callee, function, ordered, _doubt(index, route, call, callee, function, ordered)
    )


def _named(
    index: Index, handler: Function, call: ast.Call
) -> tuple[ast.expr, list[ast.expr], list[ast.keyword]] | None:
    """The function that a call leaves behind, with its arguments."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    dotted = index.resolve(handler.module, call.func) or ""
    match call.args:
        case [ast.Call() as inner] if dotted in TASKS or method == "create_task":
            return inner.func, list(inner.args), inner.keywords
        case [callee, *given] if method in ("add_task", "submit"):
            return callee, given, call.keywords
        case [] if method == "start" and isinstance(call.func, ast.Attribute):
            return _of_thread(index, handler, call.func.value)
    return None


def _of_thread(
    index: Index, handler: Function, made: ast.expr
) -> tuple[ast.expr, list[ast.expr], list[ast.keyword]] | None:
    """`threading.Thread(target=f, args=(x,)).start()`."""
    if not isinstance(made, ast.Call) or index.resolve(handler.module, made.func) != "threading.Thread":
        return None
    given = {keyword.arg: keyword.value for keyword in made.keywords}
    target, arguments = given.pop("target", None), given.pop("args", ast.Tuple([], ast.Load()))
    if target is None or made.args or given.keys() - {"daemon", "name"}:
        return None
    return (target, list(arguments.elts), []) if isinstance(arguments, ast.Tuple | ast.List) else None


def _doubt(
    index: Index, route: Route, call: ast.Call, callee: ast.expr, function: Function, arguments: tuple[ast.expr, ...]
) -> str:
    handler = route.function
    if index.own_of(function, ast.Yield, ast.YieldFrom):
        return f"{function.qualname} is a generator"
    if function.class_name or "." in function.qualname:
        told = object_doubt(index, handler, callee, function)
        if told:
            return told
    for argument in arguments:
        if not is_plain(index, handler, argument):
            return f"`{handler.module.segment(argument)}` is not known to be plain JSON data"
    after = _after(index, handler, call)
    if isinstance(call.func, ast.Attribute) and call.func.attr == "add_task" \
            and not all(is_inert(index, handler, statement) for statement in after):  # fmt: skip
        return "what follows may fail, and the task would then not have run"
    return reach_doubt(index, route, function, arguments, after)


def _after(index: Index, handler: Function, call: ast.Call) -> list[ast.stmt]:
    """The statements that may run behind the call: all that stand below it."""
    return [
        node for node in index.own_nodes(handler)
        if isinstance(node, ast.stmt) and node.lineno > call.lineno
        and not isinstance(node, ast.If | ast.With | ast.AsyncWith)
    ]  # fmt: skip

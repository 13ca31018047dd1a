"""Loops and comprehensions whose turns each run a query, in a function that they call or in place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.databases.handed_statements import handed_statement
from swarm.analysis.databases.models import last_name
from swarm.analysis.databases.statements import SqlCall, sql_call
from swarm.analysis.effects import effects_cache
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import parameters
from swarm.rules.facts.request_code import COMPREHENSIONS, loops_around

Asks = Callable[[SqlCall, set[str]], bool]  # whether a statement asks by something of these names
Found = tuple[ast.Call, Function, SqlCall]


def reads_by_others(index: Index, function: Function) -> Iterator[Found]:
    """Calls in a loop whose function only reads, by what the turn gives it; queries of comprehensions in place."""
    for call, reader, sql, loop in _asked_by_turn(index, function, _is_keyed):
        if reader is not function or isinstance(loop, COMPREHENSIONS):
            yield call, reader, sql


def selects_by_turn(index: Index, function: Function) -> Iterator[Found]:
    """The same for constructs of SQLAlchemy: `session.get(Person, key)`, `select(…).where(Line.order == key)`."""
    for call, reader, sql, _ in _asked_by_turn(index, function, _is_found_by):
        yield call, reader, sql


def _asked_by_turn(
    index: Index, function: Function, asks: Asks
) -> Iterator[tuple[ast.Call, Function, SqlCall, ast.AST | None]]:
    """Statements that the turns of a loop run, here or in a function that they call, each with its loop."""
    module = function.module
    if is_added(module) or not index.own_of(function, ast.For, ast.AsyncFor, *COMPREHENSIONS):
        return
    for call in index.calls(function):
        loop = next(loops_around(module, call), None)
        names = _turn(loop)
        own = sql_call(index, module, call) if names else None
        if own is not None and asks(own, names):
            yield call, function, own, loop
        if own is not None or not names or not _is_given(call, names):
            continue
        callee = index.resolve_call(module, call)
        passed = handed_statement(index, module, call) if callee is not None else None
        if callee is not None and passed is not None:
            if asks(passed, names):
                yield call, callee, passed, loop
            continue
        found = _only_read(index, callee, asks) if callee is not None and callee is not function else None
        if callee is not None and found is not None:
            yield call, callee, found, loop


def _is_given(call: ast.Call, names: set[str]) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(isinstance(part, ast.Name) and part.id in names for value in given for part in walk(value))


def _is_found_by(sql: SqlCall, names: set[str]) -> bool:
    """Whether a select, a construct, compares a column with one of the names, or gets a row by one as its key."""
    if sql.construct is None or sql.verb != "SELECT":
        return False
    values: list[ast.AST] = []
    for node in walk(sql.construct):
        name = last_name(node.func) if isinstance(node, ast.Call) else ""
        by_key = isinstance(node, ast.Call) and name in ("get", "get_one") and len(node.args) == 1
        if isinstance(node, ast.Call) and name in ("select", "query", "get", "get_one") and not by_key:
            asked = [part for value in node.args[:1] for part in walk(value)]
            if any(isinstance(part, ast.Name) and part.id in names for part in asked):
                return False  # another table in each turn
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
            values += [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            values += [keyword.value for keyword in node.keywords] if node.func.attr == "filter_by" else []
            values += node.args[0 if by_key else 1 :] if node.func.attr in ("get", "get_one") else []
    return any(isinstance(part, ast.Name) and part.id in names for value in values for part in walk(value))


def _only_read(index: Index, function: Function, asks: Asks) -> SqlCall | None:
    """The one statement of a function that does nothing else to the world, where it asks by the parameters."""
    cache = effects_cache(index)
    effects = [effects for _, effects in cache.reached(function)]
    statements = [sql for one in effects for sql in one.sql]
    if len(statements) != 1 or any(one.http or one.dirties for one in effects):
        return None  # what commits behind a SELECT changes nothing
    own = {argument.arg for argument in parameters(function.node)} - {"self", "cls"}
    found = statements[0]
    return found if found in cache.of(function).sql and asks(found, own) else None


def _turn(loop: ast.AST | None) -> set[str]:
    """What a turn of the loop is about: its variables; none of a `while`, and none of what counts attempts."""
    targets: list[ast.expr] = []
    if isinstance(loop, ast.For | ast.AsyncFor):
        counts = isinstance(loop.iter, ast.Call) and unparsed(loop.iter.func) == "range"
        targets = [] if counts else [loop.target]
    elif isinstance(loop, COMPREHENSIONS):
        targets = [generator.target for generator in loop.generators]
    return {part.id for target in targets for part in walk(target) if isinstance(part, ast.Name)}


def _is_keyed(sql: SqlCall, names: set[str]) -> bool:
    """Whether a SELECT in text is given something that goes by one of the names."""
    values = [*sql.call.args[1:], *(keyword.value for keyword in sql.call.keywords)]
    given = [part for value in values for part in walk(value)]
    by_turn = any(isinstance(part, ast.Name) and part.id in names for part in given)
    return sql.verb == "SELECT" and sql.construct is None and by_turn

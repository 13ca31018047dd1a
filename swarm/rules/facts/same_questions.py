"""Reads that ask the same question twice within one request, in one function or by one that it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.databases.handed_statements import given_for
from swarm.analysis.databases.statements import STATEMENT_METHODS, sql_call
from swarm.analysis.effects import effects_cache, http_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.rules.facts.independence import step_of
from swarm.rules.facts.request_code import loops_around

CONDITIONS = (ast.If, ast.IfExp, ast.BoolOp, ast.While, ast.ExceptHandler, ast.Match, ast.Lambda)
# what takes an answer or the rows of a statement apart
TAKEN = frozenset({"fetchone", "fetchall", "fetchmany", "json", "text", "read", "raise_for_status"})


def asked_inside(index: Index, function: Function) -> Iterator[tuple[ast.Call, str]]:
    """Calls of functions that ask what this one has asked before, with the question; nothing changed in between."""
    module = function.module
    seen: dict[str, ast.Call] = {}
    own = {_name(call) for call in index.calls(function)}
    if not any(_name(call) in own for callee in index.callees(function) for call in index.calls(callee)):
        return  # nobody that it calls asks what it asks itself
    calls = sorted(index.calls(function), key=lambda call: (call.lineno, call.col_offset))
    stored = {node.id for node in index.own_of(function, ast.Name) if isinstance(node.ctx, ast.Store)}
    for call in calls:
        callee = index.resolve_call(module, call)
        inner = _asked_first(index, call, callee) if seen and callee is not None and callee is not function else ()
        for text in inner:
            if text in seen and _is_sure(module, seen[text], call):
                yield call, text
                break
        if not _is_read(index, function, call):
            if _may_change(index, function, call):
                seen.clear()
        elif not _names(call) & stored:  # what is bound again may be another question
            seen.setdefault(unparsed(call), call)


def _asked_first(index: Index, call: ast.Call, callee: Function) -> Iterator[str]:
    """What a called function reads before it changes anything, in the words of the call: its arguments put in."""
    if not isinstance(call.func, ast.Attribute | ast.Name):
        return
    given = {argument.arg: given_for(callee, call, argument.arg) for argument in parameters(callee.node)}
    of_object = callee.class_name is not None
    if of_object and not (isinstance(call.func, ast.Attribute) and unparsed(call.func.value) == "self"):
        return  # the two speak of different objects
    local = callee.module.local_names(callee.node) - given.keys()
    for asked in sorted(index.calls(callee), key=lambda one: (one.lineno, one.col_offset)):
        if _is_read(index, callee, asked):
            if not _is_conditional(callee, asked):
                text = _in_words_of(asked, given, local)
                if text is not None:
                    yield text
        elif _may_change(index, callee, asked):
            return


def _is_conditional(function: Function, call: ast.Call) -> bool:
    """Whether a function makes the call only in some cases: it may be spared where the answer is handed in."""
    inner: ast.AST = call
    for around in function.module.ancestors(call):
        if around is function.node:
            return False
        asked = isinstance(around, ast.If | ast.IfExp) and inner is around.test
        if not asked and isinstance(around, (*CONDITIONS, ast.For, ast.AsyncFor, ast.comprehension)):
            return True
        inner = around
    return True


def _in_words_of(asked: ast.Call, given: dict[str, ast.expr | None], local: set[str] | frozenset[str]) -> str | None:
    """A call's text with what was handed in for each parameter; None where it uses the function's own variables."""
    parts: list[str] = []
    for value in [*asked.args, *(word.value for word in asked.keywords)]:
        names = _names(value)
        if names & local:
            return None
        if isinstance(value, ast.Name) and value.id in given:
            handed = given[value.id]
            if handed is None:
                return None
            parts.append(unparsed(handed))
        elif isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id in given \
                and isinstance(value.slice, ast.Constant):  # fmt: skip
            handed = given[value.value.id]
            if not isinstance(handed, ast.Name | ast.Attribute | ast.Subscript):
                return None
            parts.append(f"{unparsed(handed)}[{unparsed(value.slice)}]")
        elif names & given.keys() - {"self"}:
            return None
        else:
            parts.append(unparsed(value))
    if any(word.arg for word in asked.keywords):
        parts[len(asked.args) :] = [f"{word.arg}={text}" for word, text in
                                    zip(asked.keywords, parts[len(asked.args) :], strict=True)]  # fmt: skip
    return f"{unparsed(asked.func)}({', '.join(parts)})"


def asked_again(index: Index, function: Function) -> Iterator[ast.Call]:
    """The second of two calls that ask the same, where the first was surely made and nothing changed since."""
    module = function.module
    seen: dict[str, ast.Call] = {}
    names = [_name(call) for call in index.calls(function)]
    if len(set(names)) == len(names):
        return
    for node in sorted(_relevant(index, function), key=lambda n: (n.lineno, n.col_offset)):
        if not seen and (isinstance(node, ast.Name) or names.count(_name(node)) == 1):
            continue  # nothing to forget, and it is asked but once
        if isinstance(node, ast.Name):
            for text in [text for text, call in seen.items() if node.id in _names(call) and node not in walk(call)]:
                del seen[text]
            continue
        if not _is_read(index, function, node):
            if _may_change(index, function, node):
                seen.clear()
            continue
        text = unparsed(node)
        first = seen.get(text)
        if first is not None and _is_sure(module, first, node):
            yield node
        elif first is None:
            seen[text] = node


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _relevant(index: Index, function: Function) -> Iterator[ast.Call | ast.Name]:
    yield from index.calls(function)
    yield from (node for node in index.own_of(function, ast.Name) if isinstance(node.ctx, ast.Store))


def _is_read(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether it is sure to only ask: a GET, a SELECT, or a function of the service's that does nothing else."""
    request = http_call(index, function.module, call)
    if request is not None:
        return request.reads and request.verb == "GET"
    if _selects(index, function.module, call):
        return True
    if index.resolve_call(function.module, call) is None:
        return False
    if _only_selects(index, function, call):
        return True
    if function.is_async and isinstance(function.module.parent(call), ast.Await):
        return step_of(index, function, ast.Await(value=call)) is not None
    return not function.is_async and step_of(index, function, ast.Await(value=call)) is not None


def _selects(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether it is a SELECT that goes to the database each time; `session.get` may find its object at hand."""
    sql = sql_call(index, module, call)
    by_text = isinstance(call.func, ast.Attribute) and call.func.attr in STATEMENT_METHODS
    return sql is not None and by_text and sql.verb == "SELECT" and bool(sql.tables)


def _only_selects(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether the target's function that is called only reads rows, over a connection that others may share."""
    callee = index.resolve_call(function.module, call)
    reached = [effects for _, effects in effects_cache(index).reached(callee)] if callee is not None else []
    reads = [sql for effects in reached for sql in effects.sql]
    quiet = not any(e.http or e.commits or e.dirties or e.writes_memory or e.unknown_database for e in reached)
    return quiet and bool(reads) and not any(sql.writes for sql in reads)


def _may_change(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether another call may change what the question is about: it writes, waits, or is unknown and awaited."""
    request = http_call(index, function.module, call)
    if request is not None:
        return not request.reads
    sql = sql_call(index, function.module, call)
    if sql is not None:
        return sql.writes
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method in ("commit", "rollback") or method in TAKEN:
        return method not in TAKEN  # what others have written since may be seen behind a transaction's end
    waits = isinstance(function.module.parent(call), ast.Await)
    dotted = index.resolve(function.module, call.func) or ""
    return waits or dotted in ("time.sleep", "asyncio.sleep") or index.resolve_call(function.module, call) is not None


def _is_sure(module: Module, first: ast.Call, second: ast.Call) -> bool:
    """Whether the second never runs without the first: the first's block is around the second, and no loop is."""
    if list(loops_around(module, first)) != list(loops_around(module, second)):
        return False
    around = [node for node in module.ancestors(second) if isinstance(node, ast.stmt)]
    statement = module.statement(first)
    block = module.block_around(statement)
    if module.statement(second) is statement and isinstance(statement, ast.If | ast.While):
        return False
    return any(node in block for node in [module.statement(second), *around]) and not _branches(
        module, first, statement
    )


def _branches(module: Module, node: ast.AST, statement: ast.stmt) -> bool:
    """Whether the call is made only in a part of its statement: behind `and`, `or`, in `x if y else z`, a handler."""
    inner = node
    for around in module.ancestors(node):
        if isinstance(around, ast.BoolOp) and inner is not around.values[0]:
            return True
        if isinstance(around, ast.IfExp) and inner is not around.test:
            return True
        if around is statement:
            return False
        inner = around
    return False


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in walk(node) if isinstance(part, ast.Name)}

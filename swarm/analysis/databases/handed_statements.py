"""SQL that a call hands to a function of the target's which runs it: `rows("SELECT … WHERE id = ?", (key,))`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from swarm.analysis.databases.models import last_name
from swarm.analysis.databases.statements import SQL_WORDS, STATEMENT_METHODS, SqlCall, named_tables, sql_text
from swarm.analysis.source import own_of, parameters

if TYPE_CHECKING:
    from swarm.analysis.index import Index
    from swarm.analysis.parts import Function
    from swarm.analysis.source import Module

NOTE = "parameters that are run as statements"
MOST_STEPS = 4


def handed_statement(index: Index, module: Module, call: ast.Call) -> SqlCall | None:
    """The statement that a call hands on; its `owner` is the function's name, since the connection is elsewhere."""
    if not _hands_sql(call):
        return None
    callee = index.resolve_call(module, call)
    name = run_by(index, callee) if callee is not None else ""
    value = given_for(callee, call, name) if callee is not None and name else None
    text = sql_text(index, module, value) if value is not None else None
    verb = text.split()[0].upper().rstrip(";") if text is not None and text.strip() else ""
    if text is None or verb not in SQL_WORDS:
        return None
    return SqlCall(call, text, verb, named_tables(text), call.func, None)


def is_handed_in(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether what a call runs is its function's parameter, and the text of each caller's statement is known."""
    name = run_by(index, function)
    if not name or not call.args or not _is_parameter(call.args[0], name):
        return False
    calls = [
        (module, one) for module, one in index.calls_named(function.name)
        if index.resolve_call(module, one) is function
    ]  # fmt: skip
    return bool(calls) and all(
        handed_statement(index, module, one) is not None or _goes_on(index, module, one, function)
        for module, one in calls
    )


def _goes_on(index: Index, module: Module, call: ast.Call, function: Function) -> bool:
    """Whether a caller only hands on what it was itself given: its own callers tell."""
    around = index.enclosing(module, call)
    value = given_for(function, call, run_by(index, function))
    if around is None or around is function or not isinstance(value, ast.Name):
        return False
    return run_by(index, around) == value.id and is_handed_in(index, around, call)


def run_by(index: Index, function: Function, depth: int = 0) -> str:
    """The parameter whose text the function runs as a statement, by itself or by another one; "" where there is none.

    It is set nowhere in the function, so that what runs is what was handed in.
    """
    known = index.notes.setdefault(NOTE, {})
    assert isinstance(known, dict)
    if function not in known:
        known[function] = ""  # a recursion ends here
        known[function] = _run_by(index, function, depth)
    return str(known[function])


def _run_by(index: Index, function: Function, depth: int) -> str:
    names = [argument.arg for argument in parameters(function.node) if argument.arg not in ("self", "cls")]
    if not names:
        return ""
    for call in index.calls(function):
        first = call.args[0] if call.args else None
        if isinstance(call.func, ast.Attribute) and call.func.attr in STATEMENT_METHODS and first is not None:
            for name in names:
                if _is_parameter(first, name) and not _is_set(function, name):
                    return name
        if depth >= MOST_STEPS or not _hands_on(call, names):
            continue
        callee = index.resolve_call(function.module, call)
        inner = run_by(index, callee, depth + 1) if callee is not None and callee is not function else ""
        handed = given_for(callee, call, inner) if callee is not None and inner else None
        if isinstance(handed, ast.Name) and handed.id in names and not _is_set(function, handed.id):
            return handed.id
    return ""


def _is_set(function: Function, name: str) -> bool:
    stores = (node for node in own_of(function.node, ast.Name) if node.id == name)
    return any(isinstance(node.ctx, ast.Store) for node in stores)


def _hands_on(call: ast.Call, names: list[str]) -> bool:
    """Whether a call is given one of the parameters as it is."""
    for value in call.args:
        if isinstance(value, ast.Name) and value.id in names:
            return True
    return any(isinstance(word.value, ast.Name) and word.value.id in names for word in call.keywords)


def given_for(function: Function, call: ast.Call, name: str) -> ast.expr | None:
    """What a call gives for a parameter; None where it leaves it out, or a star hides it."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    names = [argument.arg for argument in (*function.node.args.posonlyargs, *function.node.args.args)]
    if name not in names or any(isinstance(value, ast.Starred) for value in call.args):
        return None
    place = names.index(name) - (names[0] in ("self", "cls"))
    return call.args[place] if 0 <= place < len(call.args) else None


def _is_parameter(value: ast.expr, name: str) -> bool:
    """`sql`, or `text(sql)`."""
    if isinstance(value, ast.Call) and last_name(value.func) == "text" and value.args:
        value = value.args[0]
    return isinstance(value, ast.Name) and value.id == name


def _hands_sql(call: ast.Call) -> bool:
    for value in call.args[:2]:
        if _may_be_sql(value):
            return True
    return bool(call.keywords) and any(_may_be_sql(keyword.value) for keyword in call.keywords)


def _may_be_sql(value: ast.expr) -> bool:
    match value:
        case ast.Constant(value=str(text)) | ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            return text.split(None, 1)[0].upper().rstrip(";") in SQL_WORDS if text.strip() else False
        case ast.BinOp(left=left, op=ast.Add()):
            return _may_be_sql(left)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper()
    return False

"""Whether code asks nothing of a value but what plain values have: keys, items, a length, a text of it."""

from __future__ import annotations

import ast

from swarm.analysis.index import Function, Index
from swarm.analysis.source import Module

_PLAIN = (dict, list, str, int, float, set, bytes, tuple)
_METHODS = frozenset(name for kind in _PLAIN for name in dir(kind) if not name.startswith("_")) | {"isoformat"}
_ASKS = frozenset({
    "len", "str", "int", "float", "bool", "list", "dict", "set", "tuple", "sorted", "sum", "min", "max", "any", "all",
    "enumerate", "zip", "reversed", "repr", "print", "type", "round", "range", "frozenset",
    "json.dumps", "flask.jsonify", "starlette.responses.JSONResponse", "fastapi.responses.JSONResponse",
})  # fmt: skip
_CALLERS_DEEP = 2


def is_used_as_plain(index: Index, module: Module, node: ast.expr) -> bool:
    """Of what an expression gives: every use is one of a plain value, also where it is returned to callers."""
    return _is_plain_use(index, module, node, 0)


def _is_plain_use(index: Index, module: Module, node: ast.expr, depth: int) -> bool:
    around = module.parent(node)
    match around:
        case ast.Expr():
            return True
        case ast.Subscript() if around.value is node:
            return _is_plain_use(index, module, around, depth)
        case ast.Attribute():
            call = module.parent(around)
            if around.attr not in _METHODS or not isinstance(call, ast.Call) or call.func is not around:
                return False
            return _is_plain_use(index, module, call, depth)
        case ast.Compare() | ast.FormattedValue() | ast.UnaryOp():
            return True
        case ast.BinOp():
            return True
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
            return _is_plain_use(index, module, around, depth)
        case ast.BoolOp() | ast.IfExp() | ast.Starred() | ast.List() | ast.Tuple() | ast.Dict():
            return _is_plain_use(index, module, around, depth)
        case ast.If() | ast.While() | ast.Assert():
            return True
        case ast.Call():
            return node in around.args and (module.resolve(around.func) or "") in _ASKS
        case ast.keyword():
            call = module.parent(around)
            return isinstance(call, ast.Call) and (module.resolve(call.func) or "") in _ASKS
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            return around.iter is node and _names_are_plain(index, module, around.target, depth)
        case ast.Assign():
            return all(_names_are_plain(index, module, target, depth) for target in around.targets)
        case ast.AnnAssign() | ast.NamedExpr():
            return _names_are_plain(index, module, around.target, depth)
        case ast.Return():
            return _is_plain_answer(index, module, around, depth)
    return False


def _names_are_plain(index: Index, module: Module, target: ast.expr, depth: int) -> bool:
    """Of names that hold the value, or parts of it."""
    if isinstance(target, ast.Tuple | ast.List):
        return all(_names_are_plain(index, module, one, depth) for one in target.elts)
    function = module.enclosing_function(target)
    if not isinstance(target, ast.Name) or function is None:
        return False
    uses = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == target.id]
    return all(isinstance(n.ctx, ast.Store | ast.Del) or _is_plain_use(index, module, n, depth) for n in uses)


def _is_plain_answer(index: Index, module: Module, node: ast.Return, depth: int) -> bool:
    """What a handler returns is written out as JSON or text; what another function returns is its callers' to use."""
    function = index.enclosing(module, node)
    if function is None or depth >= _CALLERS_DEEP:
        return False
    if any(route.function is function for route in index.routes):
        return True
    calls = _calls_of(index, function)
    return bool(calls) and all(_is_plain_use(index, where, call, depth + 1) for where, call in calls)


def _calls_of(index: Index, function: Function) -> list[tuple[Module, ast.Call]]:
    return [(where, call) for where, call in index.calls_named(function.name)
            if index.resolve_call(where, call) is function]  # fmt: skip

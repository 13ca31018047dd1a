"""What rules about the code that requests run ask again and again: its functions, and the loops around a node."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import cast

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import own_of, within
from swarm.analysis.source import Module

KEPT_BY = ("cache", "lru_cache", "cached_property", "alru_cache", "fixture")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_OF_INTEREST = frozenset({
    ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.For, ast.AsyncFor, ast.While,
    ast.comprehension, *COMPREHENSIONS,
})  # fmt: skip
_TURNING = (ast.For, ast.AsyncFor, ast.While, *COMPREHENSIONS)


def request_functions(index: Index) -> Sequence[Function]:
    """The functions that requests run, but for those whose answer a decorator keeps; none where no route is known."""
    if "request functions" not in index.notes:
        several = index.functions_on_path if index.routes else ()
        found = tuple(one for one in several if not is_kept(one) and not is_added(one.module))
        index.notes["request functions"] = found
    return cast("Sequence[Function]", index.notes["request functions"])


def is_kept(function: Function) -> bool:
    """Whether a decorator keeps what the function gives: it runs once, not on every request."""
    names = [unparsed(d).split("(")[0].rsplit(".", 1)[-1].lower() for d in function.node.decorator_list]
    return any(name in KEPT_BY for name in names)


def has_turns(function: Function) -> bool:
    """Whether there is a loop or a comprehension in the function's own body."""
    return bool(own_of(function.node, *_TURNING))


def loops_around(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    """The loops and comprehensions of its own function that run the node each turn, the innermost first."""
    function = module.enclosing_function(node)
    if function is not None and not own_of(function, *_TURNING):
        return iter(())  # nothing turns in most functions
    return _loops_around(module, node)


def _loops_around(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    inner, once = node, False
    for around in module.ancestors(node):
        if type(around) not in _OF_INTEREST:
            inner = around
            continue
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            return
        if isinstance(around, ast.For | ast.AsyncFor | ast.While):
            if inner is not getattr(around, "iter", None) and inner not in around.orelse:
                yield around
        elif isinstance(around, ast.comprehension):
            once = inner is around.iter
        elif isinstance(around, COMPREHENSIONS):
            if not (once and inner is around.generators[0]):
                yield around
            once = False
        inner = around


def is_kept_by_hand(module: Module, node: ast.AST, function: Function) -> bool:
    """Whether what is made goes into a global or an attribute, or is only made where there is none yet."""
    outer = {name for part in within(function.node, ast.Global) for name in part.names}
    outer |= {name for part in within(function.node, ast.Nonlocal) for name in part.names}
    statement = module.statement(node)
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    for target in targets:
        if isinstance(target, ast.Attribute | ast.Subscript) or (isinstance(target, ast.Name) and target.id in outer):
            return True
    for around in module.ancestors(node):
        if around is function.node:
            return False
        if isinstance(around, ast.If) and any(
            _asks_for_none(compare) for compare in within(around.test, ast.Compare)
        ):
            return True
    return False


def _asks_for_none(compare: ast.Compare) -> bool:
    """`client is None`, `key not in clients`."""
    return any(
        isinstance(operator, ast.NotIn)
        or (isinstance(operator, ast.Is) and isinstance(side, ast.Constant) and side.value is None)
        for operator, side in zip(compare.ops, compare.comparators, strict=True)
    )


def is_spelt_out(index: Index, function: Function, loop: ast.AST) -> bool:
    """Whether a loop goes through what the code writes down: a display, a local name of one, a constant in capitals.

    Its turns are few, whatever a request brings.
    """
    over: ast.AST | None = getattr(loop, "iter", None)
    if over is None:
        over = loop.generators[0].iter if isinstance(loop, COMPREHENSIONS) else None
    if isinstance(over, ast.Name):
        bound = index.kinds.bindings(function.node).get(over.id, [])
        over = bound[0] if len(bound) == 1 and not over.id.isupper() else over
    if isinstance(over, ast.List | ast.Tuple | ast.Set):
        return not any(isinstance(part, ast.Starred) for part in over.elts)
    return isinstance(over, ast.Name | ast.Attribute) and unparsed(over).rsplit(".", 1)[-1].isupper()

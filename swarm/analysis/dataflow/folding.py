"""Operators on constants and templates: what is known before the program runs."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable

from swarm.analysis.dataflow.values import MOST_TEXT, Value, concatenated, derived, literal

_ARITHMETIC: dict[type[ast.operator], Callable[[object, object], object]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv, ast.Mod: operator.mod,
}  # fmt: skip


def folded_operator(operation: ast.operator, left: tuple[object, ...], right: tuple[object, ...]) -> Value | None:
    """What an operator makes of constants; None where that is not known."""
    function = _ARITHMETIC.get(type(operation))
    if function is None or len(left) * len(right) > 4:
        return None
    try:
        results = [function(a, b) for a in left for b in right if not _is_huge(operation, a, b)]
    except (TypeError, ValueError, ArithmeticError):
        return None
    if len(results) != len(left) * len(right) or any(isinstance(r, str) and len(r) > MOST_TEXT for r in results):
        return None
    only = results[0] if len(results) == 1 and isinstance(results[0], str) else None
    return Value(constants=tuple(results), text=only)


def _is_huge(operation: ast.operator, left: object, right: object) -> bool:
    """A product that could fill the memory."""
    return isinstance(operation, ast.Mult) and (
        not isinstance(left, int | float) or not isinstance(right, int | float) or abs(left) > 1e9 or abs(right) > 1e9
    )


def percent(left: Value, right: Value) -> Value:
    """`template % values`."""
    template = left.constant
    if not isinstance(template, str):
        return derived(left, right)
    pieces = re.split(r"%([%s])", template)  # text, mark, text, mark, … text
    given = list(right.items.values()) if right.items is not None and right.shape == "list" else [right]
    if "%" in "".join(pieces[::2]) or pieces[1::2].count("s") != len(given):
        return derived(left, right)
    left_over = iter(given)
    parts = [literal(pieces[0])]
    for mark, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        parts += [literal("%") if mark == "%" else next(left_over), literal(piece)]
    return concatenated(parts)

"""Placeholders that are counted out: `", ".join(f":id{n}" for n, _ in enumerate(ids))` holds no value."""

from __future__ import annotations

import ast

from swarm.analysis.module import walk


def counts_out(value: ast.expr) -> bool:
    """Whether a text is joined from constants and running numbers alone."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute) or value.func.attr != "join":
        return False
    given = value.args[0] if len(value.args) == 1 else None
    if not isinstance(given, ast.GeneratorExp | ast.ListComp) or not isinstance(value.func.value, ast.Constant):
        return False
    if not isinstance(given.elt, ast.Constant | ast.JoinedStr):
        return False
    numbers: set[str] = set()
    for loop in given.generators:
        asked = loop.iter.func.id if isinstance(loop.iter, ast.Call) and isinstance(loop.iter.func, ast.Name) else ""
        target = loop.target.elts[0] if asked == "enumerate" and isinstance(loop.target, ast.Tuple) else loop.target
        if asked in ("enumerate", "range") and isinstance(target, ast.Name):
            numbers.add(target.id)
    return all(part.id in numbers for part in walk(given.elt) if isinstance(part, ast.Name)) and not any(
        isinstance(part, ast.Call | ast.Attribute | ast.Subscript) for part in walk(given.elt)
    )

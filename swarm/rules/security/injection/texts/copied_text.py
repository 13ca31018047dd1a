"""A text in a variable that several read: mended on a copy at the one place where it does harm."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from swarm.analysis.edits import Edit, apply_edits
from swarm.analysis.module import walk
from swarm.analysis.source import Module


def moved(module: Module, text: ast.expr, place: ast.expr, edits: Iterable[Edit]) -> list[Edit]:
    """Edits of a text that a variable holds, made on a copy of it at the place that uses the variable.

    What else reads the variable (an answer that shows the query, a log) goes on seeing the text as it was.
    """
    start, end = module.span(text)
    inside = [edit for edit in edits if start <= edit.start and edit.end <= end]
    shifted = [Edit(edit.start - start, edit.end - start, edit.text) for edit in inside]
    written = apply_edits(module.text[start:end], shifted)
    others = [edit for edit in edits if edit not in inside]
    return [Edit(*module.span(place), written), *others]


def is_steady(module: Module, text: ast.expr, user: ast.expr) -> bool:
    """Whether a text is always built before its user runs, and no value of it is written between them."""
    built, used = module.statement(text), module.statement(user)
    function = module.enclosing_function(user)
    names = {node.id for node in walk(text) if isinstance(node, ast.Name)}
    changed = any(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in names
        and built.lineno < node.lineno <= used.lineno
        for node in walk(function or module.tree)
    )  # fmt: skip
    block = module.parent(built)
    for around in module.ancestors(used):
        if around is block:
            return not changed
        if isinstance(
            around, ast.For | ast.AsyncFor | ast.While | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        ):
            return False
    return False

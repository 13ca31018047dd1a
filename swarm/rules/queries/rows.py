"""How the rows of a query are handled: gone through twice, read by subscript only, of a kind of their own."""

from __future__ import annotations

import ast

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module


def gives_list(value: ast.AST) -> bool:
    """Whether a value is all rows at once, to be gone through as often as one likes; awaited or not."""
    if isinstance(value, ast.Await):
        value = value.value
    if isinstance(value, ast.List | ast.ListComp | ast.Tuple):
        return True
    if not isinstance(value, ast.Call):
        return False
    name = value.func.attr if isinstance(value.func, ast.Attribute) else unparsed(value.func)
    return name in ("fetchall", "sorted", "list", "tuple", "execute_fetchall")


def rebinds(loop: ast.For, names: set[str]) -> bool:
    """Whether a loop's body gives one of the names another value."""
    stores = {node.id for statement in loop.body for node in walk(statement)
              if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}  # fmt: skip
    return bool(stores & names)


def other_rows(index: Index) -> bool:
    """Whether connections of this tree give rows of a kind of their own (a dict has no last column)."""
    for module in index.tree.modules.values():
        for node in module.nodes(ast.Assign):
            target = node.targets[0]
            if isinstance(target, ast.Attribute) and target.attr == "row_factory":
                value = index.resolve(module, node.value) or unparsed(node.value)
                if value not in ("sqlite3.Row", "aiosqlite.Row", "None"):
                    return True
    return False


def only_read(module: Module, function: Function, name: str, many: bool, binding: ast.AST | None) -> bool:
    """Whether a function does nothing with a name but test it and read it by constant subscripts.

    With `many` the name holds rows: they may be counted and gone through, and each must be read so. `binding` is the
    node that gives the name its value; any other that does makes it False.
    """
    for node in walk(function.node):
        if not isinstance(node, ast.Name) or node.id != name:
            continue
        parent = module.parent(node)
        if isinstance(node.ctx, ast.Store):
            if parent is binding:
                continue
            return False
        if isinstance(parent, ast.Compare | ast.If | ast.IfExp | ast.BoolOp | ast.UnaryOp):
            continue
        is_constant = isinstance(parent, ast.Subscript) and isinstance(parent.slice, ast.Constant)
        if not many and is_constant and parent is not None and getattr(parent, "value", None) is node:
            continue
        if many and isinstance(parent, ast.Call) and unparsed(parent.func) == "len":
            continue
        is_walk = many and isinstance(parent, ast.For | ast.comprehension) and parent.iter is node
        row = parent.target if is_walk and isinstance(parent, ast.For | ast.comprehension) else None
        if isinstance(row, ast.Name) and only_read(module, function, row.id, False, parent):
            continue
        return False
    return True

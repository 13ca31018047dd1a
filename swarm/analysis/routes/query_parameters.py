"""Query parameters that code reads by their names."""

from __future__ import annotations

import ast

_READERS = ("args", "query_params")


def read_parameter(node: ast.AST) -> str:
    """`q` for request.args.get("q"), request.args["q"], request.query_params.get("q"); "" for anything else."""
    where: ast.expr | None = None
    key: ast.expr | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if node.func.attr in ("get", "getlist"):
            where, key = node.func.value, node.args[0]
    elif isinstance(node, ast.Subscript):
        where, key = node.value, node.slice
    if isinstance(where, ast.Attribute) and where.attr in _READERS and isinstance(key, ast.Constant):
        return key.value if isinstance(key.value, str) else ""
    return ""

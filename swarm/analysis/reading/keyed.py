"""Reads by a key: `owner[key]`, `owner.get(key)`."""

from __future__ import annotations

import ast


def keyed_read(node: ast.AST, *methods: str) -> tuple[ast.expr, ast.expr] | None:
    """What is read from and the key, for `owner[key]` and `owner.get(key, …)` (or one of `methods`); None else."""
    match node:
        case ast.Subscript(value=owner, slice=key, ctx=ast.Load()):
            return owner, key
        case ast.Call(func=ast.Attribute(value=owner, attr=name), args=[key, *_]) if name in (methods or ("get",)):
            return owner, key
    return None

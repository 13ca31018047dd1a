"""Query parameters that code reads by their names."""

from __future__ import annotations

import ast

from swarm.analysis.reading.keyed import keyed_read

_READERS = ("args", "query_params")


def read_parameter(node: ast.AST) -> str:
    """`q` for request.args.get("q"), request.args["q"], request.query_params.get("q"); "" for anything else."""
    where, key = keyed_read(node, "get", "getlist") or (None, None)
    if isinstance(where, ast.Attribute) and where.attr in _READERS and isinstance(key, ast.Constant):
        return key.value if isinstance(key.value, str) else ""
    return ""

"""The routes of a service as probes want them: GET routes with the query parameters that the code reads."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarm.analysis.index import Index, Route

_READERS = ("args", "query_params")
_NOT_QUERY = ("Request", "Response", "BackgroundTasks", "WebSocket", "HTTPConnection", "SecurityScopes")
_ELSEWHERE = ("Depends", "Header", "Cookie", "Body", "Form", "File", "Security", "Path")


def routes_of(index: Index) -> tuple[tuple[str, str], ...]:
    """(method, path) of every route; query parameters that the code reads stand at the end, `?q=&limit=`."""
    found: list[tuple[str, str]] = []
    for route in index.routes:
        path = re.sub(r"<(?:[^<>:]+:)?(\w+)>", r"{\1}", route.path)
        names = query_parameters(route)
        query = "?" + "&".join(f"{name}=" for name in names) if names else ""
        found += [(method.upper(), path + query) for method in route.methods]
    return tuple(dict.fromkeys(found))


def query_parameters(route: Route) -> tuple[str, ...]:
    """Names of query parameters, in the order of the code."""
    node = route.function.node
    names: list[str] = []
    if route.framework == "fastapi":
        in_path = set(re.findall(r"\{(\w+)", route.path))
        arguments = node.args
        defaults: dict[str, ast.expr] = {}
        plain = [*arguments.posonlyargs, *arguments.args]
        for argument, default in zip(reversed(plain), reversed(arguments.defaults), strict=False):
            defaults[argument.arg] = default
        for argument, given in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if given is not None:
                defaults[argument.arg] = given
        names += [
            argument.arg
            for argument in (*plain, *arguments.kwonlyargs)
            if argument.arg not in in_path and _is_query(argument, defaults.get(argument.arg))
        ]
    for inner in ast.walk(node):
        name = _read_name(inner)
        if name:
            names.append(name)
    return tuple(dict.fromkeys(names))


def _is_query(argument: ast.arg, default: ast.expr | None) -> bool:
    words = ast.unparse(argument.annotation) if argument.annotation else ""
    given = ast.unparse(default) if default is not None else ""
    if argument.arg in ("self", "cls") or any(word in words for word in _NOT_QUERY):
        return False
    if any(f"{word}(" in words or f"{word}(" in given for word in _ELSEWHERE):
        return False
    simple = re.search(r"\b(str|int|float|bool|date|datetime|UUID)\b", words)
    return bool(simple) or (not words and default is not None)


def _read_name(node: ast.AST) -> str:
    """`q` for request.args.get("q"), request.args["q"], request.query_params.get("q")."""
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

"""The routes of a service as probes want them: GET routes with the query parameters that the code reads."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from swarm.analysis.layout import unparsed
from swarm.analysis.reading.keyed import keyed_read
from swarm.analysis.routes.header_parameters import header_parameters
from swarm.analysis.routes.query_parameters import read_parameter

if TYPE_CHECKING:
    from swarm.analysis.index import Index, Route
    from swarm.analysis.source import Module

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


def headers_of(index: Index) -> tuple[str, ...]:
    """Names of request headers that the code reads: `headers.get("X-Key")`, `headers["X-Key"]`, `x_key=Header()`."""
    names: list[str] = []
    for module in index.tree.modules.values():
        for node in (*module.nodes(ast.Subscript), *module.nodes(ast.Call)):
            owner, key = keyed_read(node) or (None, None)
            if isinstance(owner, ast.Attribute) and owner.attr == "headers" and key is not None:
                names += _texts(module, key)
    for function in index.functions:
        names += header_parameters(index, function).values()
    return tuple(dict.fromkeys(names))


def _texts(module: Module, expression: ast.expr) -> list[str]:
    """The text of a constant, or of a global of the module that is one."""
    if isinstance(expression, ast.Name):
        value = getattr(module.globals.get(expression.id), "value", None)
        expression = value if isinstance(value, ast.expr) else expression
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        return [expression.value]
    return []


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
        name = read_parameter(inner)
        if name:
            names.append(name)
    return tuple(dict.fromkeys(names))


def _is_query(argument: ast.arg, default: ast.expr | None) -> bool:
    words = unparsed(argument.annotation) if argument.annotation else ""
    given = unparsed(default) if default is not None else ""
    if argument.arg in ("self", "cls") or any(word in words for word in _NOT_QUERY):
        return False
    if any(f"{word}(" in words or f"{word}(" in given for word in _ELSEWHERE):
        return False
    simple = re.search(r"\b(str|int|float|bool|date|datetime|UUID)\b", words)
    return bool(simple) or (not words and default is not None)

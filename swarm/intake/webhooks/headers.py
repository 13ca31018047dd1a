"""Which headers of a request the code reads, and what it compares them with: the kinds of event that it knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.constants import text_of
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import Function
from swarm.analysis.reading.keyed import keyed_read
from swarm.analysis.routes.header_parameters import header_parameters
from swarm.analysis.source import Module
from swarm.intake.values.shapes import Reader, Shape


def header_values(index: Index, handler: Function) -> dict[str, tuple[str, ...]]:
    """The texts that each header is compared with, by its name in small letters, in the order of the code."""
    shape = Shape()
    names = {parameter: shape.key(header.lower()) for parameter, header in header_parameters(index, handler).items()}
    _Headers(index, shape, of_request=False).read(handler, names)
    found: dict[str, tuple[str, ...]] = {}
    for name, inner in shape.fields.items():
        texts = tuple(choice for choice in inner.choices if isinstance(choice, str))
        found[name.lower()] = tuple(dict.fromkeys((*found.get(name.lower(), ()), *texts)))
    return {name: texts for name, texts in found.items() if texts}


def headers_read(index: Index, function: Function, among: frozenset[Function]) -> Iterator[str]:
    """Names of headers that a function reads; those that it is told are taken from callers among these."""
    yield from header_parameters(index, function).values()
    for node in index.own_nodes(function):
        owner, given = keyed_read(node) or (None, None)
        if owner is not None and unparsed(owner).endswith("headers"):
            name = text_of(index, function.module, given)
            if name:
                yield name
            elif isinstance(given, ast.Name):
                yield from _passed(index, function, given.id, among)


def _passed(index: Index, function: Function, parameter: str, among: frozenset[Function]) -> Iterator[str]:
    """The texts that callers give to a parameter: a check that is told which header holds the signature."""
    arguments = function.node.args
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args] if a.arg not in ("self", "cls")]
    if parameter not in [*names, *(a.arg for a in arguments.kwonlyargs)]:
        return
    for caller in (one for one in index.callers(function) if one in among):
        for call in index.calls(caller):
            if index.resolve_call(caller.module, call) is not function:
                continue
            given = next((k.value for k in call.keywords if k.arg == parameter), None)
            if given is None and parameter in names[: len(call.args)]:
                given = call.args[names.index(parameter)]
            if text := text_of(index, caller.module, given):
                yield text


class _Headers(Reader):
    """Follows the headers of the request instead of its body."""

    def is_root(self, module: Module, node: ast.expr) -> bool:
        """Whether an expression is the request's headers, wherever they are handed to."""
        return isinstance(node, ast.Name | ast.Attribute) and unparsed(node).rsplit(".", 1)[-1] == "headers"

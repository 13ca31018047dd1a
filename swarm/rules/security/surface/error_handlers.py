"""Functions that a framework calls with an error that nobody caught: which error they get, and by what name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import FunctionNode, Module, parameters

_DECORATORS = {"errorhandler": 0, "app_errorhandler": 0, "exception_handler": 1}  # and where the error stands
_CALLS = {"register_error_handler": 0, "add_exception_handler": 1}
_WHATEVER = ("Exception", "BaseException")


@dataclass(frozen=True, slots=True)
class ErrorHandler:
    """One of them: `error` is the parameter that holds the error, `kind` what it handles, `broad` whether all."""

    node: FunctionNode
    error: str
    kind: str
    broad: bool


def error_handlers(index: Index, module: Module) -> Iterator[ErrorHandler]:
    """Those of a module, each once for the broadest kind that it was registered for."""
    found: dict[FunctionNode, ErrorHandler] = {}
    if "registered error handlers" not in index.notes:
        index.notes["registered error handlers"] = tuple(_registered(index))
    registered = cast("tuple[tuple[Function, Module, ast.expr, int], ...]", index.notes["registered error handlers"])
    for function, registered_in, asked, place in registered:
        if function.module is not module:
            continue
        kind = unparsed(asked)
        names = [argument.arg for argument in parameters(function.node) if argument.arg not in ("self", "cls")]
        if place >= len(names) or index.resolve(registered_in, asked) in index.classes:
            continue  # of the service's own kinds: their texts are meant for the sender
        if kind == "500" and place == 0:
            continue  # Flask hands over an error of its own, which names nothing; Starlette what was raised
        broad = kind in _WHATEVER or kind == "500"
        one = ErrorHandler(function.node, names[place], kind, broad)
        if function.node not in found or broad:
            found[function.node] = one
    yield from found.values()


def _registered(index: Index) -> Iterator[tuple[Function, Module, ast.expr, int]]:
    """Handler, where and for what it is registered, and the place of its error among its parameters."""
    for function in index.functions:
        for decorator in function.node.decorator_list:
            if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute) and decorator.args:
                place = _DECORATORS.get(decorator.func.attr)
                if place is not None:
                    yield function, function.module, decorator.args[0], place
    for name, place in _CALLS.items():
        for module, call in index.calls_named(name):
            named = index.named_function(module, call.args[1]) if len(call.args) == 2 else None
            if named is not None:
                yield named, module, call.args[0], place
    for name in ("FastAPI", "Starlette"):
        for module, call in index.calls_named(name):
            table = next((k.value for k in call.keywords if k.arg == "exception_handlers"), None)
            for key, value in zip(table.keys, table.values, strict=True) if isinstance(table, ast.Dict) else ():
                named = index.named_function(module, value)
                if named is not None and key is not None:
                    yield named, module, key, 1

"""Parameters that FastAPI fills from headers: `x_signature: str = Header()`, `Annotated[str, Header(alias="…")]`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from swarm.analysis.constants import text_of
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import parameters

if TYPE_CHECKING:
    from swarm.analysis.index import Index
    from swarm.analysis.parts import Function


def header_parameters(index: Index, function: Function) -> dict[str, str]:
    """The names of those parameters, each with its header: the alias as it is written, else by the name."""
    arguments = function.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip(reversed(positional), reversed(arguments.defaults), strict=False))
    defaults |= {a: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None}
    found: dict[str, str] = {}
    for argument in parameters(function.node):
        home, written = function.module, argument.annotation
        if written is not None:
            home, written = index.written_out(function.module, written)
        places = [(function.module, defaults.get(argument)), (home, written)]
        made = next(((where, node) for where, part in places if part is not None for node in walk(part)
                     if isinstance(node, ast.Call) and _is_header(node)), None)  # fmt: skip
        if made is not None:
            alias = next((text_of(index, made[0], k.value) for k in made[1].keywords if k.arg == "alias"), None)
            found[argument.arg] = alias or argument.arg.replace("_", "-")
    return found


def _is_header(call: ast.Call) -> bool:
    return unparsed(call.func).rsplit(".", 1)[-1] == "Header"

"""How a client is built: by a factory that hands it out, from arguments that never change."""

from __future__ import annotations

import ast

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module

IN_PROCESS = ("ASGITransport", "WSGITransport", "MockTransport")
MOST_BASES = 8


def is_in_process(index: Index, module: Module, value: ast.expr) -> bool:
    """Whether an argument is a transport that opens no connection at all."""
    return isinstance(value, ast.Call) and (index.kinds.of(module, value) or "").rsplit(".", 1)[-1] in IN_PROCESS


def hands_out(index: Index, function: Function, names: set[str]) -> bool:
    """Whether the function is a factory: it returns the client, or keeps it somewhere."""
    for node in index.own_nodes(function):
        value = node.value if isinstance(node, ast.Return | ast.Yield | ast.Assign) else None
        if isinstance(value, ast.Name) and value.id in names:
            return True
    return False


def is_fixed(index: Index, module: Module, node: ast.expr) -> bool:
    """Whether an argument is the same for every call: constants, and names of the module or of what it imports."""
    for part in walk(node):
        if isinstance(part, ast.Name) and module.resolve(part) is None:
            return False
        if isinstance(part, ast.Await | ast.Yield | ast.NamedExpr):
            return False
        if isinstance(part, ast.Call):
            dotted = index.resolve(module, part.func) or ""
            known = dotted.split(".")[0] in ("httpx", "aiohttp", "float", "int")
            if not known or index.tree.split(dotted)[0] is not None:
                return False
    return True


def construction(index: Index, module: Module, owner: ast.expr) -> ast.Call | None:
    """The call that built a client: of the function's own name, of a module's, or of an attribute of its class."""
    value: ast.AST | None = None
    around = module.enclosing_function(owner)
    if isinstance(owner, ast.Name) and around is not None:
        value = next(iter(index.kinds.bindings(around).get(owner.id, [])), None)
    if value is None:
        home, name = index.tree.split(index.resolve(module, owner) or "", module)
        value = getattr(home.globals.get(name), "value", None) if home is not None else None
    if value is None and isinstance(owner, ast.Attribute):
        value = _member(index, index.kinds.of(module, owner.value), owner.attr)
    return value if isinstance(value, ast.Call) else None


def _member(index: Index, dotted: str | None, name: str) -> ast.AST | None:
    """What a class of the target, or the nearest of its first bases, assigns to an attribute."""
    for _ in range(MOST_BASES):
        info = index.classes.get(dotted or "")
        if info is None or name in info.attributes:
            return info.attributes[name] if info is not None else None
        dotted = index.resolve(info.module, info.node.bases[0]) if info.node.bases else None
    return None


def is_doubled(index: Index, module: Module, constructor: ast.expr) -> bool:
    """Whether the tests put something of their own in place of what is called, so that it must stay called so."""
    dotted = index.resolve(module, constructor) or ""
    if dotted in index.tree.doubled:
        return True
    within = {dotted, dotted.rpartition(".")[2], unparsed(constructor)}  # as the module itself names it
    for double in index.tree.doubled:
        owners = {double.removesuffix(f".{name}") for name in within if double.endswith(f".{name}")}
        if any(f".{module.dotted}".endswith(f".{o}") or f".{o}".endswith(f".{module.dotted}") for o in owners):
            return True
    return False

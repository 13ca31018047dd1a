"""Classes whose objects requests make for themselves: what such an object opens, it opens on every request."""

from __future__ import annotations

import ast

from swarm.analysis.index import Function, Index
from swarm.rules.facts.request_code import is_kept_by_hand, request_functions

NOTE = "request objects"
OPENING = ("__init__", "__aenter__", "__enter__", "__post_init__")


def opens_for_request(index: Index, function: Function) -> bool:
    """Whether a method makes an object ready that requests make: its `__init__`, or where its `with` begins."""
    owner = function.dotted.rpartition(".")[0]
    return function.class_name is not None and function.name in OPENING and owner in made_by_requests(index)


def made_by_requests(index: Index) -> frozenset[str]:
    """The target's classes of which requests make objects that nothing keeps."""
    known = index.notes.get(NOTE)
    if not isinstance(known, frozenset):
        made, used_here = _made(index)
        known = frozenset(used_here | (made - _kept(index)))
        index.notes[NOTE] = known
    return known


def _made(index: Index) -> tuple[set[str], set[str]]:
    """The classes of which requests make objects, and those whose object the same function uses and lets go of."""
    found: set[str] = set()
    used_here: set[str] = set()
    for function in request_functions(index):
        if function.name in OPENING:
            continue  # a part of another object
        for call in index.calls(function):
            dotted = index.resolve(function.module, call.func)
            if dotted in index.classes and not is_kept_by_hand(function.module, call, function):
                found.add(dotted)
                used_here |= {dotted} if _is_let_go(index, function, call) else set()
    return found, used_here


def _is_let_go(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether a local name or nothing holds the object, which is only asked: neither given back nor handed on."""
    module = function.module
    parent = module.parent(call)
    if isinstance(parent, ast.Attribute):
        return True  # `Ledger().book(entry)`
    if not isinstance(parent, ast.Assign) or len(parent.targets) != 1 or not isinstance(parent.targets[0], ast.Name):
        return False
    name = parent.targets[0].id
    uses = [node for node in index.own_of(function, ast.Name) if node.id == name and isinstance(node.ctx, ast.Load)]
    return (
        bool(uses)
        and name in module.local_names(function.node)
        and all(isinstance(module.parent(use), ast.Attribute) for use in uses)
    )


def _kept(index: Index) -> frozenset[str]:
    """Classes with an object that a module holds, or that an attribute or a cache keeps: those are meant to last."""
    found: set[str] = set()
    for name, info in index.classes.items():
        for module, call in index.calls_named(info.node.name):
            if index.resolve(module, call.func) != name:
                continue
            function = index.enclosing(module, call)
            statement = module.statement(call)
            if (function is None and isinstance(statement, ast.Assign | ast.AnnAssign)) or (
                function is not None and is_kept_by_hand(module, call, function)
            ):
                found.add(name)
    return frozenset(found)

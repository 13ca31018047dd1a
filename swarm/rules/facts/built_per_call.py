"""Costly things (engines, clients) that a request builds, uses and closes: where, and how they can be shared."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.module import unparsed, walk
from swarm.analysis.source import Module
from swarm.core.patches import FileChange
from swarm.rules.facts.clients import is_fixed
from swarm.rules.facts.request_objects import opens_for_request
from swarm.rules.writing.placing import free_file, import_edit, sibling_import

KEPT_BY = ("cache", "lru_cache", "cached_property", "alru_cache", "fixture")
MAX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Thing:
    """What is looked for: calls of `makers` that give one of `kinds`; `closing` methods end its life."""

    kinds: frozenset[str]
    makers: frozenset[str]
    closing: frozenset[str]
    varying: frozenset[str]  # arguments that may differ from call to call, beside the first


@dataclass(frozen=True, slots=True)
class Built:
    """One thing that is built per call; `closes` are the calls in its function that close it.

    `name` is the local variable that holds it, "" where it is used in place; `context` where a `with` closes it.
    """

    function: Function
    call: ast.Call
    kind: str
    name: str
    closes: tuple[ast.Call, ...]
    context: bool
    returned: bool


def built_per_call(index: Index, thing: Thing) -> Iterator[Built]:
    """The things that functions on a request's path build and do not keep."""
    for function in index.functions:
        if function not in index.reachable():
            continue
        making = [c for c in index.calls(function) if index.resolve(function.module, c.func) in thing.makers]
        if not making or (not opens_for_request(index, function) and _is_kept(index, function, thing)):
            continue
        for call in making:
            kind = index.kinds.of(function.module, call)
            if kind in thing.kinds and kind is not None:
                yield _described(index, function, call, kind, thing)


def _is_kept(index: Index, function: Function, thing: Thing, depth: int = 0) -> bool:
    """Whether the function, or one that calls it, keeps what it makes: in a global, an attribute, a dict, a cache."""
    decorators = [unparsed(d).split("(")[0].rsplit(".", 1)[-1] for d in function.node.decorator_list]
    if any(name in KEPT_BY for name in decorators) or _stores(index, function, thing):
        return True
    callers = [other for other in index.callers(function) if other is not function]
    for other in callers:
        if _keeps_result(index, other, function):
            return True
        if depth < MAX_DEPTH and _passes_on(index, other, function) and _is_kept(index, other, thing, depth + 1):
            return True
    return False


def _passes_on(index: Index, caller: Function, made_by: Function) -> bool:
    """Whether a caller returns what the function gave."""
    for node in index.own_nodes(caller):
        value = node.value if isinstance(node, ast.Return) else None
        calls = [part for part in walk(value) if isinstance(part, ast.Call)] if value is not None else []
        if any(index.resolve_call(caller.module, call) is made_by for call in calls):
            return True
    return False


def _keeps_result(index: Index, caller: Function, made_by: Function) -> bool:
    """Whether a caller puts what the function gave (an engine, or what was built on it) where it lasts."""
    module = caller.module
    local = module.local_names(caller.node)
    names: set[str] = set()
    for node in index.own_nodes(caller):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        parts = list(walk(node.value))
        given = any(isinstance(part, ast.Call) and index.resolve_call(module, part) is made_by for part in parts)
        if not given and not any(isinstance(part, ast.Name) and part.id in names for part in parts):
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                if not isinstance(part, ast.Name) or part.id not in local:
                    return True
                names.add(part.id)
    return False


def _stores(index: Index, function: Function, thing: Thing) -> bool:
    module = function.module
    local = module.local_names(function.node)
    for node in index.own_nodes(function):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        lasting = any(not isinstance(target, ast.Name) or target.id not in local for target in targets)
        if lasting and index.kinds.of(module, node.value) in thing.kinds:
            return True
    return False


def _described(index: Index, function: Function, call: ast.Call, kind: str, thing: Thing) -> Built:
    module = function.module
    parent = module.parent(call)
    if isinstance(parent, ast.Await):
        parent = module.parent(parent)
    name = ""
    if isinstance(parent, ast.Assign) and len(parent.targets) == 1 and isinstance(parent.targets[0], ast.Name):
        name = parent.targets[0].id
    elif isinstance(parent, ast.withitem) and isinstance(parent.optional_vars, ast.Name):
        name = parent.optional_vars.id
    closes = tuple(
        node for node in index.calls(function)
        if isinstance(node.func, ast.Attribute) and node.func.attr in thing.closing
        and isinstance(node.func.value, ast.Name) and node.func.value.id == name
    )  # fmt: skip
    returned = isinstance(parent, ast.Return) or any(
        isinstance(node, ast.Return) and isinstance(node.value, ast.Name) and node.value.id == name
        for node in index.own_nodes(function)
    )
    return Built(function, call, kind, name, closes, isinstance(parent, ast.withitem), returned)


def has_fixed_arguments(index: Index, built: Built, thing: Thing) -> bool:
    """Whether all but the address are the same for every call, so that one thing serves them all."""
    module = built.function.module
    if len(built.call.args) > 1 or any(keyword.arg is None for keyword in built.call.keywords):
        return False
    given = [k.value for k in built.call.keywords if k.arg not in thing.varying]
    return all(is_fixed(index, module, value) and all(_is_plain(part) for part in walk(value)) for value in given)


def _is_plain(part: ast.AST) -> bool:
    plain = (ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.Name, ast.Attribute)
    return isinstance(part, plain) or (isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub))


def uses_of(index: Index, built: Built) -> list[ast.AST]:
    """What stands around each later use of the local name: the parent of the name."""
    module = built.function.module
    found: list[ast.AST] = []
    for node in index.own_nodes(built.function):
        if isinstance(node, ast.Name) and node.id == built.name and isinstance(node.ctx, ast.Load):
            parent = module.parent(node)
            found += [parent] if parent is not None else []
    return found


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A generated module beside the target's: its stem, its text, and a name that tells it is there already."""

    stem: str
    text: str
    marker: str


def shared_module(index: Index, module: Module, generated: SharedFile) -> tuple[str, FileChange | None]:
    """The stem under which `module` imports the generated file, and the change that adds it where it is not there."""
    folder = module.path.rpartition("/")[0]
    for other in index.tree.modules.values():
        if other.path.rpartition("/")[0] == folder and generated.marker in other.globals:
            return other.path.rpartition("/")[2].removesuffix(".py"), None
    path = free_file(index.tree, folder, generated.stem)
    return path.rpartition("/")[2].removesuffix(".py"), FileChange(path, None, generated.text)


def sharing_edits(
    index: Index, module: Module, places: list[tuple[Built, str, str]], stem: str, whole_imports: tuple[str, ...] = ()
) -> list[Edit]:
    """Each construction led to a function of the generated module, each closing to another: (built, make, close).

    The library's own import goes where nothing uses it any more.
    """
    edits: list[Edit] = []
    names: set[str] = set(whole_imports)
    for built, make, close in places:
        edits.append(Edit(*module.span(built.call.func), make))
        names.add(make)
        for call in built.closes:
            edits.append(Edit(*module.span(call), f"{close}({built.name})"))
            names.add(close)
    statement = sibling_import(index.tree, module, stem, ", ".join(sorted(names)))
    edits.append(import_edit(index.tree, module, statement))
    gone = _unused_after(module, [built.call.func for built, _, _ in places])
    return [*edits, *(_without_name(module, node, name) for node, name in gone)]


def _unused_after(module: Module, removed: list[ast.expr]) -> list[tuple[ast.ImportFrom, str]]:
    """Names of `from x import name` lines whose last uses are taken away."""
    names = {node.id for node in removed if isinstance(node, ast.Name)}
    found = []
    for node in module.tree.body:
        for alias in node.names if isinstance(node, ast.ImportFrom) else []:
            local = alias.asname or alias.name
            uses = [n for n in module.nodes(ast.Name) if n.id == local and not any(n is r for r in removed)]
            exported = any(local == getattr(constant, "value", None) for constant in module.nodes(ast.Constant))
            if local in names and not uses and not exported and isinstance(node, ast.ImportFrom):
                found.append((node, local))
    return found


def _without_name(module: Module, node: ast.ImportFrom, name: str) -> Edit:
    """The import line without one of its names; without the line where it was the only one."""
    kept = [alias for alias in node.names if (alias.asname or alias.name) != name]
    start = module.line_start(node.lineno)
    end = module.line_start((node.end_lineno or node.lineno) + 1)
    if not kept:
        return Edit(start, end, "")
    if (node.end_lineno or node.lineno) == node.lineno:
        listed = ", ".join(alias.name + (f" as {alias.asname}" if alias.asname else "") for alias in kept)
        origin = "." * node.level + (node.module or "")
        return Edit(*module.span(node), f"from {origin} import {listed}")
    alias = next(alias for alias in node.names if (alias.asname or alias.name) == name)
    if module.line(alias.lineno).strip().rstrip(",") in (alias.name, f"{alias.name} as {alias.asname}"):
        return Edit(module.line_start(alias.lineno), module.line_start(alias.lineno + 1), "")
    return Edit(start, start, "")

"""Which class does the work that another one only promises: a Protocol, an abstract class, a method left empty."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from swarm.analysis.layout import unparsed

if TYPE_CHECKING:
    from swarm.analysis.index import Index
    from swarm.analysis.parts import ClassInfo, Function

NOTE = "classes by base"
MOST_STEPS = 6


def working(index: Index, method: Function) -> Function:
    """The one method of the tree that does what this one only promises; itself where none does, or several do."""
    info = index.classes.get(method.dotted.rpartition(".")[0])
    if info is None or not _is_promise(info, method):
        return method
    found = dict.fromkeys(_derived(index, info.dotted, method.name))
    if not found and _is_protocol(info):
        found = dict.fromkeys(_alike(index, info, method.name))
    return next(iter(found)) if len(found) == 1 else method


def _is_promise(info: ClassInfo, method: Function) -> bool:
    """Whether a method raises NotImplementedError, or has no body and stands in a class that is not made itself."""
    body = [
        statement for statement in method.node.body
        if not isinstance(statement, ast.Pass)
        and not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
    ]  # fmt: skip
    match body:
        case []:
            marks = [*info.node.bases, *(word.value for word in info.node.keywords), *method.node.decorator_list]
            names = {unparsed(mark).split("[")[0].rsplit(".", 1)[-1] for mark in marks}
            return bool(names & {"Protocol", "ABC", "ABCMeta", "abstractmethod"})
        case [ast.Raise(exc=ast.expr() as raised)]:
            return unparsed(raised).split("(")[0] == "NotImplementedError"
    return False


def _is_protocol(info: ClassInfo) -> bool:
    return any(unparsed(base).split("[")[0].rsplit(".", 1)[-1] == "Protocol" for base in info.node.bases)


def _derived(index: Index, dotted: str, name: str, depth: int = 0) -> Iterator[Function]:
    """The methods of that name with a body, of all classes that derive from one, nearest first."""
    for info in derived(index, dotted) if depth < MOST_STEPS else ():
        own = info.methods.get(name)
        if own is not None and not _is_promise(info, own):
            yield own
        yield from _derived(index, info.dotted, name, depth + 1)


def _alike(index: Index, protocol: ClassInfo, name: str) -> Iterator[Function]:
    """The methods of classes that have all that a protocol asks for, whether or not they say so."""
    for method in index.methods_named(name):
        info = index.classes.get(method.dotted.rpartition(".")[0])
        if info is not None and info is not protocol and not _is_protocol(info) \
                and protocol.methods.keys() <= info.methods.keys():  # fmt: skip
            yield method


def derived(index: Index, dotted: str) -> Sequence[ClassInfo]:
    """The classes of the tree that name this one among their bases."""
    return _by_base(index).get(dotted, ())


def _by_base(index: Index) -> dict[str, list[ClassInfo]]:
    if NOTE not in index.notes:
        found: dict[str, list[ClassInfo]] = {}
        for info in index.classes.values():
            for base in info.bases:
                dotted = index.resolve(info.module, base)
                if dotted in index.classes:
                    found.setdefault(dotted, []).append(info)
        index.notes[NOTE] = found
    return cast("dict[str, list[ClassInfo]]", index.notes[NOTE])

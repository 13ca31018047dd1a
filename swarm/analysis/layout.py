"""The nodes of a file in one list, in the order of the source: what lies inside of a node is a slice of it.

Rules ask for the same nodes again and again. So a file is walked once, when it is read; every node knows its place in
the list, and `walk`, `within` and `own_nodes` are slices. Contexts and operators (`ast.Load`, `ast.Add` …) are left
out: Python shares one object of each, so that they have no place.
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TypeVar, cast, overload

N = TypeVar("N", bound=ast.AST)
M = TypeVar("M", bound=ast.AST)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_SHARED = (ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# what holds statements, modules left out
BLOCKS = (
    *SCOPES, ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar,
    ast.ExceptHandler, ast.match_case,
)  # fmt: skip
# fields in which no node with a place can be; "name" and "value" hold one in some classes of node
_PLAIN = frozenset({
    "arg", "asname", "attr", "conversion", "ctx", "id", "is_async", "kind", "kwd_attrs", "level", "module", "op",
    "ops", "rest", "simple", "tag", "type_comment", "type_ignores",
})  # fmt: skip
# attributes of nodes
_KEPT_PLACE, _KEPT_TEXT = "_swarm_place", "_swarm_text"
_KEPT_OWN, _KEPT_STRETCHES, _KEPT_OF = "_swarm_own", "_swarm_stretches", "_swarm_own_of"
_fields: dict[type[ast.AST], tuple[str, ...]] = {ast.Constant: (), ast.Global: (), ast.Nonlocal: ()}


class Layout:
    """A tree's nodes in the order of the source, each before those inside of it."""

    __slots__ = ("_by_kind", "_by_kinds", "_ends", "_functions", "_up", "nodes")

    def __init__(self, root: ast.AST) -> None:
        self.nodes: list[ast.AST] = []
        self._up: list[int] = []  # the places of the nodes around
        self._by_kind: dict[type[ast.AST], list[int]] = {}
        self._by_kinds: dict[tuple[type[ast.AST], ...], list[int]] = {}
        todo, above = [root], [-1]
        nodes, up, by_kind = self.nodes, self._up, self._by_kind
        while todo:
            node = todo.pop()
            at, kind = len(nodes), type(node)
            nodes.append(node)
            up.append(above.pop())
            vars(node)[_KEPT_PLACE] = self, at
            if kind in by_kind:
                by_kind[kind].append(at)
            else:
                by_kind[kind] = [at]
            fields = _fields.get(kind)
            if fields is None:
                fields = _fields_of(kind)
            if not fields:
                continue  # names and constants: half of all
            count = len(todo)
            for name in fields:
                value = getattr(node, name, None)
                if isinstance(value, list):  # `case True:` holds the bare value
                    if value:
                        todo += [item for item in reversed(value) if isinstance(item, ast.AST)]
                elif isinstance(value, ast.AST):
                    todo.append(value)
            above += [at] * (len(todo) - count)
        sizes = [1] * len(nodes)
        for at in range(len(nodes) - 1, 0, -1):
            sizes[up[at]] += sizes[at]
        self._ends = [at + size for at, size in enumerate(sizes)]
        self._functions: list[FunctionNode | None] = []  # the innermost around each place, once somebody asks

    def all_of(self, kind: type[N]) -> list[N]:
        """Every node of exactly this class."""
        return cast("list[N]", [self.nodes[at] for at in self._by_kind.get(kind, ())])

    def parent(self, at: int) -> ast.AST | None:
        """The node around the one at this place."""
        return self.nodes[self._up[at]] if at else None

    def function_around(self, at: int) -> FunctionNode | None:
        """The innermost function around the node at this place, not the node itself."""
        if not self._functions:
            self._functions = [None] * len(self.nodes)
            for place in self.of_kinds(0, len(self.nodes), (ast.FunctionDef, ast.AsyncFunctionDef)):
                inside = self._ends[place] - place - 1
                self._functions[place + 1 : self._ends[place]] = [cast("FunctionNode", self.nodes[place])] * inside
        return self._functions[at]

    def ancestors(self, at: int) -> Iterator[ast.AST]:
        """The nodes around the one at this place, innermost first."""
        nodes, up = self.nodes, self._up
        while at:
            at = up[at]
            yield nodes[at]

    def inside(self, at: int) -> list[ast.AST]:
        """The node at this place and all inside of it."""
        return self.nodes[at : self._ends[at]]

    def of_kinds(self, start: int, stop: int, kinds: tuple[type[ast.AST], ...]) -> list[int]:
        """The places of nodes of exactly these classes in a stretch."""
        places = self._by_kinds.get(kinds)
        if places is None:
            several = [self._by_kind[kind] for kind in dict.fromkeys(kinds) if kind in self._by_kind]
            places = self._by_kinds[kinds] = several[0] if len(several) == 1 else sorted(chain(*several))
        return places[bisect_left(places, start) : bisect_left(places, stop)] if places else []

    def stretch(self, at: int) -> tuple[int, int]:
        """Where the node at this place begins, and where what comes after it does."""
        return at, self._ends[at]

    def stretches(self, body: Sequence[ast.stmt]) -> list[tuple[int, int]]:
        """Where the nodes of a block are, what functions and classes in it hold left out."""
        start, stop = _place_in(self, body[0]), self._ends[_place_in(self, body[-1])]
        found: list[tuple[int, int]] = []
        for scope in self.of_kinds(start, stop, SCOPES):
            if scope >= start:
                found.append((start, scope + 1))
                start = self._ends[scope]
        return [*found, (start, stop)]


def _fields_of(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields of a class of node that may hold others, the last first."""
    if kind not in _fields:
        _fields[kind] = tuple(name for name in reversed(kind._fields) if name not in _PLAIN)
    return _fields[kind]


def place_of(node: ast.AST) -> tuple[Layout, int] | None:
    """Where a node stands; None for one that is of no file: a rule has put it together itself."""
    return getattr(node, "_swarm_place", None)


def _place_in(layout: Layout, node: ast.AST) -> int:
    place = place_of(node)
    if place is None or place[0] is not layout:
        raise ValueError("the node is of another file")
    return place[1]


def walk(node: ast.AST) -> Sequence[ast.AST]:
    """The node and all inside of it, in the order of the source."""
    place = place_of(node)
    if place is not None:
        return place[0].inside(place[1])
    return [inner for inner in ast.walk(node) if not isinstance(inner, _SHARED)]


def within(node: ast.AST, *kinds: type[N]) -> list[N]:
    """Those of exactly these classes in the node, itself included, in the order of the source."""
    place = place_of(node)
    if place is None:
        return cast("list[N]", [inner for inner in walk(node) if type(inner) in kinds])
    layout, at = place
    return cast("list[N]", [layout.nodes[one] for one in layout.of_kinds(*layout.stretch(at), kinds)])


def own_nodes(function: ast.AST) -> tuple[ast.AST, ...]:
    """The nodes of a function's body in the order of the source, nested functions and classes left out."""
    kept: tuple[ast.AST, ...] | None = vars(function).get(_KEPT_OWN)
    if kept is None:
        place = place_of(function)
        parts = [place[0].nodes[start:stop] for start, stop in _own_stretches(function, place[0])] if place else []
        kept = vars(function)[_KEPT_OWN] = tuple(chain(*parts) if place else _walk_own(_body(function)))
    return kept


@overload
def own_of(function: ast.AST, kind: type[N], other: type[M], /) -> tuple[N | M, ...]: ...
@overload
def own_of(function: ast.AST, /, *kinds: type[N]) -> tuple[N, ...]: ...
def own_of(function: ast.AST, /, *kinds: type[N]) -> tuple[N, ...]:
    """Those of exactly these classes, in order."""
    try:
        found: tuple[N, ...] = vars(function)[_KEPT_OF][kinds]
    except KeyError:
        found = vars(function).setdefault(_KEPT_OF, {})[kinds] = _find_own(function, kinds)
    return found


def _find_own(function: ast.AST, kinds: tuple[type[N], ...]) -> tuple[N, ...]:
    place = place_of(function)
    if place is None:
        return tuple(cast("list[N]", [node for node in own_nodes(function) if type(node) in kinds]))
    layout = place[0]
    found: list[ast.AST] = []
    for start, stop in _own_stretches(function, layout):
        found += [layout.nodes[at] for at in layout.of_kinds(start, stop, kinds)]
    return tuple(cast("list[N]", found))


def _own_stretches(function: ast.AST, layout: Layout) -> list[tuple[int, int]]:
    kept: list[tuple[int, int]] | None = vars(function).get(_KEPT_STRETCHES)
    if kept is None:
        body = _body(function)
        kept = vars(function)[_KEPT_STRETCHES] = layout.stretches(body) if body else []
    return kept


def _body(function: ast.AST) -> list[ast.stmt]:
    return getattr(function, "body", [])


def _walk_own(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    for node in body:
        yield node
        if not isinstance(node, SCOPES):
            yield from _walk_own([child for child in ast.iter_child_nodes(node) if not isinstance(child, _SHARED)])


def unparsed(node: ast.AST) -> str:
    """`ast.unparse` that does not fail, once for each node and kept with it: it is slow, and nobody changes a tree.

    Before Python 3.12 it cannot write an f-string with a letter in an inner text that wants a backslash. Such a one
    is told by what it is made of, in a form that no Python reads: it must never get into anybody's code.
    """
    if isinstance(node, ast.Name):
        return node.id
    kept: str | None = vars(node).get(_KEPT_TEXT)
    if kept is None:
        kept = vars(node)[_KEPT_TEXT] = _written(node)
    return kept


def _written(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
        return f"{unparsed(node.value)}.{node.attr}"  # most are dotted names, and `ast.unparse` takes long to begin
    try:
        return ast.unparse(node)
    except ValueError:
        return f"⟨{ast.dump(node)}⟩"


def parameters(function: FunctionNode) -> list[ast.arg]:
    """All parameters, `*args` and `**kwargs` included."""
    arguments = function.args
    several = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return several + [a for a in (arguments.vararg, arguments.kwarg) if a is not None]

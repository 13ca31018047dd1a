"""Where data from outside goes into a text that reaches a sink: the places at which a mend can escape it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from swarm.analysis.edits import Edit
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import FunctionNode, Module, own_of, parameters
from swarm.rules.security.injection.texts.built_text import HOLE, BuiltText, Hole, read_text
from swarm.rules.security.injection.texts.copied_text import is_steady, moved
from swarm.rules.writing.splices import names_in

_SAME_TEXT = frozenset({"strip", "rstrip", "lstrip"})
MOST_DEPTH = 8


class Unclear(Exception):
    """The way of the data cannot be told: there is no safe place to escape it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A value that goes into a text: its offsets, and what the text holds before and after it (NUL for values).

    `is_formatted`: it may be anything that formatting makes a text of, else it is a text already.
    """

    node: ast.expr
    start: int
    end: int
    before: str
    after: str
    is_formatted: bool


@dataclass(frozen=True, slots=True)
class Filling:
    """Goes from a sink back to what fills its text, inside of one function.

    `is_dirty` tells whether an expression holds what must be escaped, `is_template` whether a text in a variable is
    one that values are filled into (markup, a command), and not a value itself.
    """

    module: Module
    function: FunctionNode | None
    is_dirty: Callable[[ast.expr], bool]
    is_template: Callable[[str], bool]
    sinks: frozenset[int] = frozenset()

    def places(self, expression: ast.expr) -> list[Place]:
        """Every place, in the order of the text; raises Unclear where one cannot be escaped by itself."""
        found: list[Place] = []
        self._walk(expression, "", "", True, (), found)
        return found

    def escaped(self, sink: ast.expr, is_safe: Callable[[Place], bool], call: str) -> list[Edit]:
        """A call around each value that goes into the text of a sink; none where some cannot be told or is not safe.

        A text that something else reads as well is escaped on a copy in the sink.
        """
        function = self.module.enclosing_function(sink)
        own = frozenset(id(node) for node in walk(sink))
        try:
            return self._wrapped(replace(self, sinks=own).places(sink), function, is_safe, call)
        except Unclear:
            written = bindings(self.module, function, sink.id) if isinstance(sink, ast.Name) else None
        if written is None or len(written) != 1 or not is_steady(self.module, written[0], sink):
            return []
        if read_text(self.module, written[0]) is None:
            return []
        try:
            edits = self._wrapped(self.places(written[0]), function, is_safe, call)
        except Unclear:
            return []
        start, end = self.module.span(written[0])
        are_inside = all(start <= edit.start and edit.end <= end for edit in edits)
        return moved(self.module, written[0], sink, edits) if edits and are_inside else []

    def _wrapped(
        self, places: list[Place], function: FunctionNode | None, is_safe: Callable[[Place], bool], call: str
    ) -> list[Edit]:  # fmt: skip
        return [wrapped(self.module, function, one, call) for one in places] if all(map(is_safe, places)) else []

    def _walk(
        self, node: ast.expr, before: str, after: str, is_root: bool, within: tuple[str, ...], found: list[Place]
    ) -> str:  # fmt: skip
        """Adds the places of an expression; gives its text for what stands behind it."""
        if len(within) > MOST_DEPTH:
            raise Unclear
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        built = read_text(self.module, node)
        if not self.is_dirty(node):
            return built.written if built is not None else HOLE
        if built is not None:
            return self._built(built, before, after, within, found)
        match node:
            case ast.Name(id=name):
                if name in within:
                    return HOLE
                written = bindings(self.module, self.function, name)
                if written is not None and (
                    (is_root and self._is_built(written)) or self._is_template(written, name, within)
                ):
                    self._refuse_other_uses(name, written)
                    return self._several(written, before, after, (*within, name), found)
            case ast.IfExp(body=body, orelse=orelse):
                self._walk(orelse, before, after, is_root, within, found)
                return self._walk(body, before, after, is_root, within, found)
            case ast.Call(func=ast.Attribute(attr="join"), args=[ast.GeneratorExp() | ast.ListComp() as several]):
                return self._walk(several.elt, before, after, False, within, found)
            case ast.Call(func=ast.Attribute(value=inner, attr=attr), args=[]) if attr in _SAME_TEXT and is_root:
                return self._walk(inner, before, after, is_root, within, found)
            case ast.Call(func=ast.Attribute(attr="format" | "format_map" | "join")) | ast.BinOp():
                raise Unclear  # text that is put together in a way that is not read here
            case ast.Call(func=ast.Name(id=name)) if is_root and name not in self.module.imports:
                raise Unclear  # a function of the service's own has made the whole text
            case ast.Tuple() | ast.List() | ast.Dict() | ast.Starred() | ast.Await() | ast.Lambda():
                raise Unclear
        self._add(node, *self.module.span(node), before, after, False, found)
        return HOLE

    def _built(
        self, built: BuiltText, before: str, after: str, within: tuple[str, ...], found: list[Place]
    ) -> str:  # fmt: skip
        text, at = "", 0
        for number, hole in enumerate(built.holes):
            text += built.written[at : hole.place]
            at = hole.place + 1
            rest = built.written[at:] if number + 1 == len(built.holes) else built.written[at:].split(HOLE)[0]
            behind = (rest + (HOLE if number + 1 < len(built.holes) else after))[:200]
            text += self._hole(built, hole, before + text, behind, within, found)
        return text + built.written[at:]

    def _hole(
        self, built: BuiltText, hole: Hole, before: str, after: str, within: tuple[str, ...], found: list[Place]
    ) -> str:  # fmt: skip
        node = hole.expression
        if not self.is_dirty(node):
            return HOLE
        is_f = hole.token is not None and built.tail is None
        if is_f:
            if not hole.plain or self.module.text[hole.start + 1 : hole.end - 1].strip() != hole.source:
                raise Unclear  # `{x!r:>10}`
            if not isinstance(node, ast.Name):
                start = self.module.text.index(hole.source, hole.start)
                self._add(node, start, start + len(hole.source), before, after, True, found)
                return HOLE
        if isinstance(node, ast.Name):
            written = bindings(self.module, self.function, node.id)
            if written is not None and node.id not in within and self._is_template(written, node.id, within):
                self._refuse_other_uses(node.id, written)
                return self._several(written, before, after, (*within, node.id), found)
        if is_f:
            start = self.module.text.index(hole.source, hole.start)
            self._add(node, start, start + len(hole.source), before, after, True, found)
            return HOLE
        if built.tail is None and not isinstance(node, ast.Name):
            return self._walk(node, before, after, False, within, found)
        self._add(node, *self.module.span(node), before, after, built.tail is not None, found)
        return HOLE

    def _several(
        self, written: Sequence[ast.expr], before: str, after: str, within: tuple[str, ...], found: list[Place]
    ) -> str:  # fmt: skip
        """The values of a variable one after the other, as `+=` puts them."""
        text = ""
        for value in written:
            is_more = isinstance(self.module.parent(value), ast.AugAssign)  # else the variable begins anew
            text += self._walk(value, before + text if is_more else before, after, False, within, found)
        return text

    def _is_built(self, written: Sequence[ast.expr]) -> bool:
        """Whether a variable is put together of pieces."""
        return any(
            read_text(self.module, value) is not None or isinstance(self.module.parent(value), ast.AugAssign)
            for value in written
        )

    def _is_template(self, written: Sequence[ast.expr], name: str, within: tuple[str, ...]) -> bool:
        """Whether some text that the variable gets, or what is filled into it, is a template."""
        for node in (node for value in written for node in walk(value)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and self.is_template(node.value):
                return True
            if isinstance(node, ast.Name) and node.id != name and node.id not in within and len(within) < 4:
                inner = bindings(self.module, self.function, node.id)
                if inner is not None and self._is_template(inner, node.id, (*within, name)):
                    return True
        return False

    def _refuse_other_uses(self, name: str, written: Sequence[ast.expr]) -> None:
        """A text that goes elsewhere as well (a mail, the log) must not be escaped for this sink."""
        assert self.function is not None
        builders = {id(node) for value in written for node in walk(value)}
        for node in own_of(self.function, ast.Name):
            if node.id != name or not isinstance(node.ctx, ast.Load) or id(node) in builders | self.sinks:
                continue
            around = self.module.parent(node)
            if isinstance(around, ast.Call | ast.keyword | ast.Dict | ast.Subscript | ast.Attribute) and not (
                isinstance(around, ast.Call) and unparsed(around.func) in ("len", "bool")
            ):
                raise Unclear

    def _add(
        self, node: ast.expr, start: int, end: int, before: str, after: str, is_formatted: bool, found: list[Place]
    ) -> None:  # fmt: skip
        if may_be_bytes(node):
            raise Unclear
        if not any(place.start == start for place in found):
            found.append(Place(node, start, end, before, after, is_formatted))


def may_be_bytes(node: ast.expr) -> bool:
    """Whether an expression looks like bytes, which cannot be escaped as text."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "get_data":
            return not any(keyword.arg == "as_text" for keyword in node.keywords)
        return node.func.attr in ("encode", "body", "read", "digest", "tobytes", "b64encode", "b64decode")
    if isinstance(node, ast.Await):
        return may_be_bytes(node.value)
    return isinstance(node, ast.Attribute) and node.attr in ("data", "stream")


def bindings(module: Module, function: FunctionNode | None, name: str) -> list[ast.expr] | None:
    """What a local variable is assigned, in order, `+=` included; None where it is bound in another way as well."""
    if function is None or any(argument.arg == name for argument in parameters(function)):
        return None
    found: list[ast.expr] = []
    stores = [n for n in own_of(function, ast.Name) if n.id == name and isinstance(n.ctx, ast.Store | ast.Del)]
    for store in stores:
        around = module.parent(store)
        value = around.value if isinstance(around, ast.Assign | ast.AugAssign | ast.AnnAssign) else None
        is_unpacked = isinstance(around, ast.Assign) and around.targets != [store]
        is_changed = isinstance(around, ast.AugAssign) and not isinstance(around.op, ast.Add)
        if value is None or is_unpacked or is_changed:
            return None
        found.append(value)
    shared = {n for node in own_of(function, ast.Global) for n in node.names}
    shared |= {n for node in own_of(function, ast.Nonlocal) for n in node.names}
    bound_otherwise = name in shared or any(h.name == name for h in own_of(function, ast.ExceptHandler))
    return found or None if not bound_otherwise else None


def wrapped(module: Module, function: FunctionNode | None, place: Place, call: str) -> Edit:
    """The value inside of a call: `escape(str(value))`, without `str` where it is a text already."""
    source = module.text[place.start : place.end]
    already = not place.is_formatted or is_text(module, function, place.node)
    return Edit(place.start, place.end, f"{call}({source})" if already else f"{call}(str({source}))")


def is_text(module: Module, function: FunctionNode | None, node: ast.expr, depth: int = 0) -> bool:
    """Whether a value is known to be a text, and not None or a number."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.Subscript):
        return unparsed(node.value).endswith((".args", ".form", ".query_params", ".headers", ".cookies"))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        owner = unparsed(node.func.value)
        is_sent = owner.endswith((".args", ".form", ".query_params", ".headers", ".cookies"))
        return is_sent and len(node.args) > 1 and is_text(module, function, node.args[1])
    if isinstance(node, ast.Name) and function is not None and depth < 4:
        for argument in parameters(function):
            if argument.arg == node.id:
                return argument.annotation is not None and unparsed(argument.annotation) == "str"
        written = bindings(module, function, node.id)
        return written is not None and all(is_text(module, function, value, depth + 1) for value in written)
    return False


def imported(module: Module, package: str, name: str, otherwise: str) -> tuple[str, Edit | None]:
    """How the module calls a library's function, with the import if missing; `otherwise` where its name is taken."""
    for local, origin in module.imports.items():
        if origin == f"{package}.{name}" and any(
            (alias.asname or alias.name) == local for node in module.head_imports for alias in node.names
        ):
            return local, None
    if name not in names_in(module):
        return name, module.insert_import(f"from {package} import {name}")
    return otherwise, module.insert_import(f"from {package} import {name} as {otherwise}")

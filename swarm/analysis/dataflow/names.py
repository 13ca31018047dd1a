"""What names stand for, and the parts of values: globals, attributes, items, slices."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from swarm.analysis.dataflow.frames import CHECKED, Env, Frame
from swarm.analysis.dataflow.incoming import FILES, FLASK_REQUEST, OF_THE_PATH, REQUEST_KINDS, SENT, has_parameters
from swarm.analysis.dataflow.values import OUTSIDE, UNKNOWN, Value, beside_items, derived, joined, literal
from swarm.analysis.module import unparsed, walk

if TYPE_CHECKING:
    from swarm.analysis.dataflow.interpreter import Interpreter
    from swarm.analysis.source import Module


class Names:
    """Reads names, attributes and items."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._run = interpreter
        self._globals: dict[tuple[str, str], Value] = {}

    def of_name(self, node: ast.Name, frame: Frame, env: Env) -> Value:
        """The value of a name: a local one, else that of a module."""
        if node.id in env:
            return env[node.id]
        return self._global(node, frame)

    def _global(self, node: ast.expr, frame: Frame) -> Value:
        dotted = self._run.index.resolve(frame.module, node)
        if dotted is None:
            return UNKNOWN
        if dotted in FLASK_REQUEST:
            return Value(kind="flask.Request", dotted=dotted)
        if dotted == "flask.session":
            return Value(kind="session", dotted=dotted)
        home, name = self._run.index.tree.split(dotted, frame.module)
        if home is None or "." in name or name not in home.globals:
            return Value(dotted=dotted)
        return self._global_value(home, name, dotted)

    def _global_value(self, home: Module, name: str, dotted: str) -> Value:
        """What a module's variable holds, where it is written once."""
        key = home.path, name
        if key not in self._globals:
            self._globals[key] = Value(dotted=dotted)  # a recursion ends here
            statement = home.globals[name]
            value = getattr(statement, "value", None)
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            if isinstance(value, ast.expr) and len(targets) == 1 and isinstance(targets[0], ast.Name) \
                    and not _is_written_again(home, name, statement):  # fmt: skip
                found = self._run.evaluate(value, Frame(home, None, None, 0), {})
                self._globals[key] = found._replace(taints=(), dotted=dotted)
        return self._globals[key]

    def of_attribute(self, node: ast.Attribute, frame: Frame, env: Env) -> Value:
        """The value of `owner.name`."""
        if CHECKED in env and CHECKED + (text := unparsed(node)) in env:
            return env[CHECKED + text]
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id not in env:
            dotted = self._run.index.resolve(frame.module, node)
            if dotted is not None:
                flask = dotted.rpartition(".")
                if flask[0] not in FLASK_REQUEST:
                    found = self._global(node, frame)
                    if found.kind or found.dotted == dotted:
                        owner = dotted.rsplit(".", 2)[0]
                        if owner not in FLASK_REQUEST:
                            return found
        return self.part(self._run.evaluate(node.value, frame, env), node.attr, node, frame)

    def part(self, owner: Value, name: str, node: ast.expr, frame: Frame) -> Value:
        """An attribute of a value."""
        if owner.fields is not None and name in owner.fields:
            return owner.fields[name]
        if owner.kind in REQUEST_KINDS:
            if name == "session":
                return Value(kind="session")
            if name not in SENT:
                return UNKNOWN
            route = frame.route
            if name in OF_THE_PATH:
                self._run.calls.tie("path")
            if name in OF_THE_PATH and route is not None and not has_parameters(route.path):
                fixed = name == "path"
                return literal(route.path) if fixed and route.path else UNKNOWN
            return Value(taints=(self._run.source("request", frame.module, node),), text=OUTSIDE, kind="sent")
        if owner.kind == "urlparse":
            return owner._replace(kind="")
        if owner.kind == "pathlib.Path" and name in ("name", "stem", "suffix"):
            return derived(owner, marks=("path", "flat"))
        if owner.kind in FILES and name in ("file", "size"):
            return UNKNOWN
        if owner.kind in self._run.index.classes:
            return self._run.objects.attribute_of(owner, name, node, frame)
        if owner.taints:
            return Value(taints=owner.taints, kind=owner.kind if owner.kind == "sent" else "", about=owner.about)
        return UNKNOWN

    def of_item(self, node: ast.Subscript, frame: Frame, env: Env) -> Value:
        """The value of `owner[key]` or `owner[low:high]`."""
        if CHECKED in env and CHECKED + (text := unparsed(node)) in env:
            return env[CHECKED + text]
        owner = self._run.evaluate(node.value, frame, env)
        if isinstance(node.slice, ast.Slice):
            return self._sliced(owner, node.slice, frame, env)
        key = self._run.evaluate(node.slice, frame, env)
        if owner.items is not None and key.constants is not None:
            found = None
            for constant in key.constants:
                at = constant
                if owner.shape == "list" and isinstance(constant, int) and constant < 0:
                    at = len(owner.items) + constant
                if at not in owner.items:
                    return beside_items(owner)
                found = owner.items[at] if found is None else joined(found, owner.items[at])
            return found if found is not None else UNKNOWN
        if isinstance(owner.constant, str) and not owner.taints and isinstance(key.constant, int):
            try:
                return literal(owner.constant[key.constant])
            except IndexError:
                return UNKNOWN
        return Value(taints=owner.taints, about=owner.about, kind="sent" if owner.kind == "sent" else "")

    def _sliced(self, owner: Value, part: ast.Slice, frame: Frame, env: Env) -> Value:
        ends = [
            self._run.evaluate(end, frame, env) if end is not None else literal(None)
            for end in (part.lower, part.upper)
        ]
        low, high = ends[0].constants, ends[1].constants
        if isinstance(owner.constant, str) and not owner.taints and low and high and part.step is None:
            start, stop = low[0], high[0]
            if isinstance(start, int | None) and isinstance(stop, int | None):
                return literal(owner.constant[start:stop])
        return Value(taints=owner.taints)._replace(shape=owner.shape)


def _is_written_again(home: Module, name: str, statement: ast.stmt) -> bool:
    if any(name in node.names for node in home.nodes(ast.Global)):
        return True
    for node in home.tree.body:
        if node is not statement and isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.If | ast.Try):
            for inner in walk(node):
                if isinstance(inner, ast.Name) and inner.id == name and isinstance(inner.ctx, ast.Store):
                    return True
    return False

"""Runs expressions over abstract values: constants are folded, data from outside is followed."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from swarm.analysis.dataflow.calls import Calls
from swarm.analysis.dataflow.folding import folded_operator, percent
from swarm.analysis.dataflow.frames import CHECKED, Env, Frame, Seen
from swarm.analysis.dataflow.guards import Guards, decided, truth_of
from swarm.analysis.dataflow.incoming import FILES, FLASK_REQUEST, OF_THE_PATH, REQUEST_KINDS, SENT, has_parameters
from swarm.analysis.dataflow.objects import Objects
from swarm.analysis.dataflow.predicates import Predicates
from swarm.analysis.dataflow.statements import Statements
from swarm.analysis.dataflow.values import (
    OUTSIDE,
    UNKNOWN,
    Taint,
    Value,
    beside_items,
    concatenated,
    container,
    derived,
    joined,
    literal,
    merge_into,
)
from swarm.analysis.module import unparsed, walk
from swarm.core.findings import FlowStep

if TYPE_CHECKING:
    from swarm.analysis.dataflow.values import SourceKind
    from swarm.analysis.index import Index
    from swarm.analysis.source import Module

_OF_NUMBERS = tuple("dfxegbo%")  # formats that text cannot have
MOST_STEPS = 60_000  # expressions of one root


class OutOfSteps(Exception):
    """A root that costs too much: what was seen of it counts, the rest is left."""


class Interpreter:
    """Evaluates expressions; statements, calls and conditions have classes of their own."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.seen: list[Seen] = []
        self._held: dict[int, dict[int, Taint]] = {}  # by the expression's id, then by the source's key
        self.guards = Guards(self)
        self.calls = Calls(self)
        self.objects = Objects(self)
        self.predicates = Predicates(self)
        self.statements = Statements(self)
        self.left = MOST_STEPS
        self._globals: dict[tuple[str, str], Value] = {}
        self._literals: dict[ast.Constant, Value] = {}
        self._steps: dict[ast.AST, FlowStep] = {}
        self._evaluators: dict[type[ast.expr], Callable[..., Value]] = {
            ast.Constant: self._literal,
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Subscript: self._subscript,
            ast.Call: self.calls.evaluate,
            ast.JoinedStr: self._joined_string,
            ast.FormattedValue: self._formatted,
            ast.BinOp: self._binary,
            ast.BoolOp: self._bool,
            ast.IfExp: self._conditional,
            ast.Compare: self._compare,
            ast.UnaryOp: self._unary,
            ast.List: self._list,
            ast.Tuple: self._list,
            ast.Set: self._list,
            ast.Dict: self._dict,
            ast.ListComp: self._comprehension,
            ast.SetComp: self._comprehension,
            ast.GeneratorExp: self._comprehension,
            ast.DictComp: self._comprehension,
            ast.Await: lambda node, frame, env: self.evaluate(node.value, frame, env),
            ast.Starred: lambda node, frame, env: self.evaluate(node.value, frame, env),
            ast.NamedExpr: self._named,
            ast.Lambda: lambda node, frame, env: Value(node=node),
            ast.Yield: self._yield,
            ast.YieldFrom: self._yield,
        }

    def evaluate(self, node: ast.expr, frame: Frame, env: Env) -> Value:
        """The value of an expression."""
        self.left -= 1
        if self.left < 0:
            raise OutOfSteps
        evaluator = self._evaluators.get(type(node))
        if evaluator is None:
            return UNKNOWN
        value = evaluator(node, frame, env)
        if value.taints:
            known = self._held.get(id(node))
            if known is None:
                self._held[id(node)] = {taint.key: taint for taint in value.taints}
            else:
                merge_into(known, value.taints)
        return value

    def held(self) -> dict[int, tuple[Taint, ...]]:
        """The sources that each expression was seen to hold, by its id, whichever way it was reached."""
        return {place: tuple(taints.values()) for place, taints in self._held.items()}

    def source(self, kind: SourceKind, module: Module, node: ast.AST, words: str = "") -> Taint:
        """A source at a node."""
        line = getattr(node, "lineno", 1)
        return Taint(kind, id(node), (FlowStep(module.path, line, words or module.line(line).strip()[:160]),))

    def step(self, value: Value, module: Module, node: ast.AST) -> Value:
        """The value one step further on its way."""
        if not value.taints:
            return value
        step = self._steps.get(node)
        if step is None:
            line = getattr(node, "lineno", 1)
            step = self._steps[node] = FlowStep(module.path, line, module.line(line).strip()[:160])
        return Value(tuple([taint.through(step) for taint in value.taints]), *value[1:])

    # -- names and parts

    def _literal(self, node: ast.Constant, frame: Frame, env: Env) -> Value:
        known = self._literals.get(node)
        if known is None:
            known = self._literals[node] = literal(node.value)
        return known

    def _name(self, node: ast.Name, frame: Frame, env: Env) -> Value:
        if node.id in env:
            return env[node.id]
        return self._global(node, frame)

    def _global(self, node: ast.expr, frame: Frame) -> Value:
        dotted = self.index.resolve(frame.module, node)
        if dotted is None:
            return UNKNOWN
        if dotted in FLASK_REQUEST:
            return Value(kind="flask.Request", dotted=dotted)
        if dotted == "flask.session":
            return Value(kind="session", dotted=dotted)
        home, name = self.index.tree.split(dotted, frame.module)
        if home is None or "." in name or name not in home.globals:
            return Value(dotted=dotted)
        return self.global_value(home, name, dotted)

    def global_value(self, home: Module, name: str, dotted: str) -> Value:
        """What a module's variable holds, where it is written once."""
        key = home.path, name
        if key not in self._globals:
            self._globals[key] = Value(dotted=dotted)  # a recursion ends here
            statement = home.globals[name]
            value = getattr(statement, "value", None)
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            if isinstance(value, ast.expr) and len(targets) == 1 and isinstance(targets[0], ast.Name) \
                    and not _is_written_again(home, name, statement):  # fmt: skip
                found = self.evaluate(value, Frame(home, None, None, 0), {})
                self._globals[key] = found._replace(taints=(), dotted=dotted)
        return self._globals[key]

    def _attribute(self, node: ast.Attribute, frame: Frame, env: Env) -> Value:
        if CHECKED in env and CHECKED + (text := unparsed(node)) in env:
            return env[CHECKED + text]
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id not in env:
            dotted = self.index.resolve(frame.module, node)
            if dotted is not None:
                flask = dotted.rpartition(".")
                if flask[0] not in FLASK_REQUEST:
                    found = self._global(node, frame)
                    if found.kind or found.dotted == dotted:
                        owner = dotted.rsplit(".", 2)[0]
                        if owner not in FLASK_REQUEST:
                            return found
        return self.part(self.evaluate(node.value, frame, env), node.attr, node, frame)

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
                self.calls.tie("path")
            if name in OF_THE_PATH and route is not None and not has_parameters(route.path):
                fixed = name == "path"
                return literal(route.path) if fixed and route.path else UNKNOWN
            return Value(taints=(self.source("request", frame.module, node),), text=OUTSIDE, kind="sent")
        if owner.kind == "urlparse":
            return owner._replace(kind="")
        if owner.kind == "pathlib.Path" and name in ("name", "stem", "suffix"):
            return derived(owner, marks=("path", "flat"))
        if owner.kind in FILES and name in ("file", "size"):
            return UNKNOWN
        if owner.kind in self.index.classes:
            return self.objects.attribute_of(owner, name, node, frame)
        if owner.taints:
            return Value(taints=owner.taints, kind=owner.kind if owner.kind == "sent" else "", about=owner.about)
        return UNKNOWN

    def _subscript(self, node: ast.Subscript, frame: Frame, env: Env) -> Value:
        if CHECKED in env and CHECKED + (text := unparsed(node)) in env:
            return env[CHECKED + text]
        owner = self.evaluate(node.value, frame, env)
        if isinstance(node.slice, ast.Slice):
            return self._sliced(owner, node.slice, frame, env)
        key = self.evaluate(node.slice, frame, env)
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
            self.evaluate(end, frame, env) if end is not None else literal(None) for end in (part.lower, part.upper)
        ]
        low, high = ends[0].constants, ends[1].constants
        if isinstance(owner.constant, str) and not owner.taints and low and high and part.step is None:
            start, stop = low[0], high[0]
            if isinstance(start, int | None) and isinstance(stop, int | None):
                return literal(owner.constant[start:stop])
        return Value(taints=owner.taints)._replace(shape=owner.shape)

    # -- strings and numbers

    def _joined_string(self, node: ast.JoinedStr, frame: Frame, env: Env) -> Value:
        return concatenated(self.evaluate(part, frame, env) for part in node.values)

    def _formatted(self, node: ast.FormattedValue, frame: Frame, env: Env) -> Value:
        value = self.evaluate(node.value, frame, env)
        if node.conversion == ord("r"):
            return derived(value, marks=("log", "header"))
        if isinstance(node.format_spec, ast.JoinedStr) and len(node.format_spec.values) == 1 \
                and isinstance(node.format_spec.values[0], ast.Constant) \
                and str(node.format_spec.values[0].value)[-1:] in _OF_NUMBERS:  # fmt: skip
            return UNKNOWN  # numbers alone can be written so
        return value if value.constants or value.text is not None else value._replace(constants=None)

    def _binary(self, node: ast.BinOp, frame: Frame, env: Env) -> Value:
        left, right = self.evaluate(node.left, frame, env), self.evaluate(node.right, frame, env)
        if left.constants is not None and right.constants is not None and not left.taints and not right.taints:
            folded = folded_operator(node.op, left.constants, right.constants)
            if folded is not None:
                return folded
        if isinstance(node.op, ast.Add):
            if left.shape == "list" and right.shape == "list" and left.items is not None and right.items is not None:
                several = [*left.items.values(), *right.items.values()]
                return container("list", dict(enumerate(several)))
            if left.shape or right.shape:
                return derived(left, right)._replace(shape="list")
            return concatenated((left, right))
        if isinstance(node.op, ast.Mod) and not isinstance(left.constant, int | float):
            return percent(left, right)
        if isinstance(node.op, ast.Div) and "pathlib.Path" in (left.kind, right.kind):
            found = derived(left, right)
            return found._replace(kind="pathlib.Path")
        if isinstance(node.op, ast.Mult | ast.BitOr):
            return derived(left, right)
        return derived(*(v for v in (left, right) if any(t.kind == "random" for t in v.taints)))

    def _unary(self, node: ast.UnaryOp, frame: Frame, env: Env) -> Value:
        value = self.evaluate(node.operand, frame, env)
        if isinstance(node.op, ast.Not):
            known = truth_of(value)
            return literal(not known) if known is not None else UNKNOWN
        if isinstance(node.op, ast.USub) and isinstance(value.constant, int | float):
            return literal(-value.constant)
        return UNKNOWN

    def _bool(self, node: ast.BoolOp, frame: Frame, env: Env) -> Value:
        is_and = isinstance(node.op, ast.And)
        found: Value | None = None
        for operand in node.values:
            value = self.evaluate(operand, frame, env)
            known = truth_of(value)
            if known is not None and known == is_and and operand is not node.values[-1]:
                continue  # another one is the answer
            found = value if found is None else joined(found, value)
            if known is not None and known != is_and:
                break
        return found or UNKNOWN

    def _conditional(self, node: ast.IfExp, frame: Frame, env: Env) -> Value:
        yes, no = self.guards.split(node.test, frame, env)
        ways = [self.evaluate(node.body, frame, yes)] if yes is not None else []
        ways += [self.evaluate(node.orelse, frame, no)] if no is not None else []
        return joined(ways[0], ways[1]) if len(ways) == 2 else ways[0] if ways else UNKNOWN

    def _compare(self, node: ast.Compare, frame: Frame, env: Env) -> Value:
        left, right = self.evaluate(node.left, frame, env), self.evaluate(node.comparators[0], frame, env)
        if isinstance(node.ops[0], ast.Eq | ast.NotEq) and (left.taints or right.taints):
            self.note(Seen("compare", frame.module, node, frame.function, frame.route, arguments=(left, right)))
        if len(node.ops) == 1:
            known = decided(node.ops[0], left, right)
            if known is not None:
                return literal(known)
        return UNKNOWN

    # -- containers

    def _list(self, node: ast.List | ast.Tuple | ast.Set, frame: Frame, env: Env) -> Value:
        values = [self.evaluate(item, frame, env) for item in node.elts]
        if any(isinstance(item, ast.Starred) for item in node.elts):
            return derived(*values)._replace(shape="list")
        return container("list", dict(enumerate(values)))

    def _dict(self, node: ast.Dict, frame: Frame, env: Env) -> Value:
        items: dict[object, Value] = {}
        rest = UNKNOWN
        for key, value in zip(node.keys, node.values, strict=True):
            found = self.evaluate(value, frame, env)
            name = self.evaluate(key, frame, env) if key is not None else UNKNOWN
            if key is None and found.items is not None and found.shape == "dict":
                items.update(found.items)
                rest = derived(rest, found)
            elif name.constant is not None and isinstance(name.constant, str | int | float | bytes | bool):
                items[name.constant] = found
            else:
                rest = derived(rest, found, name)
        return container("dict", items, rest)

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, frame: Frame, env: Env
    ) -> Value:
        inner: Env | None = dict(env)
        for generator in node.generators:
            if inner is None:
                break
            several = self.evaluate(generator.iter, frame, inner)
            self.assign(generator.target, self.element(several), frame, inner)
            for test in generator.ifs:
                inner = self.guards.assume(test, True, frame, inner) if inner is not None else None
        if inner is None:
            return Value(shape="list")
        if isinstance(node, ast.DictComp):
            pair = self.evaluate(node.key, frame, inner), self.evaluate(node.value, frame, inner)
            return derived(*pair)._replace(shape="dict")
        return derived(self.evaluate(node.elt, frame, inner))._replace(shape="list")

    def element(self, several: Value) -> Value:
        """What a loop over a value gives, any of its items."""
        if several.items is not None and several.items:
            if several.shape == "dict":
                return Value(taints=several.taints if not _clean_keys(several) else ())
            found: Value | None = None
            for value in several.items.values():
                found = value if found is None else joined(found, value)
            return found or UNKNOWN
        return Value(taints=several.taints, kind="sent" if several.kind == "sent" else "")

    def _named(self, node: ast.NamedExpr, frame: Frame, env: Env) -> Value:
        value = self.evaluate(node.value, frame, env)
        env[node.target.id] = value
        return value

    def _yield(self, node: ast.Yield | ast.YieldFrom, frame: Frame, env: Env) -> Value:
        if node.value is not None:
            frame.yields.append(self.evaluate(node.value, frame, env))
        return UNKNOWN

    def assign(self, target: ast.expr, value: Value, frame: Frame, env: Env) -> None:
        """Bind a value to a target."""
        self.statements.assign(target, value, frame, env)

    def note(self, seen: Seen) -> None:
        """Keep something for the rules."""
        self.seen.append(seen)


def _clean_keys(value: Value) -> bool:
    return all(not isinstance(key, Value) for key in value.items or ())


def _is_written_again(home: Module, name: str, statement: ast.stmt) -> bool:
    if any(name in node.names for node in home.nodes(ast.Global)):
        return True
    for node in home.tree.body:
        if node is not statement and isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.If | ast.Try):
            for inner in walk(node):
                if isinstance(inner, ast.Name) and inner.id == name and isinstance(inner.ctx, ast.Store):
                    return True
    return False

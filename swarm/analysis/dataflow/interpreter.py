"""Runs expressions over abstract values: constants are folded, data from outside is followed."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from swarm.analysis.dataflow.calls import Calls
from swarm.analysis.dataflow.folding import folded_operator, percent
from swarm.analysis.dataflow.frames import Env, Frame, Seen
from swarm.analysis.dataflow.guards import Guards, decided, truth_of
from swarm.analysis.dataflow.names import Names
from swarm.analysis.dataflow.objects import Objects
from swarm.analysis.dataflow.predicates import Predicates
from swarm.analysis.dataflow.statements import Statements
from swarm.analysis.dataflow.values import (
    UNKNOWN,
    Taint,
    Value,
    concatenated,
    container,
    derived,
    joined,
    literal,
    merge_into,
)
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
    """Evaluates expressions; names, statements, calls and conditions have classes of their own."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.seen: list[Seen] = []
        self._held: dict[int, dict[int, Taint]] = {}  # by the expression's id, then by the source's key
        self.names = Names(self)
        self.guards = Guards(self)
        self.calls = Calls(self)
        self.objects = Objects(self)
        self.predicates = Predicates(self)
        self.statements = Statements(self)
        self.left = MOST_STEPS
        self._literals: dict[ast.Constant, Value] = {}
        self._steps: dict[ast.AST, FlowStep] = {}
        self._evaluators: dict[type[ast.expr], Callable[..., Value]] = {
            ast.Constant: self._literal,
            ast.Name: self.names.of_name,
            ast.Attribute: self.names.of_attribute,
            ast.Subscript: self.names.of_item,
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
        """The value of an expression. Raises OutOfSteps where the root has cost MOST_STEPS already."""
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

    def _literal(self, node: ast.Constant, frame: Frame, env: Env) -> Value:
        known = self._literals.get(node)
        if known is None:
            known = self._literals[node] = literal(node.value)
        return known

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

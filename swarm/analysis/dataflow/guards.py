"""What a condition that holds, or does not, says of the values that it asks about."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from swarm.analysis.dataflow.frames import CHECKED, Env, Frame, Seen, join_envs
from swarm.analysis.dataflow.incoming import is_anchored, is_tight
from swarm.analysis.dataflow.values import UNKNOWN, Value, marked, without_taint
from swarm.analysis.module import unparsed

if TYPE_CHECKING:
    from swarm.analysis.dataflow.interpreter import Interpreter

Ways = tuple[Env | None, Env | None]  # the variables where a condition holds, and where it does not
_TIGHT_TESTS = frozenset({"isdigit", "isalnum", "isalpha", "isdecimal", "isnumeric", "isidentifier"})
_SAME = frozenset({"lower", "upper", "strip", "casefold", "lstrip", "rstrip", "as_posix", "title"})
_HOST_PARTS = frozenset({"netloc", "hostname", "scheme"})
_OPERATORS: dict[type[ast.cmpop], Callable[[object, object], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,  # type: ignore[operator]
    ast.LtE: lambda a, b: a <= b,  # type: ignore[operator]
    ast.Gt: lambda a, b: a > b,  # type: ignore[operator]
    ast.GtE: lambda a, b: a >= b,  # type: ignore[operator]
    ast.In: lambda a, b: a in b,  # type: ignore[operator]
    ast.NotIn: lambda a, b: a not in b,  # type: ignore[operator]
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
}


def decided(operator: ast.cmpop, left: Value, right: Value) -> bool | None:
    """What a comparison of constants comes to, where all alternatives agree."""
    if left.constants is None or right.constants is None or left.taints or right.taints:
        return None
    function = _OPERATORS[type(operator)]
    try:
        answers = {bool(function(a, b)) for a in left.constants for b in right.constants}
    except TypeError:
        return None
    return answers.pop() if len(answers) == 1 else None


def truth_of(value: Value) -> bool | None:
    """Whether a value is true, where its constants say so."""
    if value.constants is None or value.taints:
        return None
    answers = {bool(constant) for constant in value.constants}
    return answers.pop() if len(answers) == 1 else None


class Guards:
    """Narrows variables by conditions."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._run = interpreter

    def assume(self, test: ast.expr, truth: bool, frame: Frame, env: Env) -> Env | None:
        """The variables where the condition is so; None where it cannot be."""
        yes, no = self.split(test, frame, env)
        return yes if truth else no

    def split(self, test: ast.expr, frame: Frame, env: Env) -> Ways:
        """The variables where the condition holds, and where it does not: it is looked at once for both."""
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yes, no = self.split(operand, frame, env)
                return no, yes
            case ast.BoolOp(op=operator, values=values):
                return self._several(isinstance(operator, ast.And), values, frame, env)
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self._compared(left, operator, right, frame, env)
            case ast.NamedExpr(target=target, value=value):
                found = self._run.evaluate(value, frame, env)
                return self._by_truth(target, found, {**env, target.id: found})
            case ast.Call():
                return self._called(test, frame, env)
        return self._by_truth(test, self._run.evaluate(test, frame, env), env)

    def _several(self, is_and: bool, values: list[ast.expr], frame: Frame, env: Env) -> Ways:
        current: Env | None = env
        left: list[Env | None] = []  # the first that is not so, those before it are
        for value in values:
            if current is None:
                break
            yes, no = self.split(value, frame, current)
            current, other = (yes, no) if is_and else (no, yes)
            left.append(other)
        return (current, join_envs(left)) if is_and else (join_envs(left), current)

    def _by_truth(self, test: ast.expr, value: Value, env: Env) -> Ways:
        return self._true_value(test, value, True, env), self._true_value(test, value, False, env)

    def _true_value(self, test: ast.expr, value: Value, truth: bool, env: Env) -> Env | None:
        known = truth_of(value)
        if known is not None and known != truth:
            return None
        if value.kind.startswith("match:"):  # of `re`: the text fitted
            fits = truth
            return self._for_keys(env, value.about, lambda v: without_taint(v)) if fits else env
        if not truth and value.taints and isinstance(test, ast.Name) and not value.kind:
            return {**env, test.id: without_taint(value)}  # empty
        return env

    def _compared(self, left: ast.expr, operator: ast.cmpop, right: ast.expr, frame: Frame, env: Env) -> Ways:
        one, other = self._run.evaluate(left, frame, env), self._run.evaluate(right, frame, env)
        if isinstance(operator, ast.Eq | ast.NotEq) and (one.taints or other.taints):
            self._run.note(Seen("compare", frame.module, left, frame.function, frame.route, arguments=(one, other)))
        known = decided(operator, one, other)
        if known is not None:
            return (env, None) if known else (None, env)
        sides = (left, one), (right, other)
        return self._where(operator, *sides, True, frame, env), self._where(operator, *sides, False, frame, env)

    def _where(
        self, operator: ast.cmpop, first: tuple[ast.expr, Value], second: tuple[ast.expr, Value], truth: bool,
        frame: Frame, env: Env,
    ) -> Env | None:  # fmt: skip
        (left, one), (right, other) = first, second
        contained = self._common_path(left, operator, truth, frame, env)
        if contained is not None:
            return contained
        match operator:
            case ast.In() | ast.NotIn():
                inside = isinstance(operator, ast.In) == truth
                if inside and not isinstance(other.constant, str) and not other.taints:
                    return self._is_known(left, one, frame, env)
                if inside and isinstance(right, ast.Attribute) and right.attr == "parents" and not one.taints:
                    return self._narrow(right.value, frame, env, _contained)
                if not inside and other.taints and isinstance(one.constant, str) and one.constant:
                    return self._narrow(right, frame, env, lambda v: marked(v, f"without:{one.constant}"))
            case ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot():
                if isinstance(operator, ast.Eq | ast.Is) == truth:
                    if one.taints and not other.taints:
                        return self._is_known(left, one, frame, env)
                    if other.taints and not one.taints:
                        return self._is_known(right, other, frame, env)
        return env

    def _is_known(self, expression: ast.expr, value: Value, frame: Frame, env: Env) -> Env:
        """The value is one of those that the code knows."""
        folder_of = self._whose_folder(expression, frame)
        if folder_of is not None:
            return self._narrow(folder_of, frame, env, without_taint)
        inner = expression
        while isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            inner = inner.func.value
        if isinstance(inner, ast.Attribute) and inner.attr in _HOST_PARTS:
            if inner.attr == "scheme":
                return env
            return self._for_keys(env, value.about, lambda v: marked(v, "host"))
        if isinstance(inner, ast.Attribute) and inner.attr == "host":  # of an address that was parsed at the door
            return self._narrow(inner.value, frame, env, lambda v: marked(v, "host"))
        return self._narrow(expression, frame, env, without_taint)

    def _whose_folder(self, expression: ast.expr, frame: Frame) -> ast.expr | None:
        """`path` of `os.path.dirname(os.path.realpath(path))`: where that is a known folder, it lies right in it."""
        asked = ["os.path.dirname", "os.path.realpath", "os.path.abspath", "os.path.normpath"]
        inner = expression
        while isinstance(inner, ast.Call) and len(inner.args) == 1:
            if (self._run.index.resolve(frame.module, inner.func) or "").replace("posixpath", "os.path") not in asked:
                return None
            asked, inner = asked[-3:], inner.args[0]
        return inner if inner is not expression and len(asked) == 3 else None

    def _called(self, test: ast.Call, frame: Frame, env: Env) -> Ways:
        value = self._run.evaluate(test, frame, env)
        known = truth_of(value)
        answers: Ways | None = None
        ways: list[Env | None] = []
        for truth in (True, False):
            if known is not None and known != truth:
                ways.append(None)
                continue
            narrowed = self._of_library(test, value, truth, frame, env)
            if narrowed is None:
                answers = answers or self._run.predicates.split(test, frame, env)
                narrowed = answers[0] if truth else answers[1]
            ways.append(narrowed)
        return ways[0], ways[1]

    def _of_library(self, test: ast.Call, value: Value, truth: bool, frame: Frame, env: Env) -> Env | None:
        """What is known of a method of texts, of `isinstance` and of `re`; None for any other call."""
        if isinstance(test.func, ast.Attribute):
            narrowed = self._by_method(test, test.func, truth, frame, env)
            if narrowed is not None:
                return narrowed
        dotted = self._run.index.resolve(frame.module, test.func) or ""
        if dotted == "isinstance" and len(test.args) == 2 and truth:
            kind = self._run.index.resolve(frame.module, test.args[1])
            if kind in ("int", "float", "bool", "uuid.UUID"):
                return self._narrow(test.args[0], frame, env, without_taint)
        if value.kind.startswith("match:"):
            return self._for_keys(env, value.about, without_taint) if truth else env
        return None

    def _common_path(self, left: ast.expr, operator: ast.cmpop, truth: bool, frame: Frame, env: Env) -> Env | None:
        """`os.path.commonpath([path, FOLDER]) == FOLDER`: the path lies in the folder."""
        if not isinstance(operator, ast.Eq | ast.NotEq) or isinstance(operator, ast.Eq) != truth:
            return None
        match left:
            case ast.Call(func=asked, args=[ast.List(elts=parts) | ast.Tuple(elts=parts)]):
                if self._run.index.resolve(frame.module, asked) == "os.path.commonpath":
                    for part in parts:
                        if isinstance(part, ast.Name) and part.id in env and env[part.id].taints:
                            return self._narrow(part, frame, env, _contained)
        return None

    def _by_method(self, test: ast.Call, function: ast.Attribute, truth: bool, frame: Frame, env: Env) -> Env | None:
        name = function.attr
        if name in _TIGHT_TESTS and truth and not test.args:
            return self._narrow(function.value, frame, env, without_taint)
        if name not in ("is_relative_to", "startswith", "endswith"):
            return None
        given = self._run.evaluate(test.args[0], frame, env) if test.args else UNKNOWN
        if given.taints:
            return None
        if name == "is_relative_to":
            return self._narrow(function.value, frame, env, _contained) if truth else None
        if not truth:
            several = list(given.items.values()) if given.items else [given]  # `startswith(("//", "/\\"))`
            texts = [one.constant for one in several]
            if name != "startswith" or not all(isinstance(text, str) for text in texts):
                return None
            return self._narrow(
                function.value, frame, env, lambda v: marked(v, *(f"not-first:{text}" for text in texts))
            )
        mark = f"{'first' if name == 'startswith' else 'last'}:{given.constant or ''}"
        if name == "startswith" and (given.constant is None or len(str(given.constant)) > 1):
            return self._narrow(function.value, frame, env, lambda v: _begins(v, given, mark))
        return self._narrow(function.value, frame, env, lambda v: marked(v, mark))

    def _narrow(self, expression: ast.expr, frame: Frame, env: Env, change: Callable[[Value], Value]) -> Env:
        """The variable that an expression is, or is plainly taken from, changed."""
        match expression:
            case ast.Name(id=name) if name in env:
                return {**env, name: change(env[name])}
            case ast.Attribute() | ast.Subscript():
                if isinstance(expression, ast.Subscript) and isinstance(expression.slice, ast.Slice):
                    return self._narrow(expression.value, frame, env, change)  # `x[1:-1]`
                value = self._run.evaluate(expression, frame, env)
                after = dict(env)
                self._run.assign(expression, change(value), frame, after)
                after[CHECKED] = UNKNOWN
                after[CHECKED + unparsed(expression)] = change(value)
                return after
            case ast.NamedExpr(target=target):
                return self._narrow(target, frame, env, change)
            case ast.Call(func=ast.Attribute(value=inner, attr=attr)) if attr in _SAME:
                return self._narrow(inner, frame, env, change)
            case ast.Call(func=ast.Name(id="str" | "Path"), args=[inner]):
                return self._narrow(inner, frame, env, change)
            case ast.Call(func=ast.Attribute(attr="get" | "getlist"), args=[ast.Constant(), *_]):
                after = dict(env)
                after[CHECKED] = UNKNOWN
                after[CHECKED + unparsed(expression)] = change(self._run.evaluate(expression, frame, env))
                return after
        return env

    def _for_keys(self, env: Env, keys: frozenset[int], change: Callable[[Value], Value]) -> Env:
        """Every variable that holds one of these sources, changed."""
        if not keys:
            return env
        return {
            name: change(value) if any(taint.key in keys for taint in value.taints) else value
            for name, value in env.items()
        }

    def matched(self, pattern: Value, method: str, subject: Value) -> Value:
        """What `re.match(pattern, subject)` gives: an object that, where it is true, says that the text fitted."""
        text = pattern.constant
        is_strict = isinstance(text, str) and is_anchored(text, method) and is_tight(text)
        if is_strict and not pattern.taints:
            return Value(taints=(), kind="match:", about=frozenset(t.key for t in subject.taints))
        return Value(taints=subject.taints)


def _contained(value: Value) -> Value:
    """Below a folder: proven for a resolved path, for another only that it begins there."""
    taints = tuple(t.marked("path") if "resolved" in t.marks else t.marked("rooted") for t in value.taints)
    return value._replace(taints=taints)


def _begins(value: Value, given: Value, mark: str) -> Value:
    text = given.constant
    marks = [mark]
    if not isinstance(text, str):
        return marked(_contained(value), mark)
    if "://" in text and text.count("/") > 2:
        marks.append("host")
    if text.startswith("/") and not text.startswith("//"):
        marks.append("rooted")
        return marked(_contained(value), *marks)
    return marked(value, *marks)

"""Functions of the target that answer yes or no: what their answer says of what they were asked about."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from swarm.analysis.dataflow.frames import Env, Frame, join_envs
from swarm.analysis.dataflow.guards import Ways, truth_of
from swarm.analysis.dataflow.values import Value, marked, without_taint
from swarm.analysis.module import unparsed
from swarm.analysis.source import parameters

if TYPE_CHECKING:
    from swarm.analysis.dataflow.interpreter import Interpreter
    from swarm.analysis.parts import Function

_WORDS = ("allowed", "valid", "safe", "permitted", "trusted", "whitelist")


class Predicates:
    """Narrows the arguments of `if is_allowed(x)`."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._run = interpreter

    def split(self, test: ast.Call, frame: Frame, env: Env) -> tuple[Env, Env]:
        """`if is_allowed(x)`: what the function knows of its argument where it says yes, and where it says no."""
        target = self._run.index.named_function(frame.module, test.func)
        if target is None:
            return self._by_name(test, env), env
        if not self._run.calls.may_enter(target, frame, 2):
            return env, env
        names = [argument.arg for argument in parameters(target.node)]
        if target.class_name and names[:1] in (["self"], ["cls"]):
            names = names[1:]
        bound = {name: self._run.evaluate(given, frame, env) for name, given in zip(names, test.args, strict=False)}
        if not any(value.taints for value in bound.values()):
            return env, env
        pairs = list(zip(names, test.args, strict=False))
        yes, no = self._where_it_answers(target, bound, frame)
        return _narrowed(pairs, bound, yes, env), _narrowed(pairs, bound, no, env)

    def _by_name(self, test: ast.Call, env: Env) -> Env:
        name = unparsed(test.func).rsplit(".", 1)[-1].lower()
        if any(word in name for word in _WORDS):
            for given in test.args:
                if isinstance(given, ast.Name) and given.id in env:
                    env = {**env, given.id: without_taint(env[given.id])}
        return env

    def _where_it_answers(self, target: Function, bound: Mapping[str, Value], frame: Frame) -> Ways:
        inner = Frame(target.module, target, frame.route, frame.depth + 1)
        env = {**self._run.calls.defaults(target), **bound}
        before = len(self._run.seen)
        was_aside, self._run.calls.is_aside = self._run.calls.is_aside, True
        self._run.calls.active.add(target)
        yes: list[Env | None] = []
        no: list[Env | None] = []
        try:
            self._run.statements.block(target.node.body, inner, dict(env))
            returns = [node.value for node in self._run.index.own_of(target, ast.Return)]
            for value, at in inner.returns:
                known = truth_of(value)
                ways: Ways = (at, None) if known else (None, at)
                if known is None:
                    ways = self._by_return(returns, inner, at) if returns else (at, at)
                yes.append(ways[0])
                no.append(ways[1])
        finally:
            self._run.calls.active.discard(target)
            self._run.calls.is_aside = was_aside
            del self._run.seen[before:]
        return join_envs(yes), join_envs(no)

    def _by_return(self, returns: Sequence[ast.expr | None], inner: Frame, at: Env) -> Ways:
        """A return whose value is itself a condition: `return name in ALLOWED`."""
        conditions = [r for r in returns if r is not None and not isinstance(r, ast.Constant)]
        return self._run.guards.split(conditions[0], inner, dict(at)) if len(conditions) == 1 else (at, at)


def _narrowed(
    pairs: Sequence[tuple[str, ast.expr]], bound: Mapping[str, Value], after: Env | None, env: Env
) -> Env:  # fmt: skip
    for name, given in pairs if after is not None else ():
        inner = given
        while isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            inner = inner.func.value
        if after is not None and isinstance(inner, ast.Name) and inner.id in env and name in after \
                and bound[name].taints:  # fmt: skip
            gained = after[name]
            if not gained.taints:
                env = {**env, inner.id: without_taint(env[inner.id])}
            else:
                marks = frozenset.intersection(*(taint.marks for taint in gained.taints))
                env = {**env, inner.id: marked(env[inner.id], *marks)}
    return env

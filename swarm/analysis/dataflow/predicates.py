"""Functions of the target that answer yes or no: what their answer says of what they were asked about."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from swarm.analysis.dataflow.binding import defaults_of
from swarm.analysis.dataflow.frames import Env, Frame, join_envs
from swarm.analysis.dataflow.guards import truth_of
from swarm.analysis.dataflow.values import Value, marked, without_taint
from swarm.analysis.source import parameters

if TYPE_CHECKING:
    from swarm.analysis.dataflow.interpreter import Interpreter
    from swarm.analysis.parts import Function

_WORDS = ("allowed", "valid", "safe", "permitted", "trusted", "whitelist")


class Predicates:
    """Narrows the arguments of `if is_allowed(x)`."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._run = interpreter

    def assume(self, test: ast.Call, truth: bool, frame: Frame, env: Env) -> Env | None:
        """`if is_allowed(x)`: what the function knows of its argument where it answers so."""
        target = self._run.index.named_function(frame.module, test.func)
        if target is None:
            name = ast.unparse(test.func).rsplit(".", 1)[-1].lower()
            if truth and any(word in name for word in _WORDS):
                for given in test.args:
                    if isinstance(given, ast.Name) and given.id in env:
                        env = {**env, given.id: without_taint(env[given.id])}
            return env
        if not self._run.calls.may_enter(target, frame, 2):
            return env
        names = [argument.arg for argument in parameters(target.node)]
        if target.class_name and names[:1] in (["self"], ["cls"]):
            names = names[1:]
        bound = {name: self._run.evaluate(given, frame, env) for name, given in zip(names, test.args, strict=False)}
        if not any(value.taints for value in bound.values()):
            return env
        after = self._where_it_answers(target, bound, truth, frame)
        if after is None:
            return env
        for name, given in zip(names, test.args, strict=False):
            inner = given
            while isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
                inner = inner.func.value
            if isinstance(inner, ast.Name) and inner.id in env and name in after and bound[name].taints:
                gained = after[name]
                if not gained.taints:
                    env = {**env, inner.id: without_taint(env[inner.id])}
                else:
                    marks = frozenset.intersection(*(taint.marks for taint in gained.taints))
                    env = {**env, inner.id: marked(env[inner.id], *marks)}
        return env

    def _where_it_answers(
        self, target: Function, bound: Mapping[str, Value], truth: bool, frame: Frame
    ) -> Env | None:
        inner = Frame(target.module, target, frame.route, frame.depth + 1)
        env = {**defaults_of(target), **bound}
        before = len(self._run.seen)
        was_aside, self._run.calls.is_aside = self._run.calls.is_aside, True
        self._run.calls.active.add(target)
        ways: list[Env | None] = []
        try:
            self._run.statements.block(target.node.body, inner, dict(env))
            returns = [n.value for n in self._run.index.own_nodes(target) if isinstance(n, ast.Return)]
            for value, at in inner.returns:
                known = truth_of(value)
                if known is not None:
                    ways.append(at if known == truth else None)
                    continue
                ways.append(self._by_return(returns, truth, inner, at) if len(returns) >= 1 else at)
        finally:
            self._run.calls.active.discard(target)
            self._run.calls.is_aside = was_aside
            del self._run.seen[before:]
        return join_envs(ways)

    def _by_return(self, returns: Sequence[ast.expr | None], truth: bool, inner: Frame, at: Env) -> Env | None:
        """A return whose value is itself a condition: `return name in ALLOWED`."""
        conditions = [r for r in returns if r is not None and not isinstance(r, ast.Constant)]
        if len(conditions) != 1:
            return at
        return self._run.guards.assume(conditions[0], truth, inner, dict(at))

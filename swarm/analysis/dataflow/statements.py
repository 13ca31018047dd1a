"""Runs statements: branches that can be taken, loops, assignments to names and into containers."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from swarm.analysis.dataflow.frames import CHECKED, Env, Frame, Seen, join_envs
from swarm.analysis.dataflow.guards import truth_of
from swarm.analysis.dataflow.incoming import REQUEST_KINDS
from swarm.analysis.dataflow.values import UNKNOWN, Value, concatenated, derived, with_item
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk

if TYPE_CHECKING:
    from swarm.analysis.dataflow.interpreter import Interpreter

_ENDING = frozenset({
    "flask.abort", "werkzeug.exceptions.abort", "sys.exit", "os._exit", "exit", "quit", "os.abort",
})  # fmt: skip


class Statements:
    """Gives the variables after a block; None where its end is not reached."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._run = interpreter

    def block(self, body: Sequence[ast.stmt], frame: Frame, env: Env | None) -> Env | None:
        """One statement after the other."""
        for statement in body:
            if env is None:
                return None
            env = self._statement(statement, frame, env)
        return env

    def _statement(self, node: ast.stmt, frame: Frame, env: Env) -> Env | None:
        run = self._run
        match node:
            case ast.Expr(value=value):
                run.evaluate(value, frame, env)
                return None if self._ends(value, frame) else env
            case ast.Assign(targets=targets, value=value):
                found = run.step(run.evaluate(value, frame, env), frame.module, node)
                for target in targets:
                    self.assign(target, found, frame, env)
            case ast.AnnAssign(target=target, annotation=annotation, value=ast.expr() as value):
                found = run.step(run.evaluate(value, frame, env), frame.module, node)
                kind = run.index.resolve(frame.module, annotation)
                if kind in REQUEST_KINDS and not found.kind:
                    found = Value(kind=kind or "")
                self.assign(target, found, frame, env)
            case ast.AugAssign(target=target):
                self._augment(node, target, frame, env)
            case ast.Return(value=value):
                found = run.evaluate(value, frame, env) if value is not None else UNKNOWN
                if frame.is_handler:
                    run.note(Seen("return", frame.module, node, frame.function, frame.route, arguments=(found,)))
                frame.returns.append((run.step(found, frame.module, node), env))
                return None
            case ast.Raise(exc=exception):
                if exception is not None:
                    run.evaluate(exception, frame, env)
                return None
            case ast.If():
                return self._if(node, frame, env)
            case ast.For() | ast.AsyncFor() | ast.While():
                return self._loop(node, frame, env)
            case ast.Try():
                return self._try(node, frame, env)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    found = run.evaluate(item.context_expr, frame, env)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, found, frame, env)
                return self.block(node.body, frame, env)
            case ast.Match():
                return self._match(node, frame, env)
            case ast.Assert(test=test):
                return run.guards.assume(test, True, frame, env)
            case ast.Break():
                if frame.loops:
                    frame.loops[-1][0].append(env)
                return None
            case ast.Continue():
                if frame.loops:
                    frame.loops[-1][1].append(env)
                return None
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                env[node.name] = Value(function=run.index.function_of(node))
            case ast.Delete(targets=targets):
                for target in targets:
                    if isinstance(target, ast.Name):
                        env.pop(target.id, None)
        return env

    def _ends(self, value: ast.expr, frame: Frame) -> bool:
        """Whether a statement never comes back: `abort(404)`, a function that always raises."""
        call = value.value if isinstance(value, ast.Await) else value
        if not isinstance(call, ast.Call):
            return False
        if self._run.index.resolve(frame.module, call.func) in _ENDING:
            return True
        return self._run.calls.never_came_back(call)

    def _if(self, node: ast.If, frame: Frame, env: Env) -> Env | None:
        ways = self._run.guards.split(node.test, frame, dict(env))
        return join_envs([
            self.block(body, frame, dict(way)) if way is not None else None
            for way, body in zip(ways, (node.body, node.orelse), strict=True)
        ])  # fmt: skip

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, frame: Frame, env: Env) -> Env | None:
        broken: list[Env] = []
        again: list[Env] = []
        frame.loops.append((broken, again))
        several = self._run.evaluate(node.iter, frame, env) if not isinstance(node, ast.While) else UNKNOWN
        is_endless = isinstance(node, ast.While) and truth_of(self._run.evaluate(node.test, frame, env)) is True
        current: Env | None = env
        for _ in range(2):
            start: Env | None = dict(current) if current is not None else None
            if start is None:
                break
            if isinstance(node, ast.While):
                # what a loop's condition finds in the first round need not be so in the next
                start = self._run.guards.assume(node.test, True, frame, start) if not is_endless else start
            else:
                self.assign(node.target, self._run.element(several), frame, start)
            end = self.block(node.body, frame, start)
            current = join_envs((current, end, *again))
            again.clear()
        frame.loops.pop()
        after = self.block(node.orelse, frame, current) if current is not None else None
        return join_envs((None if is_endless else after, *broken))

    def _try(self, node: ast.Try, frame: Frame, env: Env) -> Env | None:
        before = dict(env)
        returns = len(frame.returns)
        end = self.block(node.body, frame, dict(env))
        seen = [e for _, e in frame.returns[returns:]]
        if end is not None:
            end = self.block(node.orelse, frame, end)
        ways: list[Env | None] = [end]
        for handler in node.handlers:
            start = join_envs((before, end, *seen))
            if start is not None:
                start = dict(start)
                if handler.name:
                    start[handler.name] = Value(kind="exception")
                ways.append(self.block(handler.body, frame, start))
        after = join_envs(ways)
        if node.finalbody:
            if after is None:
                self.block(node.finalbody, frame, dict(before))
                return None
            return self.block(node.finalbody, frame, dict(after))
        return after

    def _match(self, node: ast.Match, frame: Frame, env: Env) -> Env | None:
        subject = self._run.evaluate(node.subject, frame, env)
        ways: list[Env | None] = []
        is_open = True
        for case in node.cases:
            known = _fits(case.pattern, subject)
            if known is False:
                continue
            start: Env | None = dict(env)
            if start is not None:
                self._capture(case.pattern, subject, node.subject, start)
            if case.guard is not None and start is not None:
                start = self._run.guards.assume(case.guard, True, frame, start)
            ways.append(self.block(case.body, frame, start) if start is not None else None)
            if known is True and case.guard is None:
                is_open = False
                break
        return join_envs([*ways, env] if is_open else ways)

    def _capture(self, pattern: ast.pattern, subject: Value, node: ast.expr, env: Env) -> None:
        if isinstance(pattern, ast.MatchAs) and pattern.name:
            is_known = pattern.pattern is not None and _are_values(pattern.pattern)
            env[pattern.name] = subject._replace(taints=(), text=None) if is_known else subject
        elif isinstance(pattern, ast.MatchValue | ast.MatchOr | ast.MatchSingleton) and subject.taints:
            if isinstance(node, ast.Name) and _are_values(pattern):
                env[node.id] = subject._replace(taints=(), text=None)  # one of those that stand there
        else:
            for inner in walk(pattern):
                if isinstance(inner, ast.MatchAs | ast.MatchStar) and inner.name:
                    env[inner.name] = derived(subject)
                elif isinstance(inner, ast.MatchMapping) and inner.rest:
                    env[inner.rest] = derived(subject)

    # -- assignments

    def assign(self, target: ast.expr, value: Value, frame: Frame, env: Env) -> None:
        """Bind a value to a name, an attribute, an item, or several of them."""
        match target:
            case ast.Name(id=name):
                env[name] = value
                if CHECKED in env:
                    for key in [k for k in env if k[0] == CHECKED and name in k]:
                        del env[key]  # what was checked under this name was another value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for number, part in enumerate(parts):
                    known = value.items.get(number) if value.items is not None and value.shape == "list" else None
                    inner = part.value if isinstance(part, ast.Starred) else part
                    if known is None or any(isinstance(p, ast.Starred) for p in parts):
                        known = Value(taints=value.taints, kind="sent" if value.kind == "sent" else "")
                    self.assign(inner, known, frame, env)
            case ast.Attribute(value=owner, attr=name):
                holder = self._run.evaluate(owner, frame, env)
                if holder.kind in self._run.index.classes or holder.fields is not None:
                    changed = holder._replace(fields={**(holder.fields or {}), name: value})
                    self._put_back(owner, changed, frame, env)
                if value.taints:
                    self._run.note(Seen("store", frame.module, target, frame.function, frame.route,
                                        receiver=holder._replace(dotted=holder.dotted or unparsed(owner)),
                                        name=name, arguments=(Value(constants=(name,)), value)))  # fmt: skip
            case ast.Subscript(value=owner, slice=place):
                holder = self._run.evaluate(owner, frame, env)
                at = self._run.evaluate(place, frame, env) if not isinstance(place, ast.Slice) else UNKNOWN
                if value.taints or at.taints:
                    self._run.note(Seen("store", frame.module, target, frame.function, frame.route,
                                        receiver=holder._replace(dotted=holder.dotted or unparsed(owner)),
                                        arguments=(at, value)))  # fmt: skip
                self._put_back(owner, with_item(holder, at, value), frame, env)

    def _put_back(self, owner: ast.expr, changed: Value, frame: Frame, env: Env) -> None:
        if isinstance(owner, ast.Name):
            if owner.id in env:
                env[owner.id] = changed
        elif isinstance(owner, ast.Attribute):
            self._owner(owner, changed, frame, env)

    def _owner(self, owner: ast.Attribute, changed: Value, frame: Frame, env: Env) -> None:
        holder = self._run.evaluate(owner.value, frame, env)
        if holder.kind in self._run.index.classes or holder.fields is not None:
            self._put_back(owner.value, holder._replace(fields={**(holder.fields or {}), owner.attr: changed}),
                           frame, env)  # fmt: skip

    def put_back(self, owner: ast.expr, changed: Value, frame: Frame, env: Env) -> None:
        """Let a variable hold a changed value of its own: `items.append(x)`."""
        self._put_back(owner, changed, frame, env)

    def _augment(self, node: ast.AugAssign, target: ast.expr, frame: Frame, env: Env) -> None:
        run = self._run
        more = run.evaluate(node.value, frame, env)
        known = run.evaluate(target, frame, env)
        if isinstance(node.op, ast.Add) and not known.shape and not more.shape:
            both = (known.constant, more.constant)
            if all(isinstance(c, int | float) and not isinstance(c, bool) for c in both):
                result = UNKNOWN  # counters in loops
            else:
                result = concatenated((known, more))
        elif isinstance(node.op, ast.Add):
            result = derived(known, more)._replace(shape=known.shape or "list")
        else:
            result = derived(known, more)
        self.assign(target, run.step(result, frame.module, node), frame, env)


def _fits(pattern: ast.pattern, subject: Value) -> bool | None:
    match pattern:
        case ast.MatchValue(value=ast.Constant(value=constant)):
            if subject.constants is None or subject.taints:
                return None
            answers = {constant == other for other in subject.constants}
            return answers.pop() if len(answers) == 1 else None
        case ast.MatchAs(pattern=None):
            return True
        case ast.MatchOr(patterns=patterns):
            several = [_fits(one, subject) for one in patterns]
            return True if True in several else False if all(one is False for one in several) else None
    return None


def _are_values(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchOr):
        return all(_are_values(one) for one in pattern.patterns)
    return isinstance(pattern, ast.MatchValue | ast.MatchSingleton)

"""Parameters of a call: what they are bound to, what tells two calls apart, and what a call came to."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from swarm.analysis.dataflow.frames import Env, Frame, Outcome, join_envs
from swarm.analysis.dataflow.values import UNKNOWN, Value, container, derived, joined, literal
from swarm.analysis.parts import Function
from swarm.analysis.source import Module, parameters

if TYPE_CHECKING:
    from swarm.analysis.index import Index

# what runs a function that it is handed with the arguments behind it, by the function's place
_RUNS = {
    "to_thread": 0, "run_in_threadpool": 0, "run_sync": 0, "add_task": 0, "submit": 0, "run_in_executor": 1,
    "call_soon": 0, "call_soon_threadsafe": 0, "call_later": 1, "start_soon": 0,
}  # fmt: skip


def parameters_of(node: ast.Lambda) -> list[ast.arg]:
    """The parameters of a lambda."""
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def bind(target: Function, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> dict[str, Value]:
    """Parameters by name, as the call gives them."""
    signature = target.node.args
    names = [argument.arg for argument in [*signature.posonlyargs, *signature.args]]
    bound = dict(zip(names, arguments, strict=False))
    every = {*names, *(argument.arg for argument in signature.kwonlyargs)}
    rest = {name: value for name, value in keywords.items() if name not in every and name != "**"}
    bound.update({name: value for name, value in keywords.items() if name in every})
    if signature.vararg is not None and len(arguments) > len(names):
        bound[signature.vararg.arg] = container("list", dict(enumerate(arguments[len(names) :])))
    if signature.kwarg is not None:
        bound[signature.kwarg.arg] = container("dict", dict(rest), keywords.get("**", UNKNOWN))
    elif "**" in keywords:
        for name in names:
            bound.setdefault(name, keywords["**"])
    return bound


class Prints:
    """Gives values numbers: two have the same one where nothing tells them apart for a function that gets them."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._known: dict[int, tuple[Value, int]] = {}  # by identity: most are handed on as they are

    def of(self, value: Value) -> int:
        """The value's number."""
        known = self._known.get(id(value))
        if known is not None:
            return known[1]
        taints, constants, text, shape, items, kind, fields, function, node, dotted, _ = value
        told = (
            tuple([(taint.kind, taint.key, taint.marks) for taint in taints]) if taints else None,
            repr(constants) if constants is not None else None, text, kind, shape, dotted,
            tuple([(repr(key), self.of(inner)) for key, inner in items.items()]) if items is not None else None,
            tuple([(key, self.of(inner)) for key, inner in fields.items()]) if fields is not None else None,
            function, node,
        )  # fmt: skip
        number = self._numbers.setdefault(told, len(self._numbers))
        self._known[id(value)] = value, number
        return number


def outcome_of(inner: Frame, end: Env | None, names: Sequence[str]) -> Outcome:
    """What a function's ends come to together."""
    value: Value | None = None
    for returned, _ in inner.returns:
        value = returned if value is None else joined(value, returned)
    if end is not None and value is not None:
        value = joined(value, literal(None))
    if inner.yields:
        value = derived(*inner.yields)._replace(shape="list") if len(inner.yields) > 1 else inner.yields[0]
    after = join_envs([end, *(env for _, env in inner.returns)])
    kept = {name: after[name] for name in names if after is not None and name in after}
    return Outcome(value or literal(None), kept, comes_back=after is not None)


def defaults_of(target: Function) -> Env:
    """Parameters that a call leaves out."""
    signature = target.node.args
    positional = [*signature.posonlyargs, *signature.args]
    env: Env = {argument.arg: UNKNOWN for argument in parameters(target.node)}
    for argument, default in zip(reversed(positional), reversed(signature.defaults), strict=False):
        env[argument.arg] = literal(default.value) if isinstance(default, ast.Constant) else UNKNOWN
    for argument, keyword_default in zip(signature.kwonlyargs, signature.kw_defaults, strict=True):
        if isinstance(keyword_default, ast.Constant):
            env[argument.arg] = literal(keyword_default.value)
    return env


def is_abstract(target: Function) -> bool:
    """Whether a function's body is a docstring or `...` alone."""
    body = target.node.body
    last = body[-1]
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and len(body) == 1


def is_static(target: Function) -> bool:
    """Whether a method is handed no object."""
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in target.node.decorator_list)


def handed_function(index: Index, module: Module, call: ast.Call) -> tuple[Function, int] | None:
    """The target's function that such a call runs, and its place among the arguments."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    position = _RUNS.get(name)
    if position is None or len(call.args) <= position:
        return None
    function = index.named_function(module, call.args[position])
    return (function, position) if function is not None and not is_abstract(function) else None

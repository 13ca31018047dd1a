"""Parameters of a call: what they are bound to, what tells two calls apart, and what a call came to."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace

from swarm.analysis.dataflow.frames import Env, Frame, Outcome, join_envs
from swarm.analysis.dataflow.values import UNKNOWN, Value, container, derived, joined, literal
from swarm.analysis.parts import Function
from swarm.analysis.source import parameters


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


def print_of(value: Value) -> object:
    """What tells two values apart for a function that gets them."""
    return (
        value.taints, repr(value.constants), value.text, value.kind, value.shape, value.dotted,
        tuple((repr(k), print_of(v)) for k, v in value.items.items()) if value.items is not None else None,
        tuple((k, print_of(v)) for k, v in value.fields.items()) if value.fields is not None else None,
        value.function, value.node,
    )  # fmt: skip


def outcome_of(inner: Frame, end: Env | None, names: Sequence[str]) -> Outcome:
    """What a function's ends come to together."""
    value: Value | None = None
    for returned, _ in inner.returns:
        value = returned if value is None else joined(value, returned)
    if end is not None and value is not None:
        value = joined(value, literal(None))
    if inner.yields:
        value = replace(derived(*inner.yields), shape="list") if len(inner.yields) > 1 else inner.yields[0]
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

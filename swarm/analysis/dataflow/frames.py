"""What the engine carries along: the variables of a function, and what it saw on the way."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from swarm.analysis.dataflow.values import UNKNOWN, Value, joined
from swarm.analysis.parts import Function, Route
from swarm.analysis.source import Module

if TYPE_CHECKING:
    from collections.abc import Iterable

Env = dict[str, Value]
# begins the name of an expression that was checked itself (`request.args["x"]`), and stands alone where there is one
CHECKED = "\0"


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Something that happened with data from outside, for rules to judge.

    call: `name` is the dotted function or the method's name, `receiver` what the method belongs to.
    return: a handler answers `arguments[0]`. store: `arguments` are the key and the value that go into `receiver`.
    compare: the two sides of `==`.
    """

    what: Literal["call", "return", "store", "compare"]
    module: Module
    node: ast.AST
    function: Function | None
    route: Route | None
    name: str = ""
    receiver: Value = UNKNOWN
    arguments: Sequence[Value] = ()
    keywords: Mapping[str, Value] = field(default_factory=dict)

    def argument(self, position: int, *names: str) -> Value:
        """An argument by position or name; unknown where it is not given."""
        for name in names:
            if name in self.keywords:
                return self.keywords[name]
        return self.arguments[position] if 0 <= position < len(self.arguments) else UNKNOWN


@dataclass(slots=True, eq=False)
class Frame:
    """One function at work: `returns` and `yields` collect, `loops` hold what `break` and `continue` leave with."""

    module: Module
    function: Function | None
    route: Route | None
    depth: int
    is_handler: bool = False
    returns: list[tuple[Value, Env]] = field(default_factory=list)
    yields: list[Value] = field(default_factory=list)
    loops: list[tuple[list[Env], list[Env]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to: its value, its parameters afterwards, and whether it ever comes back."""

    value: Value
    after: Mapping[str, Value]
    comes_back: bool = True


def join_envs(envs: Iterable[Env | None]) -> Env | None:
    """What holds whichever of these ways was taken; None where none can be."""
    result: Env | None = None
    for env in envs:
        if env is None or env is result:
            continue
        if result is None:
            result = env
            continue
        both: Env = dict(result)
        for name, theirs in env.items():  # most are the same in both
            mine = result.get(name)
            if mine is not theirs:
                both[name] = theirs if mine is None else joined(mine, theirs)
        result = both
    return result

"""What the dataflow engine knows of a value: its possible constants, its parts, and what of it came from outside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from swarm.core.findings import FlowStep

if TYPE_CHECKING:
    import ast

    from swarm.analysis.parts import Function

# request: what a sender chose; parameter: of a function that no route is known to call; upstream and stored: what
# another service or a database answered, which somebody else may have chosen; random: drawn from `random`
SourceKind = Literal["request", "parameter", "upstream", "stored", "random"]
MOST_CONSTANTS = 4
MOST_STEPS = 12
MOST_TEXT = 600
MOST_ITEMS = 40
CLEAN, OUTSIDE = "\x01", "\x02"  # in `Value.text`: an unknown part that is clean, and one that came from outside
_HOST = re.compile(r"(?:\w+:)?//[^/?#\x02]+[/?#]|[\w+.-]+:[^/]|[^/:?#\x01\x02]*[?#]|/[^/\\\x02]")


@dataclass(frozen=True, slots=True)
class Taint:
    """One source that a value holds, with the marks of what was checked or escaped on the way."""

    kind: SourceKind
    key: int
    steps: tuple[FlowStep, ...] = field(compare=False, hash=False)
    marks: frozenset[str] = frozenset()

    def marked(self, *marks: str) -> Taint:
        """The same with more marks."""
        return (
            self if self.marks.issuperset(marks) else Taint(self.kind, self.key, self.steps, self.marks.union(marks))
        )

    def through(self, step: FlowStep) -> Taint:
        """The same one step further; a step in the line before it is not told twice."""
        if self.steps and (self.steps[-1].file, self.steps[-1].line) == (step.file, step.line):
            return self
        steps = self.steps if len(self.steps) < MOST_STEPS else (*self.steps[: MOST_STEPS - 1],)
        return Taint(self.kind, self.key, (*steps, step), self.marks)


class Value(NamedTuple):
    """One abstract value. None for `constants`, `items` and `text` says that they are not known.

    A tuple, since each expression makes one: a frozen dataclass takes three times as long to be made, or changed.

    `items` are the parts of a container by key or position; `taints` always holds theirs as well.
    `kind` is the dotted class; `fields` are attributes of an object of the target's; `about` the sources of what this
    was taken from, so that a check of it counts for them.
    """

    taints: tuple[Taint, ...] = ()
    constants: tuple[object, ...] | None = None
    text: str | None = None
    shape: Literal["", "list", "dict"] = ""
    items: Mapping[Any, Value] | None = None
    kind: str = ""
    fields: Mapping[str, Value] | None = None
    function: Function | None = None
    node: ast.Lambda | None = None
    dotted: str = ""
    about: frozenset[int] = frozenset()

    @property
    def constant(self) -> object:
        """The one constant that it is; None where there are several or none."""
        return self.constants[0] if self.constants is not None and len(self.constants) == 1 else None

    def dirty(self, *accepted: str) -> tuple[Taint, ...]:
        """The sources of which nothing shows that one of these marks was earned."""
        return tuple(taint for taint in self.taints if taint.marks.isdisjoint(accepted))


UNKNOWN = Value()


def literal(constant: object) -> Value:
    """A value that is written in the code."""
    text = constant[:MOST_TEXT] if isinstance(constant, str) else None
    return Value(constants=(constant,), text=text)


def merged(taints: Iterable[Taint]) -> tuple[Taint, ...]:
    """Each source once; of marks what all have."""
    found: dict[int, Taint] = {}
    merge_into(found, taints)
    return tuple(found.values())


def merge_into(found: dict[int, Taint], taints: Iterable[Taint]) -> None:
    """The same, one after the other: `found` has them by key."""
    for taint in taints:
        known = found.get(taint.key)
        if known is None:
            found[taint.key] = taint
        elif known is not taint and known.marks != taint.marks:
            fewer = known if len(known.marks) <= len(taint.marks) else taint
            found[taint.key] = Taint(fewer.kind, fewer.key, fewer.steps, known.marks & taint.marks)


def derived(*values: Value, marks: tuple[str, ...] = ()) -> Value:
    """Something unknown that is made of these."""
    several = [value.taints for value in values if value.taints]
    if not several:
        return UNKNOWN
    taints = several[0] if len(several) == 1 == len(several[0]) else merged(chain.from_iterable(several))
    return Value(taints=tuple([taint.marked(*marks) for taint in taints]) if marks else taints)


def without_taint(value: Value) -> Value:
    """The same value, of which nothing came from outside any more."""
    return value._replace(taints=(), items=None if value.taints else value.items, fields=value.fields,
                   text=CLEAN if value.taints else value.text)  # fmt: skip


def marked(value: Value, *marks: str) -> Value:
    """The same value with marks on all its sources."""
    return Value(tuple([taint.marked(*marks) for taint in value.taints]), *value[1:]) if value.taints else value


def container(shape: Literal["list", "dict"], items: Mapping[Any, Value], rest: Value = UNKNOWN) -> Value:
    """A list or dictionary whose items are known; `rest` is what else went into it."""
    if len(items) > MOST_ITEMS:
        return Value(taints=derived(rest, *items.values()).taints, shape=shape)
    return Value(taints=merged(t for v in (rest, *items.values()) for t in v.taints), shape=shape, items=items)


def joined(one: Value, other: Value) -> Value:
    """What is true of a value that is either of the two."""
    if one is other or one == other:
        return one
    constants: tuple[object, ...] | None = None
    if one.constants is not None and other.constants is not None:
        several = (*one.constants, *(c for c in other.constants if not _among(c, one.constants)))
        constants = several if len(several) <= MOST_CONSTANTS else None
    items = None
    if one.items is not None and other.items is not None and one.shape == other.shape:
        if one.items.keys() == other.items.keys():
            items = {key: joined(value, other.items[key]) for key, value in one.items.items()}
        elif one.shape == "dict":
            items = {key: joined(one.items.get(key, UNKNOWN), other.items.get(key, UNKNOWN))
                     for key in {**one.items, **other.items}}  # fmt: skip
    fields = None
    if one.fields is not None or other.fields is not None:
        mine, theirs = one.fields or {}, other.fields or {}
        fields = {key: joined(mine.get(key, UNKNOWN), theirs.get(key, UNKNOWN)) for key in {**mine, **theirs}}
    return Value(
        taints=merged((*one.taints, *other.taints)),
        constants=constants,
        text=_either_text(one.text, other.text),
        shape=one.shape if one.shape == other.shape else "",
        items=items,
        kind=_one_of(one.kind, other.kind),
        fields=fields,
        function=one.function if one.function is other.function else None,
        node=one.node if one.node is other.node else None,
        dotted=one.dotted if one.dotted == other.dotted else "",
        about=one.about | other.about,
    )


def _among(constant: object, several: tuple[object, ...]) -> bool:
    return any(type(constant) is type(other) and constant == other for other in several)


def _one_of(one: str, other: str) -> str:
    """The kind of what may be None or a thing of a kind."""
    return one if one == other or not other else other if not one else ""


def _either_text(one: str | None, other: str | None) -> str | None:
    if one is None or other is None or one == other:
        return one if one == other else None
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    rest = OUTSIDE if OUTSIDE in one + other else CLEAN
    return one[:shared] + rest if shared else None


def concatenated(parts: Iterable[Value]) -> Value:
    """A string of these parts; where one came from outside, what stands before it may earn it marks.

    `host`: the address before it is fixed, so that it cannot choose where a URL leads. `rooted`: it cannot begin a
    path, so that an absolute one stays below what stands before.
    """
    texts: list[str] = []
    taints: list[Taint] = []
    length = 0
    constants: list[str] | None = [""]
    for part in parts:
        own = part.text if part.text is not None else OUTSIDE if part.taints else CLEAN
        if part.constants is not None and not part.taints:
            alternatives = [str(c) for c in part.constants]
            more = [a + b for a in constants for b in alternatives] if constants is not None else []
            constants = more if 0 < len(more) <= MOST_CONSTANTS else None
            own = (
                alternatives[0]
                if len(alternatives) == 1
                else _either_text(alternatives[0], alternatives[-1]) or CLEAN
            )
        else:
            constants = None
        before = "".join(texts) if part.taints else ""
        for taint in part.taints:
            earned = []
            if before and OUTSIDE not in before:
                if _HOST.match(before) or (before.startswith(CLEAN) and len(before) > 1) or before == CLEAN:
                    earned.append("host")
                earned.append("rooted")
            taints.append(taint.marked(*earned) if earned else taint)
        if length < MOST_TEXT:
            texts.append(own)
            length += len(own)
    text = "".join(texts)[:MOST_TEXT]
    if constants is not None and all(len(c) <= MOST_TEXT for c in constants):
        return Value(constants=tuple(constants), text=text)
    return Value(taints=merged(taints), text=text)


def beside_items(holder: Value) -> Value:
    """What a container may hold beside its known items."""
    within = {taint.key for item in (holder.items or {}).values() for taint in item.taints}
    return Value(taints=tuple(taint for taint in holder.taints if taint.key not in within))


def with_item(holder: Value, key: Value, value: Value) -> Value:
    """A container with one item written."""
    rest = beside_items(holder)
    if holder.items is not None and holder.shape == "dict" and isinstance(key.constant, str | int | bytes):
        return container("dict", {**holder.items, key.constant: value}, rest)
    if holder.items is not None and holder.shape == "list" and key.constant in holder.items:
        return container("list", {**holder.items, key.constant: value}, rest)
    if holder.items is not None:
        every = (
            {name: joined(old, value) for name, old in holder.items.items()}
            if holder.shape == "list"
            else holder.items
        )
        return container(holder.shape or "dict", every, derived(value, key))
    if isinstance(key.constant, str | int | bytes) and not holder.shape and holder.kind not in ("session", "sent"):
        started = container("dict", {key.constant: value}, holder)
        return holder._replace(taints=started.taints, items=started.items, shape="dict", constants=None, text=None)
    taints = derived(holder, value, key).taints
    return holder._replace(taints=taints, constants=None) if taints != holder.taints else holder

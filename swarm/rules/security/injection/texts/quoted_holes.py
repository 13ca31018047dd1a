"""Values that stand in quotes inside of a text: the stretch of source that a bound parameter takes the place of."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.source import Module
from swarm.rules.security.injection.texts.built_text import HOLE, BuiltText, Hole


@dataclass(frozen=True, slots=True)
class Binding:
    """How one hole becomes a parameter: the stretch of source to replace, and the Python of the value."""

    start: int
    end: int
    before: str
    after: str
    value: str
    place: int


def quoted(module: Module, text: BuiltText, hole: Hole, sign: str = "'") -> Binding | None:
    """A hole inside of '...': the quotes go, what stands beside the hole in them goes into the value.

    None where something else is quoted with it, or where the quotes stand in literals of different kinds.
    """
    first = text.written.rindex(sign, 0, hole.place)
    last = text.written.find(sign, hole.place)
    if last < 0:
        return None
    prefix, suffix = text.written[first + 1 : hole.place], text.written[hole.place + 1 : last]
    if HOLE in prefix + suffix or "\\" in prefix + suffix or text.written[last + 1 : last + 2] == sign:
        return None
    start, end = text.offsets[first], text.offsets[last] + (2 if module.text[text.offsets[last]] == "\\" else 1)
    if hole.token is not None and not (hole.token.body_start <= start and end <= hole.token.body_end):
        return None
    tokens = [token for token in text.tokens if token.body_start <= start < token.body_end
              or token.body_start < end <= token.body_end]  # fmt: skip
    if len({token.quote for token in tokens}) != 1 or (hole.token is None and any(token.prefix for token in tokens)):
        return None
    value = hole.source
    if prefix or suffix:
        quote = '"' if '"' not in hole.source + prefix + suffix else "'"
        if quote in hole.source + prefix + suffix or "{" in prefix + suffix or "\\" in hole.source:
            return None
        value = f"f{quote}{prefix}{{{hole.source}}}{suffix}{quote}"
    return Binding(start, end, "", "", value, hole.place)


def unquoted(module: Module, text: BuiltText, hole: Hole) -> Binding | None:
    """A hole outside of quotes: its braces, or the pluses around it with the quotes of the literals beside it."""
    start, end = hole.start, hole.end
    if hole.token is not None:
        return Binding(start, end, "", "", hole.source, hole.place)
    left = next(
        (token for token in text.tokens if token.end <= start and not _between(module, text, token.end, start)),
        None,
    )
    right = next(
        (token for token in text.tokens if token.start >= end and not _between(module, text, end, token.start)),
        None,
    )
    if left is None or "f" in left.prefix.lower() or left.prefix.lower() not in ("", "u"):
        return None
    if right is None:
        return Binding(left.body_end, end, "", left.quote, hole.source, hole.place)
    if right.quote != left.quote or right.prefix:
        return None
    return Binding(left.body_end, right.body_start, "", "", hole.source, hole.place)


def _between(module: Module, text: BuiltText, start: int, end: int) -> bool:
    """Whether more than what joins the pieces stands between."""
    return bool(module.text[start:end].replace(text.joint, "", 1).strip())


def bindings_of(module: Module, text: BuiltText, holes: Sequence[Hole]) -> list[Binding] | None:
    """How each of these holes, in quotes, becomes a parameter; None where one cannot."""
    kept = [hole for hole in text.holes if hole not in holes]
    if not holes or text.tail is not None or (kept and any(hole.token is None for hole in text.holes)):
        return None
    if text.doubled and not kept:
        return None
    bound: list[Binding] = []
    for hole in holes:
        before = text.written[: hole.place]
        sign = next((s for s in ("'", '"') if before.count(s) % 2 == 1), "")
        found = quoted(module, text, hole, sign) if sign and hole.plain else None
        if found is None:
            return None
        bound.append(found)
    return bound


def without_f(text: BuiltText, is_every: bool) -> list[Edit]:
    """The `f` of literals taken away, where no value is left in them."""
    edits = []
    for token in text.tokens:
        if is_every and "f" in token.prefix.lower():
            plain = token.prefix.replace("f", "").replace("F", "")
            edits.append(Edit(token.start, token.start + len(token.prefix), plain))
    return edits


def free_names(holes: Sequence[Hole], taken: Iterable[str]) -> list[str]:
    """A name for each value: what it is called in the code, where that is free."""
    names: list[str] = []
    for number, hole in enumerate(holes, start=1):
        node = hole.expression
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else "value"
        while name in names or name in taken:
            name = f"{name}_{number}"
        names.append(name)
    return names

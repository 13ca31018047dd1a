"""Turns the holes of SQL text into bound parameters: what may be bound, and the edits that do it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Literal

from swarm.analysis.edits import Edit
from swarm.analysis.source import Module
from swarm.rules.security.sql_text import HOLE, Hole, SqlText

Style = Literal["qmark", "format", "named"]
_OPERATOR = re.compile(
    r"(?:=|<|>|\bLIKE|\bILIKE|\bGLOB|\bBETWEEN|\bAND|\bLIMIT|\bOFFSET|[-+*/]|\|\|)\s*$"
    r"|\b(?:VALUES|IN)\s*\((?:[^()]*,)?\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Binding:
    """How one hole becomes a parameter: the stretch of source to replace, and the Python of the value."""

    start: int
    end: int
    before: str
    after: str
    value: str
    place: int


def is_value_position(text: SqlText, hole: Hole) -> bool:
    """Whether a value stands at the hole, not a table, a column or a piece of SQL."""
    before = text.sql[: hole.place]
    return before.count("'") % 2 == 1 or bool(_OPERATOR.search(before))


def binding_of(module: Module, text: SqlText, hole: Hole) -> Binding | None:
    """How to bind one hole; None where that cannot be done safely."""
    if not hole.plain or not is_value_position(text, hole):
        return None
    before = text.sql[: hole.place]
    if before.count("'") % 2 == 1:
        return _quoted(module, text, hole)
    start, end = hole.start, hole.end
    if hole.token is not None:
        return Binding(start, end, "", "", hole.source, hole.place)
    left = next(
        (token for token in text.tokens if token.end <= start and not _between(module, token.end, start)),
        None,
    )
    right = next(
        (token for token in text.tokens if token.start >= end and not _between(module, end, token.start)),
        None,
    )
    if left is None or "f" in left.prefix.lower() or left.prefix.lower() not in ("", "u"):
        return None
    if right is None:
        return Binding(left.body_end, end, "", left.quote, hole.source, hole.place)
    if right.quote != left.quote or right.prefix:
        return None
    return Binding(left.body_end, right.body_start, "", "", hole.source, hole.place)


def _between(module: Module, start: int, end: int) -> bool:
    """Whether more than a plus stands between."""
    return bool(module.text[start:end].replace("+", "", 1).strip())


def _quoted(module: Module, text: SqlText, hole: Hole) -> Binding | None:
    """A hole inside of '...': the quotes go, what stands beside the hole in them goes into the value."""
    first = text.sql.rindex("'", 0, hole.place)
    last = text.sql.find("'", hole.place)
    if last < 0:
        return None
    prefix, suffix = text.sql[first + 1 : hole.place], text.sql[hole.place + 1 : last]
    if HOLE in prefix + suffix or "\\" in prefix + suffix or text.sql[last + 1 : last + 2] == "'":
        return None
    start, end = text.offsets[first], text.offsets[last] + 1
    if module.text[start - 1] == "\\" or module.text[end - 2] == "\\":
        return None
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


def bind(module: Module, text: SqlText, call: ast.Call, style: Style, holes: tuple[Hole, ...]) -> list[Edit] | None:
    """The edits that bind some holes of `text` in `call`; None where that cannot be done safely.

    For the named style `call` is the `text(...)`, its parent the `execute`.
    """
    bindings: list[Binding] = []
    kept = [hole for hole in text.holes if hole not in holes]
    if kept and (text.tail is not None or any(hole.token is None for hole in text.holes)):
        return None
    for hole in holes:
        binding = binding_of(module, text, hole)
        if binding is None:
            return None
        bindings.append(binding)
    if style == "format" and re.search(r"%(?!s|\()", _without(text, bindings)):
        return None  # a % of the SQL's own would have to be doubled
    names = _names(text, holes)
    edits: list[Edit] = []
    for binding, name in zip(bindings, names, strict=True):
        mark = {"qmark": "?", "format": "%s", "named": f":{name}"}[style]
        edits.append(Edit(binding.start, binding.end, f"{binding.before}{mark}{binding.after}"))
    for token in text.tokens:
        if "f" in token.prefix.lower() and not any(hole.token is token for hole in kept):
            plain = token.prefix.replace("f", "").replace("F", "")
            edits.append(Edit(token.start, token.start + len(token.prefix), plain))
    if text.tail is not None:
        edits.append(Edit(*text.tail, ""))
    arguments = (
        _named(module, call, bindings, names) if style == "named" else _ordered(module, text, call, bindings, style)
    )
    return None if arguments is None else [*edits, *arguments]


def _without(text: SqlText, bindings: list[Binding]) -> str:
    kept = [
        letter
        for letter, offset in zip(text.sql, text.offsets, strict=True)
        if not any(binding.start <= offset < binding.end for binding in bindings)
    ]
    return "".join(kept)


def _names(text: SqlText, holes: tuple[Hole, ...]) -> list[str]:
    names: list[str] = []
    for number, hole in enumerate(holes, start=1):
        node = hole.expression
        name = (
            node.attr
            if isinstance(node, ast.Attribute)
            else node.id
            if isinstance(node, ast.Name)
            else f"value_{number}"
        )
        while name in names or re.search(rf":{name}\b", text.sql):
            name = f"{name}_{number}"
        names.append(name)
    return names


def _ordered(
    module: Module, text: SqlText, call: ast.Call, bindings: list[Binding], style: Style
) -> list[Edit] | None:
    values = [binding.value for binding in bindings]
    if call.keywords or len(call.args) > 2:
        return None
    if len(call.args) == 1:
        inside = ", ".join(values) + ("," if len(values) == 1 else "")
        end = module.span(call.args[0])[1]
        return [Edit(end, end, f", ({inside})")]
    given = call.args[1]
    if not isinstance(given, ast.Tuple | ast.List) or any(isinstance(item, ast.Starred) for item in given.elts):
        return None
    mark = "?" if style == "qmark" else "%s"
    merged = [module.segment(item) for item in given.elts]
    for number, binding in enumerate(bindings):
        merged.insert(text.sql[: binding.place].count(mark) + number, binding.value)
    start, end = module.span(given)
    if isinstance(given, ast.List):
        return [Edit(start, end, f"[{', '.join(merged)}]")]
    return [Edit(start, end, f"({', '.join(merged)}{',' if len(merged) == 1 else ''})")]


def _named(module: Module, call: ast.Call, bindings: list[Binding], names: list[str]) -> list[Edit] | None:
    parent = module.parent(call)
    if not isinstance(parent, ast.Call) or not parent.args or parent.args[0] is not call or parent.keywords:
        return None
    items = ", ".join(f'"{name}": {binding.value}' for name, binding in zip(names, bindings, strict=True))
    if len(parent.args) == 1:
        end = module.span(call)[1]
        return [Edit(end, end, f", {{{items}}}")]
    given = parent.args[1]
    if not isinstance(given, ast.Dict) or not given.keys:
        return None
    end = module.span(given.values[-1])[1]
    return [Edit(end, end, f", {items}")]

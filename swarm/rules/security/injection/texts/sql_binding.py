"""Turns the holes of SQL text into bound parameters: what may be bound, and the edits that do it."""

from __future__ import annotations

import ast
import re
from typing import Literal

from swarm.analysis.edits import Edit
from swarm.analysis.source import Module
from swarm.rules.security.injection.texts.built_text import BuiltText, Hole
from swarm.rules.security.injection.texts.quoted_holes import Binding, quoted, unquoted

Style = Literal["qmark", "format", "named"]
_OPERATOR = re.compile(
    r"(?:=|<|>|\bLIKE|\bILIKE|\bGLOB|\bBETWEEN|\bAND|\bLIMIT|\bOFFSET|[-+*/]|\|\|)\s*$"
    r"|\b(?:VALUES|IN)\s*\((?:[^()]*,)?\s*$",
    re.IGNORECASE,
)
_ALL_OF_A_LIST = re.compile(r"\bIN\s*\(\s*$", re.IGNORECASE)
_RUNNING = frozenset({
    "execute", "scalar", "scalars", "exec", "stream", "stream_scalars", "fetch_all", "fetch_one", "fetch_val",
    "iterate",
})  # fmt: skip
_NARROWING = frozenset({"filter", "where", "having", "and_", "or_", "not_", "order_by"})


def is_value_position(text: BuiltText, hole: Hole) -> bool:
    """Whether a value stands at the hole, not a table, a column or a piece of SQL."""
    before = text.written[: hole.place]
    return before.count("'") % 2 == 1 or bool(_OPERATOR.search(before))


def binding_of(module: Module, text: BuiltText, hole: Hole) -> Binding | None:
    """How to bind one hole; None where that cannot be done safely."""
    if not hole.plain or not is_value_position(text, hole):
        return None
    before = text.written[: hole.place]
    if before.count("'") % 2 == 1:
        return quoted(module, text, hole)
    if _ALL_OF_A_LIST.search(before) and text.written[hole.place + 1 :].lstrip().startswith(")"):
        return None  # `IN ({ids})`: a list, which one parameter cannot be
    return unquoted(module, text, hole)


def bind(module: Module, text: BuiltText, call: ast.Call, style: Style, holes: tuple[Hole, ...]) -> list[Edit] | None:
    """The edits that bind some holes of `text` in `call`; None where that cannot be done safely.

    For the named style `call` is the `text(...)`, its parent the `execute`.
    """
    bindings: list[Binding] = []
    kept = [hole for hole in text.holes if hole not in holes]
    if text.doubled and not kept:
        return None  # the literal would lose its `f` and keep its braces twice
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


def _without(text: BuiltText, bindings: list[Binding]) -> str:
    kept = [
        letter
        for letter, offset in zip(text.written, text.offsets, strict=True)
        if not any(binding.start <= offset < binding.end for binding in bindings)
    ]
    return "".join(kept)


def _names(text: BuiltText, holes: tuple[Hole, ...]) -> list[str]:
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
        while name in names or re.search(rf":{name}\b", text.written):
            name = f"{name}_{number}"
        names.append(name)
    return names


def _ordered(
    module: Module, text: BuiltText, call: ast.Call, bindings: list[Binding], style: Style
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
        merged.insert(text.written[: binding.place].count(mark) + number, binding.value)
    start, end = module.span(given)
    if isinstance(given, ast.List):
        return [Edit(start, end, f"[{', '.join(merged)}]")]
    return [Edit(start, end, f"({', '.join(merged)}{',' if len(merged) == 1 else ''})")]


def _named(module: Module, call: ast.Call, bindings: list[Binding], names: list[str]) -> list[Edit] | None:
    parent = module.parent(call)
    if not isinstance(parent, ast.Call):
        return None
    name = parent.func.attr if isinstance(parent.func, ast.Attribute) else getattr(parent.func, "id", "")
    if name in _NARROWING and call in parent.args:  # a part of a query, which takes no parameters beside it
        values = ", ".join(f"{name}={binding.value}" for name, binding in zip(names, bindings, strict=True))
        end = module.span(call)[1]
        return [Edit(end, end, f".bindparams({values})")]
    if name not in _RUNNING or not parent.args or parent.args[0] is not call or parent.keywords:
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

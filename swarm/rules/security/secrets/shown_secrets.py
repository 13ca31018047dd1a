"""Which secrets the service only shows to others to be let in: it checks nothing by them."""

from __future__ import annotations

import ast
import re

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module

_BEFORE = re.compile(r"\b(bearer|basic|token|bot)\s*$|(api_?key|token|key|access_token)=$", re.IGNORECASE)
_FIELDS = re.compile(r"authorization|api[-_]?key|token|passw(or)?d|auth", re.IGNORECASE)
_KEYWORDS = ("password", "passwd", "api_key", "apikey", "token", "access_token", "auth", "auth_token")
_JUDGES = re.compile(
    r"hmac|digest|compare|verif|sign|jwt|encode$|decode$|fernet|serializer|session|check", re.IGNORECASE
)


def is_only_shown(index: Index, name: str) -> bool:
    """Whether every use of a constant or a setting hands it to another system: a header, an address, a login."""
    uses: list[tuple[Module, ast.Name | ast.Attribute]] = []
    for other in index.tree.modules.values():
        if name in other.text:
            uses += [(other, node) for node in other.nodes(ast.Name) if node.id == name]
            uses += [(other, node) for node in other.nodes(ast.Attribute) if node.attr == name]
    uses = [(other, node) for other, node in uses if isinstance(node.ctx, ast.Load)]
    return bool(uses) and all(_is_shown(other, node) or _is_test(other, node) for other, node in uses) and any(
        _is_shown(other, node) for other, node in uses
    )  # fmt: skip


def _is_shown(module: Module, node: ast.AST) -> bool:
    inner = node
    for around in module.ancestors(node):
        if isinstance(around, ast.JoinedStr):
            place = next((n for n, part in enumerate(around.values) if inner is part), 0)
            before, after = (_text_at(around, place + step) for step in (-1, 1))
            return _BEFORE.search(before) is not None or (before.endswith(":") and after.startswith("@"))
        if isinstance(around, ast.Dict):
            key = next((k for k, v in zip(around.keys, around.values, strict=True) if v is inner), None)
            return isinstance(key, ast.Constant) and _FIELDS.search(str(key.value)) is not None
        if isinstance(around, ast.keyword):
            return around.arg in _KEYWORDS and not _judges(module, around)
        if isinstance(around, ast.stmt | ast.Call | ast.Compare):
            return False
        inner = around
    return False


def _text_at(text: ast.JoinedStr, place: int) -> str:
    part = text.values[place] if 0 <= place < len(text.values) else None
    return str(part.value) if isinstance(part, ast.Constant) else ""


def _judges(module: Module, keyword: ast.keyword) -> bool:
    call = module.parent(keyword)
    return isinstance(call, ast.Call) and _JUDGES.search(unparsed(call.func)) is not None


def _is_test(module: Module, node: ast.AST) -> bool:
    """Whether it is only asked whether there is one: `if not TOKEN:`."""
    around = module.parent(node)
    if isinstance(around, ast.UnaryOp) and isinstance(around.op, ast.Not):
        around = module.parent(around)
    return isinstance(around, ast.If | ast.IfExp | ast.While)

"""Works out texts that code composes of constants: names, f-strings, sums, attributes of settings, defaults."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from swarm.analysis.source import Module

if TYPE_CHECKING:
    from swarm.analysis.index import Index

_READERS = frozenset({"os.getenv", "os.environ.get"})
_DEPTH = 6


def text_of(index: Index, module: Module, node: ast.AST | None, depth: int = 0) -> str | None:
    """The string that an expression is, with defaults of settings taken as they are written; None where unknown."""
    if node is None or depth > _DEPTH:
        return None
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str | int) and not isinstance(node.value, bool) else None
    if isinstance(node, ast.JoinedStr):
        parts = [text_of(index, module, part, depth + 1) for part in node.values]
        return None if None in parts else "".join(part or "" for part in parts)
    if isinstance(node, ast.FormattedValue):
        return text_of(index, module, node.value, depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = (text_of(index, module, side, depth + 1) for side in (node.left, node.right))
        return left + right if left is not None and right is not None else None
    if isinstance(node, ast.BoolOp):
        return next((t for value in node.values if (t := text_of(index, module, value, depth + 1))), None)
    if isinstance(node, ast.Call):
        return _of_call(index, module, node, depth)
    if isinstance(node, ast.Name | ast.Attribute):
        return _of_name(index, module, node, depth)
    return None


def _of_call(index: Index, module: Module, call: ast.Call, depth: int) -> str | None:
    if isinstance(call.func, ast.Attribute) and call.func.attr in ("rstrip", "strip", "lstrip") and call.args:
        text = text_of(index, module, call.func.value, depth + 1)
        cut = text_of(index, module, call.args[0], depth + 1)
        return getattr(text, call.func.attr)(cut) if text is not None and cut else text
    name = index.resolve(module, call.func) or ""
    if name in _READERS and len(call.args) > 1:
        return text_of(index, module, call.args[1], depth + 1)
    default = next((keyword.value for keyword in call.keywords if keyword.arg == "default"), None)
    if default is None and name.endswith(".Field") and call.args:
        default = call.args[0]
    return text_of(index, module, default, depth + 1)


def _of_name(index: Index, module: Module, node: ast.Name | ast.Attribute, depth: int) -> str | None:
    dotted = index.resolve(module, node)
    if dotted is not None:
        home, name = index.tree.split(dotted, module)
        statement = home.globals.get(name) if home is not None else None
        value = getattr(statement, "value", None)
        if home is not None and isinstance(value, ast.expr):
            return text_of(index, home, value, depth + 1)
        if home is not None and "." in name:  # an attribute of a class, as in Config.PREFIX
            owner, _, attribute = name.rpartition(".")
            info = index.classes.get(f"{home.dotted}.{owner}")
            if info is not None and attribute in info.attributes:
                return text_of(index, home, info.attributes[attribute], depth + 1)
    if isinstance(node, ast.Attribute):  # an attribute of an object of a class of the target's
        kind = index.kinds.of(module, node.value) or index.resolve(module, node.value)
        info = index.classes.get(kind or "")
        if info is not None:
            return text_of(index, info.module, class_value(info.node, node.attr), depth + 1)
    return None


def class_value(node: ast.ClassDef, name: str) -> ast.expr | None:
    """What a class's body gives to an attribute."""
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    return None

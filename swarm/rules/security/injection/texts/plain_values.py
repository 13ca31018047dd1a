"""Values that are plain text, as far as the code shows: escaping them for a page changes nothing that was meant."""

from __future__ import annotations

import ast

from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.analysis.source import FunctionNode, Module
from swarm.rules.security.injection.texts.filled_places import bindings

MOST_DEPTH = 16
# functions of libraries whose result is as plain as what they are given
_PLAIN_MODULES = ("urllib.parse.", "base64.", "binascii.", "codecs.", "os.path.", "html.unescape", "unicodedata.",
                  "configparser.", "collections.", "re.")  # fmt: skip
_PLAIN_FUNCTIONS = frozenset({
    "str", "repr", "int", "float", "len", "max", "min", "bytes", "type", "round", "abs", "list", "dict",
    "tuple", "set", "sorted", "reversed", "next", "iter", "enumerate", "zip", "getattr",
})  # fmt: skip
_PLAIN_METHODS = frozenset({
    "get", "getlist", "strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize", "swapcase", "casefold",
    "decode", "encode", "split", "pop", "popitem", "keys", "values", "items", "removeprefix", "removesuffix", "zfill",
    "isoformat", "hex", "get_json", "json", "get_data", "form", "body", "text", "replace", "replace_all",
})  # fmt: skip


def is_plain_value(index: Index, module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether no markup is written into a value: not by a constant, a template, nor by a function that makes pages.

    A parameter, and what a request holds, is plain. What a library's function makes of it is not known to be, but for
    those that only take text apart or decode it.
    """
    if depth > MOST_DEPTH:
        return False
    function = module.enclosing_function(node)
    match node:
        case ast.Constant(value=value):
            return not isinstance(value, str) or "<" not in value
        case ast.Name(id=name):
            return _is_plain_name(index, module, function, name, depth)
        case ast.Attribute(value=owner) | ast.Await(value=owner) | ast.Starred(value=owner):
            return is_plain_value(index, module, owner, depth + 1)
        case ast.Subscript(value=owner):
            return is_plain_value(index, module, owner, depth + 1)
        case ast.Call():
            return _is_plain_call(index, module, node, depth)
        case ast.IfExp() | ast.BoolOp() | ast.BinOp() | ast.JoinedStr() | ast.FormattedValue() | ast.NamedExpr():
            parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
            return all(is_plain_value(index, module, part, depth + 1) for part in parts)
        case ast.Compare() | ast.UnaryOp():
            return True
        case ast.List() | ast.Tuple() | ast.Dict() | ast.Set():
            parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
            return all(is_plain_value(index, module, part, depth + 1) for part in parts)
    return False


def _is_plain_name(index: Index, module: Module, function: FunctionNode | None, name: str, depth: int) -> bool:
    if function is not None and name in module.local_names(function):
        written = bindings(module, function, name)
        if written is None:
            return _is_plain_otherwise(index, module, function, name, depth)
        return all(is_plain_value(index, module, value, depth + 1) for value in written)
    statement = module.globals.get(name)
    value = getattr(statement, "value", None)
    return not isinstance(value, ast.expr) or not _has_markup(value)


def _is_plain_otherwise(index: Index, module: Module, function: FunctionNode, name: str, depth: int) -> bool:
    """A parameter, or what a loop or an unpacking gives: plain where no value that it is bound to has markup."""
    for node in walk(function):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.For | ast.AsyncFor | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            names = {part.id for part in walk(target) if isinstance(part, ast.Name)}
            value = node.iter if isinstance(node, ast.For | ast.AsyncFor) else node.value
            if name in names and value is not None and not is_plain_value(index, module, value, depth + 1):
                return False
    return True


def _is_plain_call(index: Index, module: Module, call: ast.Call, depth: int) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not all(is_plain_value(index, module, value, depth + 1) for value in given):
        return False
    dotted = index.resolve(module, call.func) or ""
    if dotted in _PLAIN_FUNCTIONS or dotted.startswith(_PLAIN_MODULES):
        return True
    own = index.named_function(module, call.func)
    if own is not None:
        return _writes_no_markup(own)
    if dotted in index.classes:
        return not _has_markup(index.classes[dotted].node)
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in _PLAIN_METHODS:
        return is_plain_value(index, module, call.func.value, depth + 1) or "request" in dotted
    several = index.methods_named(call.func.attr)
    return bool(several) and all(_writes_no_markup(method) for method in several)


def _writes_no_markup(function: Function) -> bool:
    return not _has_markup(function.node)


def _has_markup(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Constant) and isinstance(n.value, str) and "<" in n.value for n in walk(node))

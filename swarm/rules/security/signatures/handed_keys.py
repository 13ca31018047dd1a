"""What the service's own code hands an object that keeps a key: `Checker(os.environ["SCAN_SECRET"])`."""

from __future__ import annotations

import ast

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.routes.route_paths import argument
from swarm.analysis.source import Module, parameters

_READERS = ("os.getenv", "os.environ.get")


def variable_read(module: Module, value: ast.expr) -> str:
    """`HOOK_KEY` of os.getenv("HOOK_KEY", …), os.environ["HOOK_KEY"], with `or …` and `.encode()` around it."""
    if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or):
        return variable_read(module, value.values[0])
    if isinstance(value, ast.Subscript) and module.resolve(value.value) == "os.environ":
        return str(value.slice.value) if isinstance(value.slice, ast.Constant) else ""
    if not isinstance(value, ast.Call):
        return ""
    if module.resolve(value.func) in _READERS and value.args and isinstance(value.args[0], ast.Constant):
        return str(value.args[0].value)
    if isinstance(value.func, ast.Attribute) and value.func.attr in ("encode", "strip"):
        return variable_read(module, value.func.value)
    return ""


def handed_to_object(index: Index, home: Function, key: ast.expr) -> list[tuple[Module, ast.expr]]:
    """What stands for `self.secret` of a method: the one value that its class gives it, or what all who make such an
    object hand in for it. Nothing where the code does not show that."""
    owner = home.module.enclosing_class(home.node)
    info = next((one for one in index.classes.values() if one.node is owner), None)
    if info is None or not isinstance(key, ast.Attribute) or unparsed(key.value) != "self":
        return []
    written = [node.value for node in walk(info.node) if isinstance(node, ast.Assign)
               and any(unparsed(target) == f"self.{key.attr}" for target in node.targets)]  # fmt: skip
    if len(written) > 1:
        return []
    if not written:
        fields = [node.target.id for node in info.node.body
                  if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]  # fmt: skip
        is_data = any("dataclass" in unparsed(decorator) for decorator in info.node.decorator_list)
        if not is_data or key.attr not in fields:
            return []
        return _of_makers(index, info.dotted, fields.index(key.attr), key.attr)
    value = written[0]
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "encode":
        value = value.func.value
    start = info.methods.get("__init__")
    names = [one.arg for one in parameters(start.node)] if start is not None else []
    if isinstance(value, ast.Name) and value.id in names:
        return _of_makers(index, info.dotted, names.index(value.id) - 1, value.id)
    return [(info.module, value)]


def _of_makers(index: Index, dotted: str, position: int, name: str) -> list[tuple[Module, ast.expr]]:
    """The argument of every call that makes an object of the class; nothing where one leaves it out."""
    found: list[tuple[Module, ast.expr]] = []
    for module, call in index.calls_named(dotted.rpartition(".")[2]):
        if index.resolve(module, call.func) == dotted:
            given = argument(call, position, name)
            if given is None:
                return []
            found.append((module, given))
    return found

"""What the keys are called with which signatures are checked, and which of them some test asks for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.analysis.routes.route_paths import argument
from swarm.analysis.source import Module, parameters
from swarm.rules.security.signatures.digests import assigned, from_request, last_name
from swarm.rules.security.signatures.handed_keys import handed_to_object, variable_read

_KEYED = ("hmac.new", "hmac.digest", "hmac.HMAC")
_COMPARING = ("hmac.compare_digest", "secrets.compare_digest")
_DEPTH = 3


def names_of_compared(index: Index) -> frozenset[str]:
    """What is compared with what was sent is called."""
    found: set[str] = set()
    for function in index.functions:
        module = function.module
        if is_added(module):
            continue
        compared = [
            [node.left, *node.comparators] if isinstance(node, ast.Compare) else node.args
            for node in index.own_of(function, ast.Compare, ast.Call)
            if isinstance(node, ast.Compare) or module.resolve(node.func) in _COMPARING
        ]
        for sides in compared:
            if any(from_request(module, side) for side in sides):
                found |= {last_name(_bare(side)) for side in sides if not from_request(module, side)}
    return frozenset(name for name in found if name)


def names_of_signing_keys(index: Index) -> frozenset[str]:
    """What the keys of digests that are checked are called."""
    found: set[str] = set()
    for module, call in _keyed(index):
        if not _is_compared_somewhere(index, module, call):
            continue
        key = argument(call, 0, "key")
        if key is not None:
            found |= _called(index, module, _bare(key), 0)
    return frozenset(name for name in found if name)


def _keyed(index: Index) -> Iterator[tuple[Module, ast.Call]]:
    for name in ("new", "digest", "HMAC"):
        for module, call in index.calls_named(name):
            if module.resolve(call.func) in _KEYED and not is_added(module):
                yield module, call


def _is_compared_somewhere(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether the digest is one that is checked: its function, or one that calls it, compares."""
    function = index.enclosing(module, call)
    around = [function, *index.callers(function)] if function is not None else []
    if any(_compares(one.module, node) for one in around for node in index.own_nodes(one)):
        return True
    return any(_hands_to_comparer(index, one, function) for one in around[1:]) if function is not None else False


def _hands_to_comparer(index: Index, caller: Function, maker: Function) -> bool:
    """`same(sign(body), sent)`: the digest goes to a function of the service's own that compares."""
    for call in index.calls(caller):
        comparer = index.resolve_call(caller.module, call)
        if comparer is None or not any(_compares(comparer.module, node) for node in index.own_nodes(comparer)):
            continue
        for given in call.args:
            value = assigned(given, caller.node)
            if isinstance(value, ast.Call) and index.resolve_call(caller.module, value) is maker:
                return True
    return False


def _compares(module: Module, node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return module.resolve(node.func) in _COMPARING
    is_equality = isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq)
    return is_equality and not any(isinstance(side, ast.Constant) for side in getattr(node, "comparators", []))


def _called(index: Index, module: Module, key: ast.expr, depth: int) -> set[str]:
    """The names that a key goes by: its own, and where it is a parameter those that callers hand in."""
    names = {last_name(key.func if isinstance(key, ast.Call) else key)}
    function = index.enclosing(module, key)
    if function is not None:
        names |= {variable_read(where, value) for where, value in handed_to_object(index, function, key)}
    if not isinstance(key, ast.Name) or function is None or depth > _DEPTH:
        return names
    if _is_asked_in(index, function, key.id):
        return set()
    several = [a.arg for a in parameters(function.node)]
    if key.id in several:
        position = several.index(key.id) - (1 if several[0] in ("self", "cls") else 0)
        for where, call in index.calls_named(function.name) if position >= 0 else ():
            given = argument(call, position, key.id)
            if given is not None and index.resolve_call(where, call) is function:
                names |= _called(index, where, _bare(given), depth + 1)
    for node in index.own_of(function, ast.Assign):
        if any(last_name(target) == key.id for target in node.targets):
            value = _bare(node.value)
            if isinstance(value, ast.Name | ast.Attribute | ast.Subscript) and last_name(value) != key.id:
                names |= _called(index, module, value, depth + 1)
    return names


def _is_asked_in(index: Index, function: Function, name: str) -> bool:
    """Whether the function itself asks for what a name holds: then it is no key where it is empty."""
    for node in index.own_of(function, ast.If, ast.IfExp):
        if name in _named_in(node.test):
            return True
    return any(name in _named_in(node.test) for node in index.own_of(function, ast.Assert))


def _bare(node: ast.expr) -> ast.expr:
    """`SECRET` of `SECRET.encode()`, `bytes(SECRET, "utf8")` and `(SECRET or "")`."""
    for _ in range(4):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("encode", "strip", "get_secret_value")
        ):
            node = node.func.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("bytes", "str"):
            node = node.args[0] if node.args else node
        elif isinstance(node, ast.BoolOp):
            node = node.values[0]
        else:
            break
    return node


def names_asked_for(index: Index) -> frozenset[str]:
    """Names that some test asks for: `if not SECRET`, `assert SECRET`, `SECRET == ""`, `len(SECRET) < 32`."""
    found: set[str] = set()
    for module in index.tree.modules.values():
        tests: list[ast.If | ast.IfExp | ast.Assert] = [
            *module.nodes(ast.If), *module.nodes(ast.IfExp), *module.nodes(ast.Assert)
        ]  # fmt: skip
        for node in tests:
            found |= _named_in(node.test)
        for boolean in module.nodes(ast.BoolOp):
            found |= {name for part in boolean.values for name in _named_in(part)}
        for negated in module.nodes(ast.UnaryOp):
            found |= _named_in(negated)
        for call in module.nodes(ast.Call):
            if isinstance(call.func, ast.Name) and call.func.id in ("bool", "all", "any", "len"):
                found |= {last_name(part) for given in call.args for part in walk(given)}
    return frozenset(found - {""})


def _named_in(test: ast.expr) -> set[str]:
    if isinstance(test, ast.UnaryOp):
        return _named_in(test.operand) if isinstance(test.op, ast.Not) else set()
    if isinstance(test, ast.BoolOp):
        return {name for part in test.values for name in _named_in(part)}
    if isinstance(test, ast.Compare):
        others = [side.value for side in test.comparators if isinstance(side, ast.Constant)]
        is_blank = any(other in ("", b"", None, 0) or isinstance(other, int) for other in others)
        return {last_name(part) for part in walk(test.left)} if is_blank else set()
    return {last_name(_bare(test))}

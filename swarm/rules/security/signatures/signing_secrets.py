"""What tests ask of the service's own secrets: whether one is set, or which environment it is."""

from __future__ import annotations

import ast
import re

from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.analysis.routes.route_paths import argument as argument_of
from swarm.analysis.source import parameters
from swarm.rules.security.secrets.secret_words import is_secret_name
from swarm.rules.security.signatures.digests import assigned, from_request, last_name

SWITCH_OFF = re.compile(r"skip|disable|insecure|debug|testing|bypass|dev_?mode|local", re.IGNORECASE)
_SWITCH_ON = re.compile(
    r"^(is_)?(verify|check|validate|enforce|require|enable)_?(web)?(hooks?|sig|signatures?|hmac)?_?"
    r"(signatures?|sigs?|hmac|verification|check|enabled?)$",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"(^|_)(app_?|flask_?|node_?)?env(ironment)?(_name)?$|(^|_)stage$|is_prod|production", re.IGNORECASE
)
_READERS = ("os.getenv", "os.environ.get")
_SETTINGS = re.compile(
    r"^(self\.)?(_?settings|_?config|cfg|conf|app|current_app|env|environ|os|options)\b|config|settings"
)

_KEPT = re.compile(r"(^|\.|_)(config|settings|conf|environ)$")


def secret_named(function: Function, node: ast.expr) -> str:
    """The name of a secret of the settings; "" for anything else, least of all what was sent."""
    module = function.module
    if isinstance(node, ast.Call) and module.resolve(node.func) in _READERS and node.args:
        first = node.args[0]
        return str(first.value) if isinstance(first, ast.Constant) and is_secret_name(str(first.value)) else ""
    if not isinstance(node, ast.Name | ast.Attribute | ast.Subscript) or from_request(module, node):
        return ""
    name = last_name(node)
    if re.search(r"signature|header|sent|received|given|provided|request", module.segment(node), re.IGNORECASE):
        return ""
    if name and (is_secret_name(name) or _signs_with(function, node)):
        return name
    value = assigned(node, function.node)
    return secret_named(function, value) if value is not node and isinstance(value, ast.Call | ast.Attribute) else ""


def _signs_with(function: Function, node: ast.expr) -> bool:
    """Whether a value is the key of a digest that the function makes, whatever it is called."""
    module, text = function.module, function.module.segment(node)
    for call in walk(function.node):
        if isinstance(call, ast.Call) and call.args and module.resolve(call.func) in ("hmac.new", "hmac.digest"):
            named = (part for part in walk(call.args[0]) if isinstance(part, ast.Name | ast.Attribute))
            if any(module.segment(part) == text for part in named):
                return True
    return False


def is_of_service(index: Index, function: Function, test: ast.expr, depth: int = 0) -> bool:
    """Whether the secret that a test asks for is the service's own setting: a tenant may be meant to have none."""
    node = test
    while isinstance(node, ast.UnaryOp | ast.Compare):
        node = node.operand if isinstance(node, ast.UnaryOp) else node.left
    node = assigned(node, function.node)
    if isinstance(node, ast.Name):
        names = [argument.arg for argument in parameters(function.node)]
        if node.id not in names:
            return node.id in function.module.globals or node.id in function.module.imports
        given = [
            (caller, value)
            for module, call in index.calls_named(function.name)
            if index.resolve_call(module, call) is function and (caller := index.enclosing(module, call)) is not None
            and (value := argument_of(call, names.index(node.id), node.id)) is not None
        ]  # fmt: skip
        return bool(given) and depth < 3 and all(is_of_service(index, one, v, depth + 1) for one, v in given)
    if isinstance(node, ast.Call) and function.module.resolve(node.func) in _READERS:
        return True
    if isinstance(node, ast.Attribute) and node.attr.isupper():
        return True
    return isinstance(node, ast.Attribute | ast.Subscript | ast.Call) and bool(
        _SETTINGS.search(function.module.segment(node))
    )


def secret_unset(function: Function, test: ast.expr) -> str:
    """The secret that a test finds missing: `not SECRET`, `SECRET is None`, `SECRET == ""`."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return secret_named(function, test.operand)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Is | ast.Eq):
        other = test.comparators[0]
        if isinstance(other, ast.Constant) and other.value in (None, ""):
            return secret_named(function, test.left)
    return ""


def secret_set(function: Function, test: ast.expr) -> str:
    """The secret that a test finds set: `SECRET`, `SECRET is not None`."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.IsNot):
        other = test.comparators[0]
        return secret_named(function, test.left) if isinstance(other, ast.Constant) and other.value is None else ""
    return secret_named(function, test)


def switch_of(function: Function, test: ast.expr) -> str:
    """The setting that a test asks for: the environment's name, or a switch."""
    for part in walk(test):
        name = last_name(part)
        if isinstance(part, ast.Call) and function.module.resolve(part.func) in _READERS and part.args:
            name = str(part.args[0].value) if isinstance(part.args[0], ast.Constant) else ""
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "get":
            is_kept = part.args and _KEPT.search(function.module.segment(part.func.value))
            first = part.args[0] if is_kept else None
            name = str(first.value) if isinstance(first, ast.Constant) else name  # `app.config.get("ENV")`
        if name and _SWITCH_ON.search(name) and isinstance(part, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
            return name
        if name and (_PLACE.search(name) or (SWITCH_OFF.search(name) and name not in ("locale", "localhost"))):
            return name
    return ""

"""Literals that are secrets by where they stand: settings of an application, arguments, headers, addresses."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from swarm.analysis.source import FunctionNode, Module

# what stands between `user:` and `@`, where it is no word that everybody writes there
_IN_URL = re.compile(r"^[a-z][a-z0-9+.-]*://[^/\s:@]*:([^/\s@]{6,})@([^/\s:]+)", re.IGNORECASE)
_USUAL = re.compile(
    r"pass|secret|change|example|user|guest|admin|root|postgres|test|xxx|\*\*\*|[{}<>$%]", re.IGNORECASE
)
_HERE = re.compile(r"^(localhost|127\.|0\.0\.0\.0|db$|postgres$|redis$|rabbit|mysql$|mongo$|host$)", re.IGNORECASE)
_IN_HEADER = re.compile(r"^(?:Bearer|Basic|Token|ApiKey) +([A-Za-z0-9._~+/=-]{16,})$")
_KEYED = {
    "hmac.new": 0, "hmac.digest": 0, "jwt.encode": 1, "jwt.decode": 1, "jose.jwt.encode": 1, "jose.jwt.decode": 1,
}  # fmt: skip
_SHOWN = re.compile(r"example|schema|sample|placeholder|help|description|doc", re.IGNORECASE)

IsSecret = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Literal:
    """A secret and what it is called where it stands."""

    name: str
    value: ast.Constant

    @property
    def length(self) -> int:
        """In characters."""
        return len(_text(self.value) or "")


def literal_secrets(module: Module, is_secret: IsSecret) -> Iterator[Literal]:
    """Every one; `is_secret` tells by a name and a text whether the text is a secret of that name."""
    for name, node in (*_assigned(module), *_given(module), *_chosen(module)):
        value = _text(node)
        is_one = value is not None and bool(name) and is_secret(name, value)
        if is_one and isinstance(node, ast.Constant) and not _is_shown(module, node):
            yield Literal(name, node)
    for constant in module.nodes(ast.Constant):
        if isinstance(constant.value, str) and _is_credential(constant.value) and not _is_shown(module, constant):
            yield Literal("an address" if "://" in constant.value else "a header", constant)


def _text(node: ast.expr | None) -> str | None:
    if not isinstance(node, ast.Constant):
        return None
    if isinstance(node.value, bytes):
        return node.value.decode("latin-1")
    return node.value if isinstance(node.value, str) else None


def _assigned(module: Module) -> Iterator[tuple[str, ast.expr | None]]:
    """`app.secret_key = …`, `app.config["SECRET_KEY"] = …`, attributes of classes, variables, bytes too."""
    for assign in module.nodes(ast.Assign):
        for target in assign.targets:
            if isinstance(target, ast.Attribute):
                yield target.attr, assign.value
                if target.attr == "auth" and isinstance(assign.value, ast.Tuple) and len(assign.value.elts) == 2:
                    yield "password", assign.value.elts[1]
            elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                yield str(target.slice.value), assign.value
            elif isinstance(target, ast.Name):
                yield target.id, assign.value
    for noted in module.nodes(ast.AnnAssign):
        if isinstance(noted.target, ast.Name) and isinstance(noted.value, ast.Call):
            made = ast.unparse(noted.value.func).rsplit(".", 1)[-1]
            if made in ("Field", "SecretStr"):
                default = next((k.value for k in noted.value.keywords if k.arg == "default"), None)
                yield noted.target.id, default or (noted.value.args[0] if noted.value.args else None)


def _given(module: Module) -> Iterator[tuple[str, ast.expr | None]]:
    """Arguments by name, defaults of parameters, items of mappings, keys of signing functions."""
    for call in module.nodes(ast.Call):
        for keyword in call.keywords:
            yield keyword.arg or "", keyword.value
            if keyword.arg == "auth" and isinstance(keyword.value, ast.Tuple) and len(keyword.value.elts) == 2:
                yield "password", keyword.value.elts[1]
        if (
            isinstance(call.func, ast.Attribute)
            and call.func.attr == "setdefault"
            and ast.unparse(call.func).endswith("environ.setdefault")
            and len(call.args) > 1
        ):
            yield _text(call.args[0]) or "", call.args[1]
        position = _KEYED.get(module.resolve(call.func) or "")
        if position is not None and position < len(call.args):
            yield "signing_key", call.args[position]
    for mapping in module.nodes(ast.Dict):
        for key, value in zip(mapping.keys, mapping.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value), value
    functions: list[FunctionNode] = [*module.nodes(ast.FunctionDef), *module.nodes(ast.AsyncFunctionDef)]
    for function in functions:
        arguments = function.args
        positional = [*arguments.posonlyargs, *arguments.args]
        pairs = list(zip(reversed(positional), reversed(arguments.defaults), strict=False))
        pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
        yield from ((argument.arg, default) for argument, default in pairs)


def _chosen(module: Module) -> Iterator[tuple[str, ast.expr | None]]:
    """`os.getenv("SECRET") or "…"`."""
    for choice in module.nodes(ast.BoolOp):
        first = choice.values[0]
        if isinstance(choice.op, ast.Or) and isinstance(first, ast.Call) and len(first.args) == 1:
            dotted = module.resolve(first.func) or ""
            if dotted.endswith(("getenv", "environ.get")) and isinstance(first.args[0], ast.Constant):
                yield str(first.args[0].value), choice.values[-1]


def _is_credential(text: str) -> bool:
    """A password in an address of a host elsewhere, or a token in a header."""
    inside = _IN_URL.match(text)
    if inside is not None:
        return not _USUAL.search(inside[1]) and not _HERE.match(inside[2])
    header = _IN_HEADER.match(text)
    return header is not None and any(c.isdigit() for c in header[1]) and not _USUAL.search(header[1])


def _is_shown(module: Module, node: ast.AST) -> bool:
    """Whether the literal stands in an example for readers: `example={…}`, `json_schema_extra=…`, a docstring."""
    for around in module.ancestors(node):
        if isinstance(around, ast.keyword) and _SHOWN.search(around.arg or ""):
            return True
        if isinstance(around, ast.Assign) and any(_SHOWN.search(ast.unparse(t)) for t in around.targets):
            return True
        if isinstance(around, ast.Dict) and any(
            isinstance(key, ast.Constant) and _SHOWN.search(str(key.value)) and node is not key
            and any(inner is node for inner in ast.walk(value))
            for key, value in zip(around.keys, around.values, strict=True)
        ):  # fmt: skip
            return True
    return False

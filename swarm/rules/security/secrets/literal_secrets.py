"""Literals that are secrets by where they stand: settings of an application, arguments, headers, addresses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import FunctionNode, Module
from swarm.rules.security.secrets.secret_words import has_known_form, is_own_key, is_secret, opens

# what stands between `user:` and `@`, where it is no word that everybody writes there
_IN_URL = re.compile(r"^[a-z][a-z0-9+.-]*://[^/\s:@]*:([^/\s@]{6,})@([^/\s:]*)", re.IGNORECASE)
_USUAL = re.compile(
    r"pass|secret|change|example|user|guest|admin|root|postgres|test|xxx|\*\*\*|[{}<>$%]", re.IGNORECASE
)
_PLAIN_WORD = re.compile(
    r"(my|your|the)?[-_]?(user|username|pass|passwd|password|pwd|secret|change[-_]?me|changeit|example|guest|token|key)"
    r"|x+|\*+|\.+|<.*>|\{.*|\$.*|%.*|\[.*",
    re.IGNORECASE,
)
_HERE = re.compile(r"^(localhost|127\.|0\.0\.0\.0|db$|postgres$|redis$|rabbit|mysql$|mongo$|host$)", re.IGNORECASE)
_IN_HEADER = re.compile(r"^(?:Bearer|Basic|Token|ApiKey) +([A-Za-z0-9._~+/=-]{16,})$")
_KEYED = {
    "twilio.rest.Client": 1, "hmac.new": 0, "hmac.digest": 0,
    "jwt.encode": 1, "jwt.decode": 1, "jose.jwt.encode": 1, "jose.jwt.decode": 1,
}  # fmt: skip
_KEYED_NAMES = {
    "Serializer": 0, "URLSafeSerializer": 0, "URLSafeTimedSerializer": 0, "TimestampSigner": 0, "Fernet": 0,
    "HTTPBasicAuth": 1, "HTTPDigestAuth": 1, "BasicAuth": 1, "login": 1,
}  # fmt: skip
_READERS = ("get", "getenv", "setdefault", "config", "env", "str", "getstr", "get_secret", "get_config", "get_env")
_SEALERS = ("jwt", "jose.jwt", "hmac", "hashlib", "cryptography.fernet.Fernet", "nacl.secret", "Crypto.Cipher.AES")
_FIELDS = ("Field", "field", "SecretStr")
_ENVIRONMENT = ("os.getenv", "getenv", "os.environ.get", "environ.get")
_COMPARING = ("hmac.compare_digest", "secrets.compare_digest")
_WRAPPERS = ("SecretStr", "str", "bytes", "SecretBytes", "Secret")
# what may be, or hold, a text
_HOLDING = frozenset({
    ast.Constant, ast.Call, ast.IfExp, ast.BoolOp, ast.List, ast.Set, ast.Tuple, ast.JoinedStr
})  # fmt: skip
_SHOWN = re.compile(r"example|schema|sample|placeholder|help|description|doc", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Literal:
    """A secret and what it is called where it stands."""

    name: str
    value: ast.Constant

    @property
    def length(self) -> int:
        """In characters."""
        return len(_text(self.value) or "")


class _Given(NamedTuple):
    """What something of a name gets. `works` is whether the code goes on with it, whatever text it is: a default of
    the environment's, what is assigned; not an item of a mapping, which may be a label."""

    name: str
    node: ast.expr | None
    works: bool = False


def literal_secrets(module: Module) -> Iterator[Literal]:
    """Every one, each place once."""
    seen: set[int] = set()
    for given in (*_assigned(module), *_arguments(module), *_items(module), *_chosen(module), *_compared(module)):
        for constant in _constants(given.node) if type(given.node) in _HOLDING else ():
            value = _text(constant) or ""
            is_one = is_secret(given.name, value) or (given.works and opens(given.name, value))
            if given.name and is_one and id(constant) not in seen and not _is_shown(module, constant):
                seen.add(id(constant))
                if not _is_for_developers(module, constant):
                    yield Literal(given.name, constant)
    for constant in module.nodes(ast.Constant):
        value = constant.value if isinstance(constant.value, str) else ""
        if len(value) < 12 or id(constant) in seen:
            continue
        if _is_credential(value, isinstance(module.parent(constant), ast.JoinedStr)):
            if not _is_shown(module, constant):
                yield Literal("an address" if "://" in value else "a header", constant)
        elif has_known_form(value) and not _is_text(module, constant) and not _is_shown(module, constant):
            yield Literal("a key of a known form", constant)


def is_guarded(index: Index, module: Module, literal: ast.Constant) -> bool:
    """Whether the code compares something with this very text, or the name for it, elsewhere: it refuses it."""
    around = module.parent(literal)
    target = around.targets[0] if isinstance(around, ast.Assign) else None
    if isinstance(target, ast.Name) and any(
        isinstance(part, ast.Name) and part.id == target.id
        for comparison in module.nodes(ast.Compare)
        for part in comparison.comparators
    ):
        return True
    for other in index.tree.modules.values():
        for constant in other.nodes(ast.Constant) if repr(literal.value)[1:-1] in other.text else ():
            if constant is not literal and constant.value == literal.value:
                around = other.parent(constant)
                if isinstance(around, ast.Set | ast.Tuple | ast.List):
                    around = other.parent(around)
                if isinstance(around, ast.Compare):
                    return True
    return False


def _text(node: ast.expr | None) -> str | None:
    if not isinstance(node, ast.Constant):
        return None
    if isinstance(node.value, bytes):
        return node.value.decode("latin-1")
    return node.value if isinstance(node.value, str) else None


def _constants(node: ast.expr | None) -> Iterator[ast.Constant]:
    """The texts that a value is: itself, encoded, wrapped, put together, chosen, or each of a collection's."""
    match node:
        case ast.Constant(value=str() | bytes()):
            yield node
        case ast.Call(func=ast.Attribute(value=value, attr="encode" | "strip")):
            yield from _constants(value)
        case ast.Call(func=function, args=[first, *_]) if unparsed(function).rsplit(".", 1)[-1] in _WRAPPERS:
            yield from _constants(first)
        case ast.Call(func=function, args=[_, default]) if unparsed(function) in _ENVIRONMENT:
            yield from _constants(default)
        case ast.IfExp(body=one, orelse=other):
            yield from _constants(one)
            yield from _constants(other)
        case ast.BoolOp(op=ast.Or(), values=values):
            yield from _constants(values[-1])
        case ast.List(elts=items) | ast.Set(elts=items) | ast.Tuple(elts=items):
            for item in items:
                if isinstance(item, ast.Constant):
                    yield from _constants(item)
        case ast.JoinedStr(values=[ast.Constant() as only]):
            yield from _constants(only)


def _assigned(module: Module) -> Iterator[_Given]:
    """`app.secret_key = …`, `app.config["SECRET_KEY"] = …`, attributes of classes, variables, bytes too."""
    for assign in module.nodes(ast.Assign):
        for target in assign.targets:
            if isinstance(target, ast.Attribute):
                yield _Given(target.attr, assign.value, works=True)
                if target.attr == "auth" and isinstance(assign.value, ast.Tuple) and len(assign.value.elts) == 2:
                    yield _Given("password", assign.value.elts[1])
            elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                is_config = unparsed(target.value).lower().endswith(("config", "settings", "environ"))
                yield _Given(str(target.slice.value), assign.value, works=is_config)
            elif isinstance(target, ast.Name):
                is_key = target.id.lower() == "key" and any(name in module.imports.values() for name in _SEALERS)
                yield _Given("signing_key" if is_key else target.id, assign.value, works=not is_key)
    for noted in module.nodes(ast.AnnAssign):
        if not isinstance(noted.target, ast.Name | ast.Attribute):
            continue
        name = noted.target.id if isinstance(noted.target, ast.Name) else noted.target.attr
        value = noted.value
        if isinstance(value, ast.Call) and unparsed(value.func).rsplit(".", 1)[-1] in (
            "Field",
            "field",
            "SecretStr",
        ):
            default = next((k.value for k in value.keywords if k.arg == "default"), None)
            value = default or (value.args[0] if value.args else None)
        yield _Given(name, value, works=True)


def _arguments(module: Module) -> Iterator[_Given]:
    """Arguments by name or place, defaults of parameters, and what a reader of settings falls back to."""
    for call in module.nodes(ast.Call):
        for keyword in call.keywords:
            if type(keyword.value) in _HOLDING:
                yield _Given(keyword.arg or "", keyword.value, works=is_own_key(keyword.arg or ""))
            if keyword.arg == "auth" and isinstance(keyword.value, ast.Tuple) and len(keyword.value.elts) == 2:
                yield _Given("password", keyword.value.elts[1])
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if not call.args:
            continue  # what follows looks at arguments by place
        position = _KEYED.get(module.resolve(call.func) or "", _KEYED_NAMES.get(name))
        if position is not None and position < len(call.args):
            yield _Given("password" if position else "signing_key", call.args[position], works=position == 0)
        if len(call.args) == 3 and _reads_attribute(call):
            yield _Given(_text(call.args[1]) or "", call.args[2], works=True)
        if name in _READERS and call.args and isinstance(call.args[0], ast.Constant):
            *_, last = call.args
            fallback = next((k.value for k in call.keywords if k.arg in ("default", "fallback")), None)
            if fallback is None and len(call.args) > 1:
                fallback = last
            asked = call.args[-2] if fallback is last and len(call.args) > 2 else call.args[0]
            is_setting = name != "get" or re.search(r"environ|config|settings|secrets", unparsed(call.func))
            yield _Given(_text(asked) or "", fallback, works=bool(is_setting))
    functions: list[FunctionNode] = [*module.nodes(ast.FunctionDef), *module.nodes(ast.AsyncFunctionDef)]
    for function in functions:
        arguments = function.args
        positional = [*arguments.posonlyargs, *arguments.args]
        pairs = list(zip(reversed(positional), reversed(arguments.defaults), strict=False))
        pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
        for argument, default in pairs:
            seals = argument.arg == "key" and _seals_with(module, function, argument.arg)
            yield _Given("signing_key" if seals else argument.arg, default, works=True)


def _seals_with(module: Module, function: FunctionNode, name: str) -> bool:
    """Whether a function signs with what it calls `key`."""
    return any(
        isinstance(call, ast.Call) and call.args and (module.resolve(call.func) or "").startswith(("hmac.", "jwt."))
        and any(isinstance(part, ast.Name) and part.id == name for part in walk(call))
        for call in walk(function)
    )  # fmt: skip


def _items(module: Module) -> Iterator[_Given]:
    """Items of mappings; keys too, where the mapping is called after secrets (`API_KEYS = {"…": "shop"}`)."""
    for mapping in module.nodes(ast.Dict):
        for key, value in zip(mapping.keys, mapping.values, strict=True):
            if isinstance(key, ast.Constant) and type(value) in _HOLDING:
                yield _Given(str(key.value), value)
        around = module.parent(mapping)
        name = getattr(around.targets[0], "id", "") if isinstance(around, ast.Assign) else ""
        if re.search(r"(token|api_?key|secret|credential)s$", name, re.IGNORECASE):
            yield from (_Given(name, key) for key in mapping.keys)


def _chosen(module: Module) -> Iterator[_Given]:
    """`os.getenv("SECRET") or "…"`, `settings.secret or "…"`."""
    for choice in module.nodes(ast.BoolOp):
        first = choice.values[0]
        if not isinstance(choice.op, ast.Or):
            continue
        if isinstance(first, ast.Call) and first.args and isinstance(first.args[0], ast.Constant):
            yield _Given(str(first.args[0].value), choice.values[-1], works=True)
        elif isinstance(first, ast.Attribute | ast.Name):
            yield _Given(getattr(first, "attr", getattr(first, "id", "")), choice.values[-1], works=True)


def _compared(module: Module) -> Iterator[_Given]:
    """`password == "…"`, `request.headers.get("X-Token") != "…"`: who sends this text is let in."""
    for call in module.nodes(ast.Call) if module.mentions("compare_digest") else ():
        if module.resolve(call.func) in _COMPARING:
            yield from (_Given("secret", given, works=True) for given in call.args)  # what else is compared so?
    for comparison in module.nodes(ast.Compare):
        if len(comparison.ops) != 1 or not isinstance(comparison.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn):
            continue
        for one, other in (
            (comparison.left, comparison.comparators[0]),
            (comparison.comparators[0], comparison.left),
        ):
            name = ""
            if isinstance(one, ast.Attribute | ast.Name):
                name = getattr(one, "attr", getattr(one, "id", ""))
            elif isinstance(one, ast.Call) and one.args:
                name = _text(one.args[0]) or ""
            elif isinstance(one, ast.Subscript):
                name = _text(one.slice) or ""
            if name:
                yield _Given(name, other)


def _is_for_developers(module: Module, node: ast.AST) -> bool:
    """Whether it stands in the settings of a test or a developer's machine."""
    around = module.enclosing_class(node)
    return around is not None and re.match(r"_?(Dev|Test|Local|Mock|Fake|Example)", around.name) is not None


def _reads_attribute(call: ast.Call) -> bool:
    """`getattr(settings, "TOKEN", "…")`."""
    return isinstance(call.func, ast.Name) and call.func.id == "getattr" and len(call.args) == 3


def _is_text(module: Module, node: ast.Constant) -> bool:
    """Whether a literal is looked for in a text, not used: an argument of `startswith`, a pattern, a docstring."""
    around = module.parent(node)
    if isinstance(around, ast.Expr):
        return True
    return isinstance(around, ast.Call) and re.search(
        r"(startswith|search|match|compile|sub|print|info|debug)$", unparsed(around.func)
    ) is not None  # fmt: skip


def _is_credential(text: str, goes_on: bool) -> bool:
    """A password in an address of a host elsewhere, or a token in a header; `goes_on`: more comes behind the text."""
    inside = _IN_URL.match(text)
    if inside is not None and (inside[2] or goes_on):
        if "." in inside[2] and not _HERE.match(inside[2]):
            return not _PLAIN_WORD.fullmatch(inside[1])
        return not _USUAL.search(inside[1]) and not _HERE.match(inside[2])
    header = _IN_HEADER.match(text)
    return header is not None and any(c.isdigit() for c in header[1]) and not _USUAL.search(header[1])


def _is_shown(module: Module, node: ast.AST) -> bool:
    """Whether the literal stands in an example for readers: `example={…}`, `json_schema_extra=…`, a docstring."""
    for around in module.ancestors(node):
        if isinstance(around, ast.keyword) and _SHOWN.search(around.arg or ""):
            return True
        if isinstance(around, ast.Assign) and any(_SHOWN.search(unparsed(t)) for t in around.targets):
            return True
        if isinstance(around, ast.Dict) and any(
            isinstance(key, ast.Constant) and _SHOWN.search(str(key.value)) and node is not key
            and any(inner is node for inner in walk(value))
            for key, value in zip(around.keys, around.values, strict=True)
        ):  # fmt: skip
            return True
    return False

"""Where data comes in: the request of Flask, Starlette and FastAPI, and the parameters of handlers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from swarm.analysis.module import walk
from swarm.analysis.reading.parsing import parse_expression
from swarm.analysis.source import Module, parameters

if TYPE_CHECKING:
    from swarm.analysis.index import Index
    from swarm.analysis.parts import Function

FLASK_REQUEST = frozenset({"flask.request", "flask.globals.request", "quart.request"})
REQUEST_KINDS = frozenset({
    "fastapi.Request", "fastapi.requests.Request", "starlette.requests.Request", "flask.Request",
    "flask.wrappers.Request", "werkzeug.Request", "werkzeug.wrappers.Request", "fastapi.WebSocket",
    "starlette.websockets.WebSocket", "starlette.requests.HTTPConnection",
})  # fmt: skip
# attributes and methods of a request that hold what the sender chose
SENT = frozenset({
    "args", "base_url", "body", "cookies", "data", "files", "form", "full_path", "get_data", "get_json", "headers",
    "host", "host_url", "json", "path", "path_params", "query_params", "query_string", "receive_bytes",
    "receive_json", "receive_text", "referrer", "stream", "url", "url_root", "user_agent", "values", "view_args",
})  # fmt: skip
OF_THE_PATH = frozenset({"path", "url", "full_path", "base_url"})
FILES = frozenset(
    {
        "fastapi.UploadFile",
        "starlette.datastructures.UploadFile",
        "fastapi.File",
        "werkzeug.datastructures.FileStorage",
    }
)
PARAMETER_MAKERS = frozenset({"Query", "Path", "Header", "Cookie", "Body", "Form", "File"})
_PLAIN = frozenset({
    "int", "float", "bool", "complex", "uuid.UUID", "datetime.date", "datetime.datetime", "datetime.time",
    "datetime.timedelta", "decimal.Decimal", "typing.Literal", "typing_extensions.Literal", "ipaddress.IPv4Address",
    "ipaddress.IPv6Address", "pydantic.PositiveInt", "pydantic.NonNegativeInt", "pydantic.conint",
    "pydantic.confloat",
    "pydantic.UUID4", "pydantic.types.UUID4", "pydantic.PositiveFloat",
    "starlette.background.BackgroundTasks", "fastapi.BackgroundTasks", "fastapi.Response",
    "starlette.responses.Response",
})  # fmt: skip
_ENUMS = frozenset({"enum.Enum", "enum.StrEnum", "enum.IntEnum", "enum.Flag"})
_PATTERNS = frozenset({"pattern", "regex"})
_HOLDERS = frozenset({
    "Optional", "Union", "List", "Set", "Sequence", "Tuple", "FrozenSet", "Iterable", "list", "set", "tuple",
    "frozenset", "dict", "Dict", "Mapping",
})  # fmt: skip


def is_plain(index: Index, module: Module, annotation: ast.expr | None) -> bool:
    """Whether a value of this type cannot hold text of a sender's choice: numbers, dates, enums, fixed patterns."""
    if annotation is None:
        return False
    if isinstance(annotation, ast.Constant):
        if isinstance(annotation.value, str):
            try:
                return _is_plain_text(annotation.value)
            except SyntaxError:
                return False
        return annotation.value is None
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return is_plain(index, module, annotation.left) and is_plain(index, module, annotation.right)
    if isinstance(annotation, ast.Call):
        return has_pattern(annotation)
    dotted = index.resolve(module, annotation.value if isinstance(annotation, ast.Subscript) else annotation) or ""
    if dotted in _PLAIN:
        return True
    if isinstance(annotation, ast.Subscript):
        parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        last = dotted.rsplit(".", 1)[-1]
        if last == "Annotated":
            constrained = any(isinstance(p, ast.Call) and has_pattern(p) for p in parts[1:])
            return constrained or is_plain(index, module, parts[0])
        return last in _HOLDERS and all(is_plain(index, module, part) for part in parts)
    if dotted in index.classes:
        return is_enum(index, dotted)
    home, name = index.tree.split(dotted, module) if dotted else (None, "")
    alias = getattr(home.globals.get(name), "value", None) if home is not None else None
    return home is not None and isinstance(alias, ast.Subscript | ast.Call) and is_plain(index, home, alias)


def _is_plain_text(text: str) -> bool:
    """The same of an annotation that is written as a string."""
    names = {node.id for node in walk(parse_expression(text)) if isinstance(node, ast.Name)}
    return bool(names) and names <= {"int", "float", "bool", "None", "Optional", "UUID"}


def is_enum(index: Index, dotted: str, depth: int = 0) -> bool:
    """Whether a class of the target is an Enum."""
    info = index.classes.get(dotted)
    if info is None or depth > 4:
        return False
    bases = [index.resolve(info.module, base) or "" for base in info.node.bases]
    return any(base in _ENUMS or is_enum(index, base, depth + 1) for base in bases)


def has_pattern(call: ast.Call) -> bool:
    """Whether `Field(pattern=…)`, `Query(pattern=…)`, `constr(pattern=…)` holds text to a pattern."""
    for keyword in call.keywords:
        if keyword.arg in _PATTERNS and isinstance(keyword.value, ast.Constant):
            return is_tight(str(keyword.value.value))
    return False


def is_tight(pattern: str) -> bool:
    """Whether a pattern names the characters that it takes: no dot, no complement, no class of everything."""
    plain = pattern.replace("\\.", "")
    return not any(sign in plain for sign in (".", "[^", "\\S", "\\W", "\\D"))


def is_anchored(pattern: str, method: str) -> bool:
    """Whether the whole text must fit."""
    ends = pattern.endswith(("$", "\\Z", "\\z"))
    return method == "fullmatch" or (ends and (method == "match" or pattern.startswith(("^", "\\A"))))


def handler_parameters(function: Function) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """The parameters of a handler with their defaults, `self` left out."""
    signature = function.node.args
    positional = [*signature.posonlyargs, *signature.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(signature.defaults)) + list(signature.defaults)
    pairs = [*zip(positional, defaults, strict=True), *zip(signature.kwonlyargs, signature.kw_defaults, strict=True)]
    if function.class_name and pairs and pairs[0][0].arg in ("self", "cls"):
        pairs = pairs[1:]
    yield from pairs


def is_request(index: Index, module: Module, argument: ast.arg) -> bool:
    """Whether a parameter is the request: by its annotation, else by its name."""
    if argument.annotation is not None:
        return index.resolve(module, argument.annotation) in REQUEST_KINDS
    return argument.arg in ("request", "req", "websocket")


def path_converter(path: str, name: str) -> str:
    """How a parameter stands in a route's path: "int", "path", "default", or "" where it is not in it."""
    for piece in path.replace("<", "{").replace(">", "}").split("{")[1:]:
        inside = piece.split("}")[0]
        left, _, right = inside.partition(":")
        flask, starlette = (left.split("(")[0], right) if right else ("", left), (right, left)
        if flask[1] == name:
            return flask[0] or "default"
        if starlette[1] == name:
            return starlette[0] or "default"
    return ""


def has_parameters(path: str) -> bool:
    """Whether a route's path leaves something to the sender, or is not known."""
    return not path or "{" in path or "<" in path


def names_of(function: Function) -> list[str]:
    """All names of parameters."""
    return [argument.arg for argument in parameters(function.node)]

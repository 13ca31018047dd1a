"""Whether an argument is plain JSON data of the request, which can be stored and read again."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import own_nodes, parameters

LOADERS = frozenset({"json.loads", "orjson.loads", "ujson.loads", "simplejson.loads", "rapidjson.loads"})
JSON_METHODS = frozenset({"json", "get_json", "model_dump", "dict"})
TEXT_METHODS = frozenset(
    {"get", "copy", "lower", "upper", "strip", "decode", "isoformat", "hex", "join", "removeprefix"}
)
PLAIN_BUILTINS = frozenset({"str", "int", "float", "bool", "dict", "list", "sorted", "len", "round"})
REQUEST_MAPPINGS = frozenset({"path_params", "query_params", "headers", "args", "view_args"})
PLAIN_TYPE = re.compile(r"^(?:typing\.)?(?:dict|Dict|list|List|Mapping|str|int|float|bool|Any|None)\b")
MAX_DEPTH = 8


def positional(
    function: Function, arguments: Sequence[ast.expr], keywords: Sequence[ast.keyword]
) -> tuple[ast.expr, ...] | None:
    """The arguments in the order of the function's parameters; None where they cannot be given so."""
    if any(isinstance(argument, ast.Starred) for argument in arguments):
        return None
    given = {keyword.arg: keyword.value for keyword in keywords}
    if None in given:
        return None
    ordered = list(arguments)
    names = [argument.arg for argument in (*function.node.args.posonlyargs, *function.node.args.args)]
    if function.class_name and names[:1] in (["self"], ["cls"]):
        names = names[1:]
    for name in names[len(arguments) :]:
        if name not in given:
            break
        ordered.append(given.pop(name))
    return tuple(ordered) if not given else None


def is_plain(index: Index, handler: Function, node: ast.expr, depth: int = 0) -> bool:
    """Whether a value in the handler is JSON data for sure, or a pydantic model of the request's body."""
    if depth > MAX_DEPTH:
        return False

    def plain(*nodes: ast.expr | None) -> bool:
        return all(part is not None and is_plain(index, handler, part, depth + 1) for part in nodes)

    match node:
        case ast.Constant(value=value):
            return not isinstance(value, bytes | complex) and value is not ...
        case ast.Name(id=name):
            return _is_plain_name(index, handler, name, depth)
        case ast.Await(value=value) | ast.Subscript(value=value, slice=ast.Constant() | ast.Name()):
            return plain(value)
        case ast.JoinedStr() | ast.Compare():
            return True
        case ast.Dict(keys=keys, values=values):
            return plain(*keys, *values)
        case ast.List(elts=elements):
            return plain(*elements)
        case ast.BoolOp(values=values):
            return plain(*values)
        case ast.IfExp(body=body, orelse=orelse):
            return plain(body, orelse)
        case ast.Attribute(value=owner, attr=attribute):
            if index.resolve(handler.module, owner) == "flask.request":
                return attribute in ("json", "path", "method")
            return attribute in REQUEST_MAPPINGS and _is_request(index, handler, owner)
        case ast.Call():
            return _is_plain_call(index, handler, node, depth)
    return False


def _is_plain_call(index: Index, handler: Function, call: ast.Call, depth: int) -> bool:
    dotted = index.resolve(handler.module, call.func) or ""
    if dotted in LOADERS or dotted in PLAIN_BUILTINS:
        return True
    if isinstance(call.func, ast.Attribute):
        if call.func.attr in JSON_METHODS:
            return True
        if call.func.attr in TEXT_METHODS:
            return is_plain(index, handler, call.func.value, depth + 1)
    function = index.named_function(handler.module, call.func)
    return function is not None and _is_plain_type(function.node.returns)


def _is_plain_name(index: Index, handler: Function, name: str, depth: int) -> bool:
    for argument in parameters(handler.node):
        if argument.arg == name:
            return _is_plain_parameter(index, handler, argument)
    values: list[ast.expr] = []
    for node in own_nodes(handler.node):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in targets):
            values.append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            values.append(node.value or ast.Constant(None))
        elif isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            parent = handler.module.parent(node)
            if not isinstance(parent, ast.Assign | ast.AnnAssign):
                return False  # bound by a loop, a `with`, an unpacking
    return bool(values) and all(is_plain(index, handler, value, depth + 1) for value in values)


def _is_plain_parameter(index: Index, handler: Function, argument: ast.arg) -> bool:
    if argument.arg in ("self", "cls") or _has_provider(handler, argument):
        return False
    if argument.annotation is None:
        return any(route.function is handler and route.framework != "starlette" for route in index.routes)
    if _is_plain_type(argument.annotation):
        return True
    return is_model(index, index.resolve(handler.module, argument.annotation) or "")


def _has_provider(handler: Function, argument: ast.arg) -> bool:
    """Whether a dependency gives the parameter: `Depends(…)` as default or in its annotation."""
    arguments = handler.node.args
    several = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip(reversed([a.arg for a in several]), reversed(arguments.defaults), strict=False))
    defaults |= {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None}
    texts = [unparsed(part) for part in (defaults.get(argument.arg), argument.annotation) if part is not None]
    return any("Depends(" in text or "Security(" in text for text in texts)


def _is_plain_type(annotation: ast.expr | None) -> bool:
    if annotation is None:
        return False
    text = unparsed(annotation).strip("'\"")
    for wrapper in ("Annotated[", "Optional[", "typing.Annotated[", "typing.Optional["):
        text = text.removeprefix(wrapper)
    return PLAIN_TYPE.match(text) is not None


def is_model(index: Index, dotted: str, depth: int = 0) -> bool:
    """Whether a class of the target's is a pydantic model."""
    info = index.classes.get(dotted)
    if info is None or depth > MAX_DEPTH:
        return dotted in ("pydantic.BaseModel", "pydantic.main.BaseModel")
    bases = [index.resolve(info.module, base) or "" for base in info.node.bases]
    return any(is_model(index, base, depth + 1) for base in bases)


def _is_request(index: Index, handler: Function, node: ast.expr) -> bool:
    if index.resolve(handler.module, node) == "flask.request":
        return True
    kind = index.kinds.of(handler.module, node) or ""
    return kind.endswith("Request") or (isinstance(node, ast.Name) and node.id in ("request", "req"))

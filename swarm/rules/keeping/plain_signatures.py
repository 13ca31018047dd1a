"""Whether a function takes plain data and gives plain data back, by its signature and what it returns."""

from __future__ import annotations

import ast
import re

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.reading.parsing import parse_expression
from swarm.analysis.source import Module, parameters
from swarm.rules.facts.clients import is_fixed

_WORDS = frozenset({
    "str", "int", "float", "bool", "None", "dict", "list", "tuple", "Dict", "List", "Tuple", "Optional", "Union",
    "Any", "object", "Mapping", "Sequence", "Literal", "typing", "collections", "abc",
})  # fmt: skip
_SECRET = re.compile(
    r"token(?!s)|secret|password|passwd|credential|api_?key|authorization|cookie|signature|session", re.I
)
MAX_DEPTH = 6


def takes_plain(index: Index, function: Function) -> bool:
    """Whether every parameter is plain data: no objects, secrets or `*args`, nothing that a framework fills in."""
    arguments = function.node.args
    if arguments.vararg is not None or arguments.kwarg is not None:
        return False
    given = [default for default in [*arguments.defaults, *arguments.kw_defaults] if default is not None]
    if not all(isinstance(default, ast.Constant) or _is_constant_name(index, function, default) for default in given):
        return False
    names = parameters(function.node)
    if function.class_name is not None:
        if not names or names[0].arg != "self":
            return False
        names = names[1:]
    return all(_is_plain_parameter(function, argument) for argument in names)


def _is_constant_name(index: Index, function: Function, default: ast.expr) -> bool:
    return isinstance(default, ast.Name | ast.Attribute) and index.kinds.of(function.module, default) is None


def _is_plain_parameter(function: Function, argument: ast.arg) -> bool:
    if _SECRET.search(argument.arg):
        return False
    if argument.annotation is not None:
        return _is_plain_annotation(argument.annotation, any_too=False)
    # without an annotation: what it is used for must not show an object
    uses = (node for node in walk(function.node) if isinstance(node, ast.Name) and node.id == argument.arg)
    return not any(isinstance(function.module.parent(use), ast.Attribute | ast.Await) for use in uses)


def _is_plain_annotation(annotation: ast.expr, any_too: bool) -> bool:
    """`dict[str, Any]` is plain, a bare `Any` only where `any_too`; words of a `Literal` do not count."""
    text = unparsed(annotation)
    tree = annotation
    if text.strip("'\"") != text:
        try:
            tree = parse_expression(text.strip("'\""))
        except SyntaxError:
            return False
    if isinstance(tree, ast.Subscript) and unparsed(tree.value).rsplit(".", 1)[-1] == "Literal":
        return True
    words = {n.id for n in walk(tree) if isinstance(n, ast.Name)}
    words |= {n.attr for n in walk(tree) if isinstance(n, ast.Attribute)}
    return words <= _WORDS and (any_too or unparsed(tree).rsplit(".", 1)[-1] not in ("Any", "object"))


def gives_plain(index: Index, function: Function) -> bool:
    """Whether it gives plain data back, or a pydantic model or dataclass of the target's that an annotation names."""
    annotation = function.node.returns
    if annotation is not None and unparsed(annotation) not in ("Any", "typing.Any"):
        return _is_plain_annotation(annotation, any_too=False) or _is_model(index, function.module, annotation)
    returned = [node.value for node in index.own_of(function, ast.Return) if node.value]
    return bool(returned) and all(_is_plain_value(index, function, value) for value in returned)


def _is_model(index: Index, module: Module, annotation: ast.expr, depth: int = 0) -> bool:
    dotted = index.kinds.annotated(module, annotation)
    info = index.classes.get(dotted or "")
    if info is None or depth > MAX_DEPTH:
        return False
    decorators = {unparsed(d).split("(")[0].rsplit(".", 1)[-1] for d in info.node.decorator_list}
    if "dataclass" in decorators:
        return True
    bases = [index.resolve(info.module, base) or "" for base in info.node.bases]
    known = ("pydantic.BaseModel", "pydantic.main.BaseModel", "typing.TypedDict", "typing_extensions.TypedDict")
    return any(base in known for base in bases) or any(
        _is_model(index, info.module, base, depth + 1) for base in info.node.bases
    )


def _is_plain_value(index: Index, function: Function, value: ast.expr, depth: int = 0) -> bool:
    if depth > MAX_DEPTH:
        return False
    match value:
        case ast.Constant() | ast.Dict() | ast.List() | ast.ListComp() | ast.DictComp() | ast.JoinedStr():
            return True
        case ast.Await(value=inner) | ast.Subscript(value=inner):
            return _is_plain_value(index, function, inner, depth + 1)
        case ast.IfExp(body=body, orelse=orelse):
            return all(_is_plain_value(index, function, part, depth + 1) for part in (body, orelse))
        case ast.BoolOp(values=values):
            return all(_is_plain_value(index, function, part, depth + 1) for part in values)
        case ast.Name(id=name):
            bound = index.kinds.bindings(function.node).get(name, [])
            values = [part for part in bound if isinstance(part, ast.expr)]
            return bool(values) and all(_is_plain_value(index, function, part, depth + 1) for part in values)
        case ast.Attribute(attr="content", value=ast.Attribute(attr="message")):
            return True  # a model's answer
        case ast.Attribute(attr=name) if name in ("text", "output_text"):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in ("dict", "str", "int", "float", "list", "sorted", "round", "len", "sum")
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in ("json", "scalar", "scalar_one", "get", "strip", "join", "loads")
    return False


def plain_attributes(index: Index, function: Function, names: set[str]) -> tuple[str, ...] | None:
    """Those of the attributes that tell its object's answers apart; None where one may change, or is no plain text.

    A client or engine that is built the same for every object tells nothing apart.
    """
    if not names:
        return ()
    owner = function.module.parent(function.node)
    info = next((info for info in index.classes.values() if info.node is owner), None)
    if info is None or info.node.bases or "__init__" not in info.methods:
        return None
    begun = _assigned(index, info.methods["__init__"])
    later = {
        name for method in info.methods.values() if method.name != "__init__" for name in _assigned(index, method)
    }
    kept = []
    for name in sorted(names):
        value = begun.get(name) or info.attributes.get(name)
        if name in later or value is None:
            return None
        if index.kinds.of(info.module, value) is None:
            kept.append(name)
        elif not is_fixed(index, info.module, value):
            return None
    return tuple(kept)


def _assigned(index: Index, method: Function) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for node in index.own_nodes(method):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets = [node.target]
        for target in targets:
            for part in walk(target):
                if isinstance(part, ast.Attribute) and unparsed(part.value) == "self":
                    value = getattr(node, "value", None)
                    found[part.attr] = value if isinstance(value, ast.expr) else ast.Constant(None)
    return found

"""Settings whose names code puts together: `"APP_" + field.name.upper()` for every field of a class or table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from swarm.analysis.constants import class_value, text_of
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import ClassInfo
from swarm.analysis.source import Module

_OF_FIELDS = (
    "fields",
    "dataclasses.fields",
    "attrs.fields",
    "attr.fields",
    "get_type_hints",
    "typing.get_type_hints",
)
_FIELD_TABLES = ("__annotations__", "__dataclass_fields__", "model_fields", "__fields__")
_VIEWS = ("items", "keys")


@dataclass(frozen=True, slots=True)
class Named:
    """One of the values that a loop goes over: its name, its annotation and what it has by default."""

    name: str
    annotation: str
    default: str | None


@dataclass(frozen=True, slots=True)
class _Composed:
    """A text around one variable part: `before + part + after`, perhaps in capitals."""

    part: ast.expr
    before: str = ""
    after: str = ""
    is_upper: bool = False

    def name(self, value: str) -> str:
        """The whole text, with a value for its variable part."""
        return self.before + (value.upper() if self.is_upper else value) + self.after


def names_composed(index: Index, module: Module, node: ast.expr) -> Iterator[tuple[str, Named]]:
    """The names that an expression comes to in its loop, each with what the loop knows of it."""
    composed = _composed(index, module, node)
    if composed is None:
        return
    root = composed.part.value if isinstance(composed.part, ast.Attribute) else composed.part
    if not isinstance(root, ast.Name):
        return
    for around in module.ancestors(node):
        loops = (
            [(around.target, around.iter)]
            if isinstance(around, ast.For)
            else [(part.target, part.iter) for part in getattr(around, "generators", ())]
        )
        for target, iterated in loops:
            first = target.elts[0] if isinstance(target, ast.Tuple) and target.elts else target
            if isinstance(first, ast.Name) and first.id == root.id:
                yield from ((composed.name(one.name), one) for one in _gone_over(index, module, iterated))
                return


def _composed(index: Index, module: Module, node: ast.expr) -> _Composed | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "upper":
        inner = _composed(index, module, node.func.value)
        if inner is None:
            return None
        return _Composed(inner.part, inner.before.upper(), inner.after.upper(), is_upper=True)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _beside(index, module, [node.left, node.right])
    if isinstance(node, ast.JoinedStr):
        return _beside(index, module, [p.value if isinstance(p, ast.FormattedValue) else p for p in node.values])
    return _Composed(node) if isinstance(node, ast.Name | ast.Attribute) else None


def _beside(index: Index, module: Module, parts: list[ast.expr]) -> _Composed | None:
    """Texts side by side, of which exactly one is not known."""
    texts = [text_of(index, module, part) for part in parts]
    if texts.count(None) != 1:
        return None
    at = texts.index(None)
    inner = _composed(index, module, parts[at])
    if inner is None:
        return None
    before, after = "".join(t or "" for t in texts[:at]), "".join(t or "" for t in texts[at + 1 :])
    return _Composed(inner.part, before + inner.before, inner.after + after, inner.is_upper)


def _gone_over(index: Index, module: Module, iterated: ast.expr) -> Iterator[Named]:
    """What a loop goes over, where that is a class's fields or a constant list or table of texts."""
    owner: ast.expr | None = None
    if isinstance(iterated, ast.Call) and unparsed(iterated.func) in _OF_FIELDS and iterated.args:
        owner = iterated.args[0]
    elif isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Attribute) and iterated.func.attr in _VIEWS:
        iterated = iterated.func.value
    if owner is None and isinstance(iterated, ast.Attribute) and iterated.attr in _FIELD_TABLES:
        owner = iterated.value
    if owner is not None:
        info = _class_named(index, module, owner)
        yield from _fields(index, info) if info is not None else ()
        return
    value = _constant(index, module, iterated)
    if isinstance(value, ast.Dict):
        for key, held in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield Named(key.value, "", text_of(index, module, held))
    elif isinstance(value, ast.List | ast.Tuple | ast.Set):
        for element in value.elts:
            if isinstance(element, ast.Constant) and isinstance(element.value, str):
                yield Named(element.value, "", None)


def _class_named(index: Index, module: Module, node: ast.expr) -> ClassInfo | None:
    """The class that an expression is: by its name, or the one around `cls`, `self` and their like."""
    if unparsed(node) in ("cls", "self", "type(self)", "self.__class__"):
        around = next((one for one in module.ancestors(node) if isinstance(one, ast.ClassDef)), None)
        return next((info for info in index.classes.values() if info.node is around), None)
    return index.classes.get(index.resolve(module, node) or "")


def _fields(index: Index, info: ClassInfo) -> Iterator[Named]:
    for name, annotation in info.annotations.items():
        if not name.startswith("_"):
            default = text_of(index, info.module, class_value(info.node, name))
            yield Named(name, unparsed(annotation), default)


def _constant(index: Index, module: Module, node: ast.expr) -> ast.expr | None:
    if not isinstance(node, ast.Name | ast.Attribute):
        return node
    dotted = index.resolve(module, node)
    home, name = index.tree.split(dotted, module) if dotted else (None, "")
    value = getattr(home.globals.get(name), "value", None) if home is not None else None
    return value if isinstance(value, ast.expr) else None


def prefixed(index: Index, module: Module) -> Iterator[tuple[str, Named, int]]:
    """Variables that `from_prefixed_env` of Flask may read: the prefix before every key that code asks `config` for.

    Each with the line of the call; a key's default is what `from_mapping` or an assignment in the same file gives it.
    """
    for call in module.nodes(ast.Call):
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "from_prefixed_env":
            continue
        given = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "prefix"), None)
        prefix = text_of(index, module, given) if given is not None else "FLASK"
        defaults = dict(_config_defaults(index, module))
        keys = dict.fromkeys([*defaults, *_config_keys(index)])
        if prefix is not None:
            yield from ((f"{prefix}_{key}", Named(key, "", defaults.get(key)), call.lineno) for key in keys)


def _config_defaults(index: Index, module: Module) -> Iterator[tuple[str, str | None]]:
    for call in module.nodes(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("from_mapping", "setdefault") \
                and unparsed(call.func.value).endswith("config"):  # fmt: skip
            yield from ((k.arg, text_of(index, module, k.value)) for k in call.keywords if k.arg and k.arg.isupper())
            if (
                call.func.attr == "setdefault"
                and len(call.args) == 2
                and (key := text_of(index, module, call.args[0]))
            ):
                yield key, text_of(index, module, call.args[1])
    for assignment in module.nodes(ast.Assign):
        target = assignment.targets[0]
        if isinstance(target, ast.Subscript) and (key := _config_key(target)):
            yield key, text_of(index, module, assignment.value)


def _config_keys(index: Index) -> Iterator[str]:
    for module in index.tree.modules.values():
        for node in module.nodes(ast.Subscript):
            if key := _config_key(node):
                yield key
        for call in module.nodes(ast.Call):
            first = call.args[0] if call.args else None
            if isinstance(call.func, ast.Attribute) and call.func.attr == "get" and isinstance(first, ast.Constant) \
                    and unparsed(call.func.value).endswith("config") and str(first.value).isupper():  # fmt: skip
                yield str(first.value)


def _config_key(node: ast.Subscript) -> str | None:
    """The constant key of `app.config["KEY"]`; Flask's own keys are in capitals, as all that count are."""
    key = node.slice.value if isinstance(node.slice, ast.Constant) else None
    return key if isinstance(key, str) and key.isupper() and unparsed(node.value).endswith("config") else None

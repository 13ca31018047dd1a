"""Reads off the code what a JSON value must look like: which fields it takes, and what it compares them with."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import Function
from swarm.analysis.source import Module

_DEPTH = 5
_REQUESTS = ("request", "req")
_BODY_CALLS = ("json", "get_json", "form", "loads")
_METHODS = ("get", "items", "keys", "values", "to_dict", "to_dict_recursive", "copy")


@dataclass(slots=True, eq=False)
class Shape:
    """What is known of one value: its fields, its items, constants that it is compared with, its type."""

    fields: dict[str, Shape] = field(default_factory=dict)
    items: Shape | None = None
    choices: list[Any] = field(default_factory=list)
    kind: str = ""

    def key(self, name: str) -> Shape:
        """The shape of one field."""
        return self.fields.setdefault(name, Shape())

    def item(self) -> Shape:
        """The shape of one item."""
        if self.items is None:
            self.items = Shape()
        return self.items

    @property
    def known(self) -> bool:
        """Whether anything at all was read off it."""
        return bool(self.fields or self.items or self.choices or self.kind)


class Reader:
    """Follows one value through functions. `roots` says which expressions are the value itself."""

    def __init__(self, index: Index, shape: Shape, *, of_request: bool) -> None:
        self._index = index
        self._shape = shape
        self._of_request = of_request
        self._seen: set[tuple[Function, tuple[tuple[str, int], ...]]] = set()
        self.reads_form = False
        self.reads_json = False
        self.has_attributes = False  # the event is a library's object: its fields are attributes as well

    def read(self, function: Function, names: dict[str, Shape], depth: int = 0) -> Shape | None:
        """Walk a function; `names` are those that hold the value. Gives the shape of what it returns."""
        key = (function, tuple(sorted((name, id(shape)) for name, shape in names.items())))
        if depth > _DEPTH or key in self._seen:
            return None
        self._seen.add(key)
        known = dict(names)
        walk = _Walk(self, self._index, function.module, known, depth)
        for node in self._index.own_nodes(function):
            walk.visit(node)
        return walk.returned

    def given_by(self, function: Function) -> Shape | None:
        """The shape of what a function gives back, where that is known beforehand."""
        return None

    def is_root(self, module: Module, node: ast.expr) -> bool:
        """Whether an expression is the body of the request that is handled."""
        if not self._of_request:
            return False
        if isinstance(node, ast.Attribute) and node.attr in ("json", "form", "values") and _is_request(node.value):
            self._note(node.attr)
            return True
        if not isinstance(node, ast.Call):
            return False
        name = node.func.attr if isinstance(node.func, ast.Attribute) else unparsed(node.func)
        if name == "construct_event" or (name == "verify" and any("header" in unparsed(a) for a in node.args[1:])):
            self.reads_json = self.has_attributes = True  # a library checks the signature and gives the event
            return True
        if name not in _BODY_CALLS:
            return False
        if name == "loads":
            self.reads_json = True
            return bool(node.args) and "header" not in unparsed(node.args[0])
        if isinstance(node.func, ast.Attribute) and _is_request(node.func.value):
            self._note(name)
            return True
        return False

    def _note(self, attribute: str) -> None:
        self.reads_form |= attribute in ("form", "values")
        self.reads_json |= attribute in ("json", "get_json")

    @property
    def is_form(self) -> bool:
        """Whether the body is a form and nothing else."""
        return self.reads_form and not self.reads_json

    @property
    def shape(self) -> Shape:
        """The shape of the whole value."""
        return self._shape


def _is_request(node: ast.expr) -> bool:
    text = unparsed(node)
    return text.rsplit(".", 1)[-1] in _REQUESTS or text.endswith("_request")


class _Walk:
    """One function's walk, in the order of its source."""

    def __init__(self, reader: Reader, index: Index, module: Module, known: dict[str, Shape], depth: int) -> None:
        self._reader = reader
        self._index = index
        self._module = module
        self._known = known
        self._depth = depth
        self._taken: dict[str, tuple[Function, ...]] = {}  # handlers taken from a table, by the name that holds them
        self.returned: Shape | None = None

    def visit(self, node: ast.AST) -> None:
        """Take from one node what it tells."""
        if isinstance(node, ast.Assign):
            if taken := self._from_table(node.value):
                self._taken |= {target.id: taken for target in node.targets if isinstance(target, ast.Name)}
            shape = self.shape(node.value)
            if shape is not None:
                for target in node.targets:
                    self._bind(target, shape)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            shape = self.shape(node.value)
            if shape is not None:
                self._bind(node.target, shape)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._loop(node.target, node.iter)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            for part in node.generators:  # they come after what they bind for
                self._loop(part.target, part.iter)
        elif isinstance(node, ast.Compare):
            self._compare(node)
        elif isinstance(node, ast.Match):
            self._match(node)
        elif isinstance(node, ast.UnaryOp | ast.BinOp):
            self._reckon(node)
        elif isinstance(node, ast.Return) and node.value is not None:
            self.returned = self.shape(node.value) or self.returned
        elif isinstance(node, ast.Subscript | ast.Call | ast.Attribute):
            self.shape(node)

    def _bind(self, target: ast.expr, shape: Shape) -> None:
        if isinstance(target, ast.Name):
            self._known[target.id] = shape
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            kept = self._known.setdefault(target.value.id, Shape())  # left[sku] = …: one of a table's values
            kept.items = kept.items or (shape if not kept.fields else None)

    def _loop(self, target: ast.expr, iterated: ast.expr) -> None:
        if isinstance(iterated, ast.Call) and unparsed(iterated.func) == "enumerate" and iterated.args:
            iterated = iterated.args[0]
            target = target.elts[-1] if isinstance(target, ast.Tuple) else target
        if isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Attribute) \
                and iterated.func.attr in ("items", "keys", "values"):  # fmt: skip
            table = self._known.get(unparsed(iterated.func.value))
            if table is not None and table.items is not None and iterated.func.attr != "keys":
                self._bind(target.elts[-1] if isinstance(target, ast.Tuple) else target, table.items)
            return
        shape = self.shape(iterated)
        if shape is not None and not shape.fields:
            self._bind(target, shape.item())

    def _compare(self, node: ast.Compare) -> None:
        shape = self.shape(node.left)
        for operator, other in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.In | ast.NotIn) and isinstance(node.left, ast.Constant):
                continue  # `"x" in data` asks for a field that may be missing
            if shape is None:
                shape = self.shape(other)
                other = node.left
            if shape is not None and isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                self._choices(shape, other)
            elif shape is not None and isinstance(other, ast.Constant) and isinstance(other.value, int | float):
                shape.kind = shape.kind or "int"

    def _reckon(self, node: ast.UnaryOp | ast.BinOp) -> None:
        """What is subtracted, multiplied or divided is a number."""
        if not isinstance(node.op, ast.USub | ast.Sub | ast.Mult | ast.Div | ast.FloorDiv):
            return
        for side in [node.operand] if isinstance(node, ast.UnaryOp) else [node.left, node.right]:
            shape = self.shape(side)
            if shape is not None and not shape.fields and not shape.kind and shape.items is None:
                shape.kind = "int"

    def _choices(self, shape: Shape, other: ast.expr) -> None:
        for value in _constants(self._index, self._module, other):
            if value not in shape.choices and value not in ("", None) and not isinstance(value, bool):
                shape.choices.append(value)

    def _match(self, node: ast.Match) -> None:
        shape = self.shape(node.subject)
        for case in node.cases:
            for pattern in ast.walk(case.pattern):
                if shape is not None and isinstance(pattern, ast.MatchValue):
                    self._choices(shape, pattern.value)

    def shape(self, node: ast.expr) -> Shape | None:
        """The shape of an expression, fields made known as it names them; None where it is something else."""
        if self._reader.is_root(self._module, node):
            return self._reader.shape
        if isinstance(node, ast.Name):
            return self._known.get(node.id)
        if isinstance(node, ast.Await | ast.Starred):
            return self.shape(node.value)
        if isinstance(node, ast.BoolOp):
            return next((found for value in node.values if (found := self.shape(value)) is not None), None)
        if isinstance(node, ast.IfExp):
            return self.shape(node.body) or self.shape(node.orelse)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Attribute) and self._reader.has_attributes:
            owner = self.shape(node.value)
            return owner.key(node.attr) if owner is not None and node.attr not in _METHODS else None
        return None

    def _subscript(self, node: ast.Subscript) -> Shape | None:
        owner = self.shape(node.value)
        if owner is None:
            inner = self.shape(node.slice)  # TABLE[event["type"]]: the table's keys are its choices
            if inner is not None:
                self._choices(inner, node.value)
            return None
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return owner.key(node.slice.value)
        return owner.item() if not owner.fields else None

    def _call(self, node: ast.Call) -> Shape | None:
        if isinstance(node.func, ast.Attribute):
            owner = self.shape(node.func.value)
            if owner is not None:
                return self._method(owner, node)
            if node.func.attr == "get" and node.args:
                inner = self.shape(node.args[0])
                if inner is not None:
                    self._choices(inner, node.func.value)
        name = unparsed(node.func)
        if name in ("int", "float", "Decimal", "Decimal.Decimal") and node.args:
            shape = self.shape(node.args[0])
            if shape is not None and not shape.fields:
                shape.kind = "int" if name == "int" else "float"
            return None
        if name in ("dict", "str", "list", "cast", "typing.cast") and node.args:
            return self.shape(node.args[-1])
        return self._into(node)

    def _method(self, owner: Shape, node: ast.Call) -> Shape | None:
        assert isinstance(node.func, ast.Attribute)
        first = node.args[0] if node.args else None
        if node.func.attr in ("get", "pop", "setdefault", "getlist") and isinstance(first, ast.Constant) \
                and isinstance(first.value, str):  # fmt: skip
            found = owner.key(first.value)
            default = node.args[1] if len(node.args) > 1 else None
            if isinstance(default, ast.Constant) and isinstance(default.value, int | float | bool):
                found.kind = found.kind or type(default.value).__name__
            elif isinstance(default, ast.List):
                found.item()
            elif isinstance(default, ast.Dict):
                found.kind = found.kind or "dict"
            return found
        if node.func.attr in ("strip", "lower", "upper", "split", "startswith", "encode", "replace"):
            owner.kind = owner.kind or "str"
            if node.func.attr in ("strip", "lower", "upper"):
                return owner
            if node.func.attr == "startswith" and isinstance(first, ast.Constant):
                self._choices(owner, first)
        if node.func.attr in ("copy",):
            return owner
        return None

    def _into(self, node: ast.Call) -> Shape | None:
        """Go on in a function of the target's that gets the value, or the request that holds it."""
        function = self._index.resolve_call(self._module, node)
        given_back = self._reader.given_by(function) if function is not None else None
        if given_back is not None:
            return given_back
        given = list(node.args)
        for place, argument in enumerate(node.args[:2]):  # add_task(work, body), to_thread(work, body), submit(…)
            named = isinstance(argument, ast.Name | ast.Attribute) and function is None
            handed = self._index.named_function(self._module, argument) if named else None
            if handed is not None:
                function, given = handed, list(node.args[place + 1 :])
        if function is None:
            handlers = self._taken.get(node.func.id, ()) if isinstance(node.func, ast.Name) else ()
            for handler in handlers or self._from_table(node.func):
                self._bound(handler, node, given)
            return None
        return self._bound(function, node, given)

    def _from_table(self, node: ast.expr) -> tuple[Function, ...]:
        """The functions of a table that one of is taken from: `TABLE[kind]`, `TABLE.get(kind)`."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            return tuple(self._index.in_table(self._module, node.func.value))
        return tuple(self._index.in_table(self._module, node.value)) if isinstance(node, ast.Subscript) else ()

    def _bound(self, function: Function, node: ast.Call, given: list[ast.expr]) -> Shape | None:
        """Go on in a function with what a call gives it of the value."""
        names = [a.arg for a in [*function.node.args.posonlyargs, *function.node.args.args]]
        if function.class_name and names[:1] in (["self"], ["cls"]):
            names = names[1:]
        bound: dict[str, Shape] = {}
        passes_request = False
        pairs: Iterator[tuple[str, ast.expr]] = iter(
            [*zip(names, given, strict=False), *((k.arg, k.value) for k in node.keywords if k.arg)]
        )
        for name, value in pairs:
            shape = self.shape(value)
            passes_request |= isinstance(value, ast.Name) and value.id in _REQUESTS
            if shape is not None:
                bound[name] = shape
        if bound or passes_request or (not node.args and not node.keywords and self._reader._of_request):
            return self._reader.read(function, bound, self._depth + 1)
        return None


def _constants(index: Index, module: Module, node: ast.expr) -> Iterator[Any]:
    """The constants that an expression stands for: itself, a collection's items, a table's keys, an enum's value."""
    if isinstance(node, ast.Constant):
        yield node.value
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        for item in node.elts:
            yield from _constants(index, module, item)
    elif isinstance(node, ast.Dict):
        for key in node.keys:
            if key is not None:
                yield from _constants(index, module, key)
    elif isinstance(node, ast.Call) and unparsed(node.func) in ("set", "frozenset", "tuple") and node.args:
        yield from _constants(index, module, node.args[0])
    elif isinstance(node, ast.Name | ast.Attribute):
        dotted = index.resolve(module, node)
        home, name = index.tree.split(dotted, module) if dotted else (None, "")
        value = getattr(home.globals.get(name), "value", None) if home is not None else None
        if home is not None and isinstance(value, ast.expr) and not isinstance(value, ast.Name | ast.Attribute):
            yield from _constants(index, home, value)
        elif home is not None and "." in name:
            info = index.classes.get(f"{home.dotted}.{name.split('.')[0]}")
            attribute = info.attributes.get(name.split(".")[1]) if info is not None else None
            if isinstance(attribute, ast.Constant):
                yield attribute.value

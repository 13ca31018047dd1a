"""The whole path of a route: texts put together from constants, and what routers are included or mounted under."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from swarm.analysis.layout import unparsed
from swarm.analysis.parts import AppObject
from swarm.analysis.source import Module

if TYPE_CHECKING:
    from swarm.analysis.index import Index

MAX_DEPTH = 6
MOST_PATHS = 4
MOUNTS = ("starlette.routing.Mount", "fastapi.routing.Mount")
# how a router gets below another: the method, the place and the keywords of the router, and those of the prefix
INCLUDES = {
    "include_router": (0, ("router",), None, ("prefix",)),
    "register_blueprint": (0, ("blueprint",), None, ("url_prefix",)),
    "mount": (1, ("app",), 0, ("path",)),
}


def text_of(index: Index, module: Module, expression: ast.expr | None, depth: int = 0) -> str:
    """The text that an expression stands for, as far as constants tell; "" where they don't."""
    if expression is None or depth > MAX_DEPTH:
        return ""
    match expression:
        case ast.Constant(value=str(text)):
            return text
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = text_of(index, module, left, depth + 1), text_of(index, module, right, depth + 1)
            return first + second if first and second else ""
        case ast.JoinedStr(values=values):
            parts = [_part(index, module, value, depth) for value in values]
            return "".join(parts) if all(parts) else ""
        case ast.Name() | ast.Attribute():
            return _of_name(index, module, expression, depth)
    return ""


def _part(index: Index, module: Module, value: ast.expr, depth: int) -> str:
    inner = value.value if isinstance(value, ast.FormattedValue) else value
    return text_of(index, module, inner, depth + 1)


def _of_name(index: Index, module: Module, expression: ast.Name | ast.Attribute, depth: int) -> str:
    """A global that holds a text, or a field of a settings object whose class gives it a default."""
    dotted = index.resolve(module, expression)
    home, name = index.tree.split(dotted, module) if dotted else (None, "")
    if home is not None and "." not in name:
        value = getattr(home.globals.get(name), "value", None)
        if isinstance(value, ast.expr):
            return text_of(index, home, value, depth + 1)
    if isinstance(expression, ast.Attribute):
        info = index.classes.get(
            index.kinds.of(module, expression.value) or index.resolve(module, expression.value) or ""
        )
        for statement in info.node.body if info is not None else []:
            named = [statement.target] if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [])
            if info is not None and any(isinstance(t, ast.Name) and t.id == expression.attr for t in named):
                return text_of(index, info.module, getattr(statement, "value", None), depth + 1)
    return ""


class Prefixes:
    """What every application object is included, registered or mounted under."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._parents: dict[AppObject, list[tuple[AppObject, str, bool]]] = {}
        for parent, child, prefix, instead in _inclusions(index):
            if child is not parent:
                self._parents.setdefault(child, []).append((parent, prefix, instead))

    def of(self, app: AppObject, depth: int = 0) -> tuple[str, ...]:
        """The prefixes under which the object's routes are served, [""] at least."""
        own = text_of(self._index, app.module, argument(app.call, 99, "prefix", "url_prefix"))
        found: list[str] = []
        for parent, prefix, instead in self._parents.get(app, []) if depth < MAX_DEPTH else []:
            inner = prefix if instead and prefix else prefix + own
            found += [outer + inner for outer in self.of(parent, depth + 1)]
        return tuple(dict.fromkeys(found))[:MOST_PATHS] or (own,)


def _inclusions(index: Index) -> Iterator[tuple[AppObject, AppObject, str, bool]]:
    """(parent, child, prefix, whether it stands in place of the child's own)."""
    for module, call in index.in_order(place for name in INCLUDES for place in index.calls_named(name)):
        if not isinstance(call.func, ast.Attribute):
            continue
        at, names, prefix_at, prefix_names = INCLUDES[call.func.attr]
        child = argument(call, at, *names)
        parent, included = exact_app(index, module, call.func.value), None
        if child is not None:
            included = exact_app(index, module, child)
        if parent is not None and included is not None:
            prefix = text_of(index, module, argument(call, 99 if prefix_at is None else prefix_at, *prefix_names))
            yield parent, included, prefix, call.func.attr == "register_blueprint"


def exact_app(index: Index, module: Module, owner: ast.expr) -> AppObject | None:
    """The very object that an expression names: a global, a local of the same function, an attribute of `self`."""
    dotted = index.resolve(module, owner)
    text, around = unparsed(owner), module.enclosing_function(owner)
    kind = index.kinds.of(module, owner.value) if isinstance(owner, ast.Attribute) else None
    for app in index.apps:
        if not app.inside_function and dotted is not None and f"{app.module.dotted}.{app.name}" == dotted:
            return app
        if app.inside_function and app.module is module and around is not None and app.name == text \
                and module.enclosing_function(app.call) in (around, *_around(module, around)):  # fmt: skip
            return app
        if kind is not None and app.name.startswith("self.") and isinstance(owner, ast.Attribute):
            inside = index.enclosing(app.module, app.call)
            own_class = f"{app.module.dotted}.{inside.qualname.rpartition('.')[0]}" if inside is not None else ""
            if own_class == kind and app.name == f"self.{owner.attr}":
                return app
    return None


def _around(module: Module, function: ast.AST) -> list[ast.AST]:
    return [one for one in module.ancestors(function) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]


def mounted_under(index: Index, module: Module, call: ast.Call, depth: int = 0) -> str:
    """What `Mount("/api", routes=[Route(…)])` puts before a route that stands inside of it."""
    prefix = ""
    for around in module.ancestors(call):
        if isinstance(around, ast.Call) and index.resolve(module, around.func) in MOUNTS:
            prefix = text_of(index, module, argument(around, 0, "path")) + prefix
        elif isinstance(around, ast.Assign) and depth < MAX_DEPTH:
            prefix = _above_list(index, module, around, depth + 1) + prefix
    return prefix


def _above_list(index: Index, module: Module, assign: ast.Assign, depth: int) -> str:
    """What stands before the routes of a list that is mounted by its name: `Mount("/hooks", routes=hooks)`."""
    target = assign.targets[0]
    if not isinstance(target, ast.Name) or module.globals.get(target.id) is not assign:
        return ""
    dotted = index.resolve(module, target)
    for other, mount in index.calls_named("Mount"):
        given = argument(mount, 99, "routes")
        if isinstance(given, ast.Name | ast.Attribute) and index.resolve(other, given) == dotted:
            return mounted_under(index, other, mount, depth) + text_of(index, other, argument(mount, 0, "path"))
    return ""


def argument(call: ast.Call, position: int, *names: str) -> ast.expr | None:
    """An argument of a call, by its names or its place."""
    for keyword in call.keywords:
        if keyword.arg in names:
            return keyword.value
    return call.args[position] if len(call.args) > position else None


def spelt_out(module: Module, name: ast.Name) -> list[ast.expr]:
    """What a loop's variable stands for, where the loop goes through a list that is spelt out.

    `[Route(path, handler) for path, handler in (("/a", a), ("/b", b))]`, `for handler in HANDLERS: …`
    """
    for around in module.ancestors(name):
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return []
        loops = [around] if isinstance(around, ast.For) else list(getattr(around, "generators", []))
        for loop in loops:
            found = _of_loop(module, loop.target, loop.iter, name.id)
            if found:
                return found
    return []


def _of_loop(module: Module, target: ast.expr, over: ast.expr, name: str) -> list[ast.expr]:
    if isinstance(over, ast.Call) and isinstance(over.func, ast.Attribute) and over.func.attr == "items":
        over = over.func.value
    if isinstance(over, ast.Name):
        over = getattr(module.globals.get(over.id), "value", None) or over
    rows: list[ast.expr] = []
    if isinstance(over, ast.List | ast.Tuple | ast.Set):
        rows = list(over.elts)
    elif isinstance(over, ast.Dict):
        pairs = zip(over.keys, over.values, strict=True)
        rows = [ast.Tuple([key, value], ast.Load()) for key, value in pairs if key is not None]
    if isinstance(target, ast.Name):
        return rows if target.id == name else []
    names = [getattr(part, "id", "") for part in getattr(target, "elts", [])]
    place = names.index(name) if name in names else -1
    return [row.elts[place] for row in rows if isinstance(row, ast.Tuple | ast.List) and len(row.elts) == len(names)
            and place >= 0]  # fmt: skip

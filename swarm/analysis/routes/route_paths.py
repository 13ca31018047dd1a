"""The whole path of a route: what stands before it where routers are included, registered or mounted."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from swarm.analysis.constants import text_of
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import AppObject
from swarm.analysis.source import Module, parameters

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


def joined(*parts: str) -> str:
    """The path that prefixes and a route's own path make, with one slash between them; "" for nothing."""
    path = "".join(part.rstrip("/") for part in parts[:-1]) + parts[-1]
    return path if path.startswith("/") or not path else f"/{path}"


class Prefixes:
    """What every application object is included, registered or mounted under."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._parents: dict[AppObject, list[tuple[AppObject | None, str, bool]]] = {}
        for parent, child, prefix, instead in _inclusions(index):
            if child is not parent:
                self._parents.setdefault(child, []).append((parent, prefix, instead))

    def of(self, app: AppObject, depth: int = 0) -> tuple[str, ...]:
        """The prefixes under which the object's routes are served, [""] at least."""
        own = text_of(self._index, app.module, argument(app.call, 99, "prefix", "url_prefix")) or ""
        found: list[str] = []
        for parent, prefix, instead in self._parents.get(app, []) if depth < MAX_DEPTH else []:
            inner = prefix if instead and prefix else joined(prefix, own)
            above = self.of(parent, depth + 1) if parent is not None else ("",)
            found += [joined(outer, inner) for outer in above]
        return tuple(dict.fromkeys(found))[:MOST_PATHS] or (own,)


def _inclusions(index: Index) -> Iterator[tuple[AppObject | None, AppObject, str, bool]]:
    """(parent where it is known, child, prefix, whether it stands in place of the child's own)."""
    for module, call in index.in_order(place for name in INCLUDES for place in index.calls_named(name)):
        if not isinstance(call.func, ast.Attribute):
            continue
        at, names, prefix_at, prefix_names = INCLUDES[call.func.attr]
        child = argument(call, at, *names)
        included = exact_app(index, module, child) if child is not None else None
        if included is not None:
            owner = call.func.value
            parent = exact_app(index, module, owner) or handed_in(index, module, owner)
            given = argument(call, 99 if prefix_at is None else prefix_at, *prefix_names)
            prefix = text_of(index, module, given) or ""
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


def handed_in(index: Index, module: Module, owner: ast.expr) -> AppObject | None:
    """The application that a function is called with: `def register(app): @app.post(…)`, `register(app)`."""
    if not isinstance(owner, ast.Name):
        return None
    for around in module.ancestors(owner):
        if not isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        names = [given.arg for given in parameters(around)]
        if owner.id in names:
            place = names.index(owner.id)
            for where, call in index.calls_named(around.name):
                given = argument(call, place, owner.id)
                if given is not None and index.resolve_call(where, call) is index.function_of(around):
                    found = exact_app(index, where, given)
                    if found is not None:
                        return found
    return None


def mounted_under(index: Index, module: Module, call: ast.Call, depth: int = 0) -> str:
    """What `Mount("/api", routes=[Route(…)])` puts before a route that stands inside of it."""
    prefix = ""
    for around in module.ancestors(call):
        if isinstance(around, ast.Call) and index.resolve(module, around.func) in MOUNTS:
            prefix = joined(text_of(index, module, argument(around, 0, "path")) or "", prefix)
        elif isinstance(around, ast.Assign) and depth < MAX_DEPTH:
            prefix = joined(_above_list(index, module, around, depth + 1), prefix)
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
            own = text_of(index, other, argument(mount, 0, "path")) or ""
            return joined(mounted_under(index, other, mount, depth), own)
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

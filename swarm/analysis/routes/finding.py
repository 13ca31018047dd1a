"""Applications and routes of FastAPI, Starlette and Flask, whatever their names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from swarm.analysis.constants import text_of
from swarm.analysis.layout import unparsed
from swarm.analysis.parts import AppObject, Framework, Function, Route
from swarm.analysis.routes.route_paths import (
    Prefixes,
    argument,
    handed_in,
    joined,
    mounted_under,
    spelt_out,
)
from swarm.analysis.source import Module, parameters

if TYPE_CHECKING:
    from swarm.analysis.index import Index

APPS: dict[str, Framework] = {
    "fastapi.FastAPI": "fastapi",
    "fastapi.applications.FastAPI": "fastapi",
    "starlette.applications.Starlette": "starlette",
    "flask.Flask": "flask",
    "flask.app.Flask": "flask",
}
ROUTERS: dict[str, Framework] = {
    "fastapi.APIRouter": "fastapi",
    "fastapi.routing.APIRouter": "fastapi",
    "starlette.routing.Router": "starlette",
    "flask.Blueprint": "flask",
    "flask.blueprints.Blueprint": "flask",
}
VERBS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "trace"})
ROUTING = VERBS | {"route", "api_route", "websocket", "websocket_route"}
ADDERS = {"add_api_route": 1, "add_url_rule": 2, "add_route": 1, "add_websocket_route": 1}
HANDLER_KEYWORDS = ("endpoint", "view_func", "route")
ROUTE_CLASSES = frozenset({"starlette.routing.Route", "fastapi.routing.APIRoute", "starlette.routing.WebSocketRoute"})
HOOKS = frozenset({
    "after_app_request", "after_request", "app_errorhandler", "before_app_request", "before_request",
    "context_processor", "errorhandler", "exception_handler", "middleware", "teardown_appcontext",
    "teardown_request",
})  # fmt: skip
DEPENDS = frozenset({"fastapi.Depends", "fastapi.params.Depends", "fastapi.Security", "fastapi.params.Security"})
_HANDED = frozenset({"app", "application", "api", "blueprint", "bp", "router"})
_FRAMEWORKS: tuple[Framework, ...] = ("fastapi", "flask", "starlette")
VIEW_BASES = ("HTTPEndpoint", "MethodView", "View", "Resource", "BaseHTTPMiddleware")


def find_apps(index: Index) -> tuple[AppObject, ...]:
    """Every application, router and blueprint that is built in the tree."""
    found: list[AppObject] = []
    for module in index.tree.modules.values():
        for call in module.nodes(ast.Call):
            framework, is_app = _constructed(index, module, call)
            statement = module.statement(call) if framework else None
            if framework is None or not isinstance(statement, ast.Assign | ast.AnnAssign | ast.Return):
                continue
            name = _assigned_name(statement)
            inside = module.enclosing_function(call) is not None
            found.append(AppObject(module, statement, name, framework, inside, is_app, call))
    return tuple(found)


def _constructed(index: Index, module: Module, call: ast.Call) -> tuple[Framework | None, bool]:
    dotted = index.resolve(module, call.func)
    for _ in range(4):
        if dotted is None:
            break
        if dotted in APPS:
            return APPS[dotted], True
        if dotted in ROUTERS:
            return ROUTERS[dotted], False
        info = index.classes.get(dotted)  # a subclass of the framework's own
        dotted = index.resolve(info.module, info.node.bases[0]) if info is not None and info.node.bases else None
    return None, False


def _assigned_name(statement: ast.Assign | ast.AnnAssign | ast.Return) -> str:
    if isinstance(statement, ast.Return):
        return ""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    return unparsed(target)


def app_of(index: Index, module: Module, owner: ast.expr, known: dict[str, AppObject]) -> AppObject | None:
    """The application object that an expression stands for: by its name first, else by its kind."""
    dotted = index.resolve(module, owner)
    if dotted is not None and dotted in known:
        return known[dotted]
    if isinstance(owner, ast.Attribute) and owner.attr == "router":
        inner = app_of(index, module, owner.value, known)
        if inner is not None:
            return inner  # `app.router` is the application's own
    around = module.enclosing_function(owner)
    text = unparsed(owner)
    if around is not None:
        for app in index.apps:
            if app.module is module and app.name == text:
                return app
    kind = index.kinds.of(module, owner)
    framework = APPS.get(kind or "") or ROUTERS.get(kind or "")
    if framework is not None:
        same = [app for app in index.apps if app.framework == framework]
        return same[0] if same else None
    if kind in index.classes:
        return next((app for app in index.apps if index.resolve(app.module, app.call.func) == kind), None)
    return handed_in(index, module, owner)


def _handed_by_name(module: Module, owner: ast.expr) -> Framework | None:
    """`def init(app): @app.route("/x")` whose caller is not seen: the file's imports tell the framework."""
    if not isinstance(owner, ast.Name) or owner.id not in _HANDED:
        return None
    around = module.enclosing_function(owner)
    while around is not None and owner.id not in [given.arg for given in parameters(around)]:
        around = module.enclosing_function(around)
    tops = {dotted.split(".")[0] for dotted in module.imports.values()} if around is not None else set()
    found: list[Framework] = [name for name in _FRAMEWORKS if name in tops]
    return found[0] if found else None


def find_routes(index: Index) -> tuple[Route, ...]:
    """Every route: decorators, `add_…` calls, `Route(…)` lists and view classes."""
    known = {f"{app.module.dotted}.{app.name}": app for app in index.apps if not app.inside_function}
    prefixes = Prefixes(index)
    found: dict[tuple[Function, str, tuple[str, ...]], Route] = {}
    for route in [*_decorated(index, known, prefixes), *_added(index, known, prefixes)]:
        found.setdefault((route.function, route.path, route.methods), route)
    return tuple(found.values())


def _paths(
    index: Index, module: Module, app: AppObject, path: ast.expr | None, prefixes: Prefixes
) -> tuple[str, ...]:
    """The whole paths of a route; "" where the code computes it."""
    own = text_of(index, module, path)
    is_known = own or (isinstance(path, ast.Constant) and path.value == "")
    return tuple(joined(prefix, own or "") for prefix in prefixes.of(app)) if is_known else ("",)


def _decorated(index: Index, known: dict[str, AppObject], prefixes: Prefixes) -> Iterator[Route]:
    for function in index.functions:
        for decorator in function.node.decorator_list:
            if isinstance(decorator, ast.Call):
                yield from _registered_by(index, function.module, decorator, function, known, prefixes)
    for module in index.tree.modules.values():
        for call in module.nodes(ast.Call):  # `app.post("/hook")(handle)`
            if isinstance(call.func, ast.Call) and len(call.args) == 1:
                for function in _handlers(index, module, call.args[0]):
                    yield from _registered_by(index, module, call.func, function, known, prefixes)


def _registered_by(
    index: Index, module: Module, decorator: ast.Call, function: Function, known: dict[str, AppObject],
    prefixes: Prefixes,
) -> Iterator[Route]:  # fmt: skip
    verb = decorator.func.attr if isinstance(decorator.func, ast.Attribute) else ""
    if verb not in ROUTING or not isinstance(decorator.func, ast.Attribute):
        return
    app = app_of(index, module, decorator.func.value, known)
    given = argument(decorator, 0, "path", "rule")
    if app is not None:
        for path in _paths(index, module, app, given, prefixes):
            yield Route(_methods(decorator, verb), path, function, app.framework, module, app)
        return
    framework, alone = _handed_by_name(module, decorator.func.value), text_of(index, module, given)
    if framework is not None and alone:
        yield Route(_methods(decorator, verb), alone, function, framework, module)


def _added(index: Index, known: dict[str, AppObject], prefixes: Prefixes) -> Iterator[Route]:
    adding = (place for name in (*ADDERS, "add_resource") for place in index.calls_named(name))
    for module, call in index.in_order([*adding, *index.calls_to(*ROUTE_CLASSES)]):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        position = ADDERS.get(name)
        if position is not None and isinstance(call.func, ast.Attribute):
            app = app_of(index, module, call.func.value, known)
            if app is not None:
                paths = _paths(index, module, app, argument(call, 0, "path", "rule"), prefixes)
                yield from _served(index, module, call, position, paths, app.framework, app)
        elif name == "add_resource":
            yield from _resources(index, module, call)
        elif index.resolve(module, call.func) in ROUTE_CLASSES:
            path = text_of(index, module, argument(call, 0, "path"))
            paths = (joined(mounted_under(index, module, call), path) if path else "",)
            yield from _served(index, module, call, 1, paths, "starlette")


def _served(
    index: Index, module: Module, call: ast.Call, position: int, paths: tuple[str, ...], framework: Framework,
    owner: AppObject | None = None,
) -> Iterator[Route]:  # fmt: skip
    handler = argument(call, position, *HANDLER_KEYWORDS)
    for function in _handlers(index, module, handler) if handler is not None else ():
        verb = function.name if function.class_name and function.name in VERBS else "route"
        for path in paths:
            yield Route(_methods(call, verb), path, function, framework, module, owner)


def _resources(index: Index, module: Module, call: ast.Call) -> Iterator[Route]:
    """`Api.add_resource(Class, "/path", …)` of flask_restful and its kin."""
    kind = index.kinds.of(module, call.func.value) if isinstance(call.func, ast.Attribute) else None
    if not call.args or not (kind or "").startswith(("flask_restful.", "flask_restx.")):
        return
    for function in _handlers(index, module, call.args[0]):
        for path in [text_of(index, module, one) or "" for one in call.args[1:]] or [""]:
            yield Route((function.name.upper(),), path, function, "flask", module)


def _handlers(index: Index, module: Module, handler: ast.expr) -> list[Function]:
    """The functions behind a handler: itself, or the verbs of a view class (also `View.as_view("x")`)."""
    if isinstance(handler, ast.Call) and index.resolve(module, handler.func) == "functools.partial" and handler.args:
        return _handlers(index, module, handler.args[0])
    if isinstance(handler, ast.Call) and isinstance(handler.func, ast.Attribute):
        handler = handler.func.value
    info = index.classes.get(index.resolve(module, handler) or "")
    if info is not None:
        verbs = VERBS | {"dispatch_request", "__call__"}
        return [method for name, method in info.methods.items() if name in verbs]
    function = index.named_function(module, handler)
    if function is None and isinstance(handler, ast.Name):
        return [one for named in spelt_out(module, handler) for one in _handlers(index, module, named)]
    return [function] if function is not None else []


def find_dependencies(index: Index) -> list[Function]:
    """What `Depends` and `Security` name outside of signatures: of applications, routers, classes of views."""
    found: list[Function] = []
    for module, call in index.calls_to(*DEPENDS):
        if call.args:
            function = index.resolve_call(module, call) or index.named_function(module, call.args[0])
            if function is not None:
                found.append(function)
            info = index.classes.get(index.resolve(module, call.args[0]) or "")
            found += [info.methods[name] for name in ("__init__",) if info is not None and name in info.methods]
            made = index.classes.get(index.kinds.of(module, call.args[0]) or "")
            found += [made.methods[name] for name in ("__call__",) if made is not None and name in made.methods]
    return found


def find_hooks(index: Index) -> list[Function]:
    """Functions that run with requests and are no routes: middleware, hooks, error handlers, views."""
    found: list[Function] = []
    for function in index.functions:
        for decorator in function.node.decorator_list:
            named = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(named, ast.Attribute) and named.attr in HOOKS:
                found.append(function)
    for name in ("before_request", "before_app_request", "after_request"):  # `orders.before_request(check)`
        for module, call in index.calls_named(name):
            named_there = index.named_function(module, call.args[0]) if len(call.args) == 1 else None
            found += [named_there] if named_there is not None else []
    for info in index.classes.values():
        bases = {unparsed(base).rsplit(".", 1)[-1] for base in info.node.bases}
        if bases & set(VIEW_BASES):
            verbs = VERBS | {"dispatch", "dispatch_request"}
            found += [method for name, method in info.methods.items() if name in verbs]
        elif "__call__" in info.methods and _is_asgi(info.methods["__call__"]):
            found.append(info.methods["__call__"])
    return found


def _is_asgi(function: Function) -> bool:
    names = [argument.arg for argument in function.node.args.args]
    return names[1:] == ["scope", "receive", "send"] or names[1:] == ["environ", "start_response"]


def _methods(call: ast.Call, verb: str) -> tuple[str, ...]:
    if verb in VERBS:
        return (verb.upper(),)
    if "websocket" in verb:
        return ("WEBSOCKET",)
    given = argument(call, 99, "methods")
    if isinstance(given, ast.List | ast.Tuple | ast.Set):
        return tuple(str(item.value).upper() for item in given.elts if isinstance(item, ast.Constant))
    return ("GET",)

"""Applications and routes of FastAPI, Starlette and Flask, whatever their names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from swarm.analysis.parts import AppObject, Framework, Function, Route
from swarm.analysis.source import Module

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
VIEW_BASES = ("HTTPEndpoint", "MethodView", "View", "BaseHTTPMiddleware")


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
    return ast.unparse(target)


def _framework_of(index: Index, module: Module, owner: ast.expr, known: dict[str, AppObject]) -> AppObject | None:
    """The application object that an expression stands for: by its kind first, else by its name."""
    dotted = index.resolve(module, owner)
    if dotted is not None and dotted in known:
        return known[dotted]
    around = module.enclosing_function(owner)
    text = ast.unparse(owner)
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
    return None


def find_routes(index: Index) -> tuple[Route, ...]:
    """Every route: decorators, `add_…` calls, `Route(…)` lists and view classes."""
    known = {f"{app.module.dotted}.{app.name}": app for app in index.apps if not app.inside_function}
    found: dict[tuple[Function, str, tuple[str, ...]], Route] = {}
    for route in [*_decorated(index, known), *_added(index, known)]:
        found.setdefault((route.function, route.path, route.methods), route)
    return tuple(found.values())


def _decorated(index: Index, known: dict[str, AppObject]) -> Iterator[Route]:
    for function in index.functions:
        for decorator in function.node.decorator_list:
            if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
                continue
            verb = decorator.func.attr
            if verb not in ROUTING:
                continue
            app = _framework_of(index, function.module, decorator.func.value, known)
            if app is not None:
                path = _prefix(app) + _constant(_argument(decorator, 0, "path", "rule"))
                yield Route(_methods(decorator, verb), path, function, app.framework, function.module)


def _added(index: Index, known: dict[str, AppObject]) -> Iterator[Route]:
    for module in index.tree.modules.values():
        for call in module.nodes(ast.Call):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            position = ADDERS.get(name)
            framework: Framework | None = None
            if position is not None and isinstance(call.func, ast.Attribute):
                app = _framework_of(index, module, call.func.value, known)
                framework = app.framework if app is not None else None
            elif index.resolve(module, call.func) in ROUTE_CLASSES:
                position, framework = 1, "starlette"
            if position is None or framework is None:
                continue
            handler = _argument(call, position, *HANDLER_KEYWORDS)
            path = _constant(_argument(call, 0, "path", "rule"))
            if handler is not None:
                for function in _handlers(index, module, handler):
                    yield Route(_methods(call, "route"), path, function, framework, module)


def _handlers(index: Index, module: Module, handler: ast.expr) -> list[Function]:
    """The functions behind a handler: itself, or the verbs of a view class (also `View.as_view("x")`)."""
    if isinstance(handler, ast.Call) and isinstance(handler.func, ast.Attribute):
        handler = handler.func.value
    info = index.classes.get(index.resolve(module, handler) or "")
    if info is not None:
        verbs = VERBS | {"dispatch_request", "__call__"}
        return [method for name, method in info.methods.items() if name in verbs]
    function = index.named_function(module, handler)
    return [function] if function is not None else []


def find_hooks(index: Index) -> list[Function]:
    """Functions that run with requests and are no routes: middleware, hooks, error handlers, views."""
    found: list[Function] = []
    for function in index.functions:
        for decorator in function.node.decorator_list:
            named = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(named, ast.Attribute) and named.attr in HOOKS:
                found.append(function)
    for info in index.classes.values():
        bases = {ast.unparse(base).rsplit(".", 1)[-1] for base in info.node.bases}
        if bases & set(VIEW_BASES):
            verbs = VERBS | {"dispatch", "dispatch_request"}
            found += [method for name, method in info.methods.items() if name in verbs]
        elif "__call__" in info.methods and _is_asgi(info.methods["__call__"]):
            found.append(info.methods["__call__"])
    return found


def _is_asgi(function: Function) -> bool:
    names = [argument.arg for argument in function.node.args.args]
    return names[1:] == ["scope", "receive", "send"] or names[1:] == ["environ", "start_response"]


def _argument(call: ast.Call, position: int, *names: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg in names:
            return keyword.value
    return call.args[position] if len(call.args) > position else None


def _constant(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _prefix(app: AppObject) -> str:
    return _constant(_argument(app.call, 99, "prefix", "url_prefix"))


def _methods(call: ast.Call, verb: str) -> tuple[str, ...]:
    if verb in VERBS:
        return (verb.upper(),)
    if "websocket" in verb:
        return ("WEBSOCKET",)
    given = _argument(call, 99, "methods")
    if isinstance(given, ast.List | ast.Tuple | ast.Set):
        return tuple(str(item.value).upper() for item in given.elts if isinstance(item, ast.Constant))
    return ("GET",)

"""What runs before a handler: its dependencies and decorators, and checks that it does not name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.parts import Function, Route
from swarm.analysis.routes.finding import DEPENDS
from swarm.analysis.routes.route_paths import exact_app
from swarm.analysis.source import Module
from swarm.rules.security.guards.hooks import all_hooks, hooks_of, is_of_one_blueprint, is_put_in


def before_handler(index: Index, route: Route) -> frozenset[Function]:
    """All of it; hooks where they check a signature."""
    found = set(_dependencies(index, route.function))
    for one in _runs_before(index, route):
        reached = index.reaches(one)
        if any(verifies(index, function) for function in reached):
            found |= reached
    return frozenset(found)


def verifies(index: Index, function: Function) -> bool:
    """Whether a function checks a signature itself."""
    for call in index.calls(function):
        name = index.resolve(function.module, call.func) or unparsed(call.func)
        if name in ("hmac.new", "hmac.digest", "hmac.compare_digest") or name.endswith(
            ("construct_event", "Webhook.verify")
        ):
            return True
    return False


def _dependencies(index: Index, function: Function) -> frozenset[Function]:
    """Functions that FastAPI runs before the handler, and decorators of the target's own."""
    found: set[Function] = set()
    for one in index.mentions(function):
        found |= index.reaches(one)
    for decorator in index.decorators(function):
        for named in _functions_named(index, function.module, decorator):
            found |= index.reaches(named)
            for inner in ast.walk(named.node):
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    found |= index.reaches(index.function_of(inner))
    return frozenset(found)


def _functions_named(index: Index, module: Module, expression: ast.expr) -> Iterator[Function]:
    """Functions of the target's own in an expression, or that made what it names: `verified = by(KEY)`."""
    for node in ast.walk(expression):
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        named = index.named_function(module, node)
        if named is not None:
            yield named
            continue
        dotted = index.resolve(module, node)
        home, name = index.tree.split(dotted, module) if dotted else (None, "")
        made = getattr(home.globals.get(name), "value", None) if home is not None else None
        maker = index.named_function(home, made.func) if home is not None and isinstance(made, ast.Call) else None
        if maker is not None:
            yield maker


def _runs_before(index: Index, route: Route) -> Iterator[Function]:
    """The functions themselves."""
    for app in index.apps:
        if app.is_app or app is route.owner:
            yield from _depended_on(index, app.module, app.call)
    for module, call in index.calls_named("include_router"):
        if route.owner is not None and call.args and exact_app(index, module, call.args[0]) is route.owner:
            yield from _depended_on(index, module, call)
    yield from hooks_of(index, route)
    for hook in all_hooks(index):
        if not is_of_one_blueprint(index, hook) and is_put_in(index, hook) and not _is_handler(index, hook):
            yield hook


def _depended_on(index: Index, module: Module, call: ast.Call) -> Iterator[Function]:
    """The functions of `dependencies=[Depends(check)]`."""
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "dependencies"), None)
    for node in walk(given) if given is not None else ():
        if isinstance(node, ast.Call) and node.args and (index.resolve(module, node.func) or "") in DEPENDS:
            named = index.named_function(module, node.args[0])
            if named is not None:
                yield named


def _is_handler(index: Index, function: Function) -> bool:
    return any(route.function is function for route in index.routes)

"""What runs before a route without its handler's naming it: hooks of its blueprint, middlewares that are put in."""

from __future__ import annotations

import ast
from collections.abc import Set
from typing import cast

from swarm.analysis.index import Function, Index, Route
from swarm.analysis.layout import unparsed
from swarm.analysis.routes.finding import find_dependencies, find_hooks

_BEFORE = frozenset({"before_request"})


def all_hooks(index: Index) -> list[Function]:
    """All of them, looked for once."""
    if "hooks" not in index.notes:
        index.notes["hooks"] = list(dict.fromkeys(find_hooks(index)))
    return cast("list[Function]", index.notes["hooks"])


def dependencies(index: Index) -> Set[Function]:
    """What handlers depend on by `Depends`, looked for once."""
    if "dependencies" not in index.notes:
        index.notes["dependencies"] = frozenset(find_dependencies(index))
    return cast("Set[Function]", index.notes["dependencies"])


def is_of_one_blueprint(index: Index, hook: Function) -> bool:
    """Whether a hook runs for the routes of some blueprints alone: `@orders.before_request`."""
    owners = _owners_of_hook(index, hook)
    return bool(owners) and all(is_blueprint for _, is_blueprint in owners)


def hooks_of(index: Index, route: Route) -> list[Function]:
    """The hooks of the route's own blueprint. One whose blueprint the code does not show has those of all."""
    of_blueprints = _of_blueprints(index)
    if not of_blueprints:
        return []
    registered = _owners_of_route(index, route)
    return [hook for hook in of_blueprints
            if not registered or registered & {owner for owner, _ in _owners_of_hook(index, hook)}]  # fmt: skip


def _of_blueprints(index: Index) -> list[Function]:
    if "hooks of blueprints" not in index.notes:
        index.notes["hooks of blueprints"] = [one for one in all_hooks(index) if is_of_one_blueprint(index, one)]
    return cast("list[Function]", index.notes["hooks of blueprints"])


def is_put_in(index: Index, hook: Function) -> bool:
    """Whether a middleware that is a class is named by something beside itself: one that nobody adds runs never."""
    if hook.class_name is None:
        return True
    node = hook.module.parent(hook.node)
    info = next((one for one in index.classes.values() if one.node is node), None)
    if info is None:
        return True
    for module in index.tree.modules.values():
        if info.node.name not in module.text:
            continue
        for name in module.nodes(ast.Name):
            if isinstance(name.ctx, ast.Load) and name.id in (info.node.name, *module.imports) \
                    and index.resolve(module, name) == info.dotted:  # fmt: skip
                return True
        if any(index.resolve(module, one) == info.dotted for one in module.nodes(ast.Attribute)
               if one.attr == info.node.name):  # fmt: skip
            return True
    return False


def _owners_of_hook(index: Index, hook: Function) -> list[tuple[str, bool]]:
    """What a hook is put on, and whether that is a blueprint: decorators, and `orders.before_request(check)`."""
    found: list[tuple[str, bool]] = []
    places = [(hook.module, d) for d in hook.node.decorator_list]
    for name in _BEFORE:
        for module, call in index.calls_named(name):
            if call.args and index.named_function(module, call.args[0]) is hook:
                places.append((module, call.func))
    blueprints = {f"{app.module.dotted}.{app.name}" for app in index.apps if not app.is_app}
    for module, named in places:
        if isinstance(named, ast.Attribute) and named.attr in _BEFORE:
            owner = index.resolve(module, named.value) or ""
            found.append((owner or unparsed(named.value), owner in blueprints))
    return found


def _owners_of_route(index: Index, route: Route) -> set[str]:
    """What the route's decorators, and `add_url_rule`, put it on."""
    function = route.function
    owners = set()
    for decorator in function.node.decorator_list:
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(named, ast.Attribute):
            owners.add(index.resolve(function.module, named.value) or unparsed(named.value))
    return owners

"""What judges a signature, and what runs for a route: its handler, dependencies, decorators, hooks."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set
from typing import cast

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index, Route
from swarm.analysis.module import walk
from swarm.analysis.routes.finding import DEPENDS
from swarm.analysis.source import Module, parameters
from swarm.rules.security.guards.hooks import hooks_of
from swarm.rules.security.guards.idle_proofs import is_hollow
from swarm.rules.security.signatures.digests import is_signature

COMPARING = ("hmac.compare_digest", "secrets.compare_digest", "_operator._compare_digest")
# of libraries of senders; `validate(url, form, signature)` is Twilio's
_JUDGES = frozenset({"construct_event", "verify_and_parse", "is_valid_request", "is_valid", "verify_header"})
_JUDGES_OF = {"verify": 2, "verify_signature": 2, "validate": 3, "is_valid_signature": 2}


def checks_signature(index: Index, route: Route) -> bool:
    """Whether the handler, or something that it runs, compares a signature."""
    return any(compares_signature(index, function) for function in proofs_of(index, route))


def proofs_of(index: Index, route: Route) -> list[Function]:
    """What runs for a route: the handler, all that it runs or names, and what its registration puts before it."""
    several = ways_of(index, route.function)
    for before in (*hooks_of(index, route), *_called_objects(index, route.function)):
        several += ways_of(index, before)
    for module, call in registrations(index, route.function):
        for inner in (
            part for keyword in call.keywords for part in walk(keyword.value) if isinstance(part, ast.Call)
        ):
            named = index.named_function(module, inner.args[0]) if inner.args else None
            several += ways_of(index, named) if named is not None else []
    return several


def _called_objects(index: Index, handler: Function) -> Iterator[Function]:
    """`__call__` of objects of the service's own classes that the handler depends on: `Depends(Signed("KEY"))`."""
    arguments = handler.node.args
    places = [*arguments.defaults, *arguments.kw_defaults, *(a.annotation for a in parameters(handler.node))]
    for call in (part for place in places if place is not None for part in walk(place) if isinstance(part, ast.Call)):
        if call.args and (index.resolve(handler.module, call.func) or "") in DEPENDS:
            made = index.classes.get(index.kinds.of(handler.module, call.args[0]) or "")
            if made is not None and "__call__" in made.methods:
                yield made.methods["__call__"]


def registrations(index: Index, handler: Function) -> Iterator[tuple[Module, ast.Call]]:
    """Calls that give a handler its route, with what is asked before it: `app.add_api_route(path, handler, …)`."""
    for module, call in index.calls_named("add_api_route"):
        given = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "endpoint")]
        if any(index.named_function(module, one) is handler for one in given):
            yield module, call


def ways_of(index: Index, handler: Function) -> list[Function]:
    """The handler and every function that it runs or names: helpers, dependencies, decorators."""
    seen, todo = {handler: None}, [handler]
    while todo:
        for used in index.mentions(todo.pop()):
            if used not in seen and not is_added(used.module):  # what a mend brought asks nobody who he is
                seen[used] = None
                todo.append(used)
    return list(seen)


def compares_signature(index: Index, function: Function) -> bool:
    """Whether the function itself judges a signature."""
    known = index.notes.setdefault("compares-signature", {})
    answers = cast("dict[Function, bool]", known)
    if function not in answers:
        answers[function] = any(
            judges(index, function.module, node) for node in index.own_of(function, ast.Compare, ast.Call)
        )
    return answers[function]


def judges(index: Index, module: Module, node: ast.AST) -> bool:
    """Whether an expression compares a signature, or has a library check one."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):
            return False  # a length, a prefix, whether there is one
        return any(is_signature(index, module, side) for side in sides)
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if module.resolve(node.func) in COMPARING:
            return True
        given = len(node.args) + len(node.keywords)
        if not given or (name not in _JUDGES and given < _JUDGES_OF.get(name, 99)):
            return False
        called = index.resolve_call(module, node)
        return called is None or not is_hollow(index, called)
    return False


def judging(index: Index) -> Set[Function]:
    """The functions that judge a signature, and those that run or name one that does, over others as well."""
    if "judging" not in index.notes:
        users: dict[Function, list[Function]] = {}
        for function in index.functions:
            for used in index.mentions(function):
                users.setdefault(used, []).append(function)
        found = {function: None for function in index.functions if compares_signature(index, function)}
        todo = list(found)
        while todo:
            current = todo.pop()
            if is_added(current.module):
                continue  # what a mend brought asks nobody who he is
            for user in users.get(current, ()):
                if user not in found:
                    found[user] = None
                    todo.append(user)
        index.notes["judging"] = found.keys()
    return cast("Set[Function]", index.notes["judging"])

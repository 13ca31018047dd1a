"""Checks of signatures that a service has and no route runs: own functions, and verifiers of senders' libraries."""

from __future__ import annotations

import ast
import re

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index, Route
from swarm.analysis.source import Module
from swarm.rules.security.guards.hooks import all_hooks, is_of_one_blueprint, is_put_in
from swarm.rules.security.guards.judging import compares_signature, proofs_of, ways_of

# classes that check what senders sign, by where they are imported from
_VERIFIERS = frozenset({
    "slack_sdk.signature.SignatureVerifier", "twilio.request_validator.RequestValidator", "svix.webhooks.Webhook",
    "svix.Webhook", "standardwebhooks.Webhook", "standardwebhooks.webhooks.Webhook", "nacl.signing.VerifyKey",
    "sendgrid.helpers.eventwebhook.EventWebhook", "hubspot.utils.signature.Signature",
})  # fmt: skip
_ASKS = re.compile(
    r"verif|authenti|authori|valid|genuine|trusted|signed|log_?in|compare_digest|construct_event|permission"
    r"|current_user|require", re.IGNORECASE,
)  # fmt: skip
_MAKES_TOKENS = re.compile(r"token|session|cookie|login|password|unsubscribe|link|otp|csrf|state", re.IGNORECASE)


def idle_check(index: Index, route: Route) -> str:
    """What could check the route's sender and is run by nothing: `Mailgun.genuine`, `svix.webhooks.Webhook`; "" for
    none, and for a route that asks somebody else."""
    ways = [*proofs_of(index, route), *_before_all(index)]
    if any(compares_signature(index, one) or _asks(index, one) for one in ways):
        return ""
    near = {one.module for one in ways} | {route.module}
    own = next((one for one in _idle(index) if _is_near(one, near)), None)
    if own is not None:
        return own.qualname
    for module in near:
        for name, origin in module.imports.items():
            if origin in _VERIFIERS and _is_unused(module, name):
                return name
    return ""


def dropped_check(index: Index, route: Route) -> str:
    """The check whose verdict nobody looks at, where it is the only one: `is_signed(body, header)` on a line of its
    own; "" where somebody asks."""
    ways = proofs_of(index, route)
    judges = {one for one in ways if compares_signature(index, one)}
    dropped: set[Function | None] = set()
    asked: set[Function | None] = set()
    for one in ways:
        for call in index.calls(one):
            target = index.resolve_call(one.module, call)
            if target in judges:
                around = one.module.parent(call)
                around = one.module.parent(around) if isinstance(around, ast.Await) else around
                (dropped if isinstance(around, ast.Expr) else asked).add(target)
    only = [one for one in dropped - asked if one is not None and _gives_verdict(index, one)]
    return only[0].qualname if only and judges <= set(only) else ""


def _gives_verdict(index: Index, judge: Function) -> bool:
    """Whether it says yes or no and does nothing about it."""
    if any(isinstance(node, ast.Raise) for node in index.own_of(judge, ast.Raise)) or "abort(" in (
        judge.module.segment(judge.node)
    ):
        return False
    given = [node.value for node in index.own_of(judge, ast.Return) if node.value is not None]
    verdicts = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Call)
    return bool(given) and all(
        isinstance(value, verdicts) or (isinstance(value, ast.Constant) and isinstance(value.value, bool))
        for value in given
    )


def _before_all(index: Index) -> list[Function]:
    """What runs before every route."""
    known = index.notes.get("before-all")
    if not isinstance(known, list):
        hooks = [hook for hook in all_hooks(index)
                 if not is_of_one_blueprint(index, hook) and is_put_in(index, hook)]  # fmt: skip
        served = {route.function for route in index.routes}
        known = [one for hook in hooks if hook not in served for one in ways_of(index, hook)]
        index.notes["before-all"] = known
    return known


def _is_near(judge: Function, near: set[Module]) -> bool:
    """Whether it stands where the route does, or in a module that is imported there."""
    if judge.module in near:
        return True
    return any(
        origin == judge.module.dotted or origin.startswith(judge.module.dotted + ".")
        for module in near for origin in module.imports.values()
    )  # fmt: skip


def _idle(index: Index) -> list[Function]:
    """Functions that judge a signature and that no route comes to, nor anything else names."""
    known = index.notes.get("idle-checks")
    if isinstance(known, list):
        return known
    run: set[Function] = {one for route in index.routes for one in proofs_of(index, route)}
    own = [module for module in index.tree.modules.values() if not is_added(module)]
    idle = [
        one for one in index.functions
        if one not in run and not is_added(one.module) and not _is_of_tests(one) and compares_signature(index, one)
        and not _MAKES_TOKENS.search(one.qualname) and sum(_times(module, _name_of(one)) for module in own) == 1
    ]  # fmt: skip
    index.notes["idle-checks"] = idle
    return idle


def _name_of(judge: Function) -> str:
    """By what others would use it: the class of a middleware, the decorator around a view's wrapper, itself."""
    outer = judge.module.enclosing_function(judge.node)
    if outer is not None:
        return outer.name
    return judge.class_name or "" if judge.name in ("dispatch", "__call__", "__init__") else judge.name


def _is_of_tests(function: Function) -> bool:
    return re.search(r"(^|/)(tests?|conftest|scripts?|examples?)([/_.]|$)", function.module.path) is not None


def _asks(index: Index, function: Function) -> bool:
    for call in index.calls(function):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if _ASKS.search(name):
            return True
    return False


def _is_unused(module: Module, name: str) -> bool:
    """Whether a verifier is imported and asked nothing: at most an object is made by it, which nothing names."""
    objects = [target for target, statement in module.globals.items()
               if isinstance(getattr(statement, "value", None), ast.Call)
               and re.search(rf"\b{name}\(", module.segment(statement))]  # fmt: skip
    return _times(module, name) == len(objects) and all(_times(module, one) == 1 for one in objects)


def _times(module: Module, name: str) -> int:
    """How often a module's text names it, imports left out."""
    imported = sum(
        name in (alias.asname, alias.name) for node in module.nodes(ast.ImportFrom) for alias in node.names
    )
    return len(re.findall(rf"\b{re.escape(name)}\b", module.text)) - imported

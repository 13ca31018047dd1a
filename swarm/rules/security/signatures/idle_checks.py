"""Checks of signatures that a service has and no route runs: own functions, and verifiers of senders' libraries."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index, Route
from swarm.analysis.module import walk
from swarm.analysis.source import Module
from swarm.rules.facts.logging_calls import is_log_call, is_print
from swarm.rules.security.guards.hooks import all_hooks, is_of_one_blueprint, is_put_in
from swarm.rules.security.guards.idle_proofs import is_hollow, makes_proof
from swarm.rules.security.guards.judging import COMPARING, compares_signature, judges, proofs_of, ways_of

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
_OF_MODELS = re.compile(
    r"^(model_)?validate(_json|_python|_strings)?$|^validate_(json|python)$|^parse_", re.IGNORECASE
)
_MAKES_TOKENS = re.compile(r"token|session|cookie|login|password|unsubscribe|link|otp|csrf|state", re.IGNORECASE)


def idle_check(index: Index, route: Route) -> str:
    """What could check the route's sender and is run by nothing: `Mailgun.genuine`, `svix.webhooks.Webhook`; "" for
    none, and for a route that asks somebody else."""
    ways = [*proofs_of(index, route), *before_all(index)]
    if any(compares_signature(index, one) or _asks(index, one) for one in ways):
        return ""
    near = {one.module for one in ways} | {route.module}
    own = next((one for one in _idle(index) if _is_near(one, near)), None)
    if own is not None:
        return own.qualname
    for module in near:
        for name, origin in module.imports.items():
            if origin in _VERIFIERS and _is_unused(index, module, name):
                return name
    return ""


def dropped_check(index: Index, route: Route) -> str:
    """The check whose verdict nobody heeds, where nothing else asks: `is_signed(body, header)` on a line of its own,
    a verdict that is only logged; "" where somebody asks."""
    known = cast("dict[Function, _Heed]", index.notes.setdefault("heeded verdicts", {}))
    found: list[_Heed] = []
    for function in proofs_of(index, route):
        if function not in known:
            known[function] = _heed(index, function)
        found.append(known[function])
    if any(one.heeded for one in found):
        return ""
    return next((one.uncalled for one in found if one.uncalled), "") or next(
        (one.dropped for one in found if one.dropped), ""
    )


@dataclass(frozen=True, slots=True)
class _Heed:
    """What a function makes of checks: one that it names and does not call, one whose verdict it drops, and whether
    it heeds any."""

    uncalled: str
    dropped: str
    heeded: bool


def _heed(index: Index, function: Function) -> _Heed:
    uncalled, dropped = _uncalled(index, function), ""
    for node, name in _verdicts(index, function):
        if not _is_dropped(index, function, node):
            return _Heed(uncalled, dropped, heeded=True)
        dropped = dropped or name
    return _Heed(uncalled, dropped, any(_raises_itself(index, function, call) for call in index.calls(function)))


def _uncalled(index: Index, function: Function) -> str:
    """The check that a function names and does not call: `valid = self.valid` is always true; "" for none."""
    module = function.module
    for assign in index.own_of(function, ast.Assign):
        if not isinstance(assign.value, ast.Attribute | ast.Name) or not isinstance(assign.targets[0], ast.Name):
            continue
        judge = index.named_function(module, assign.value)
        if judge is None or not compares_signature(index, judge) or not _gives_verdict(index, judge):
            continue
        name = assign.targets[0].id
        loads = [one for one in walk(function.node)
                 if isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Load)]  # fmt: skip
        if loads and all(isinstance(module.parent(one), ast.UnaryOp | ast.BoolOp | ast.If) for one in loads):
            return f"{judge.qualname}, which is not called,"
    return ""


def _verdicts(index: Index, function: Function) -> Iterator[tuple[ast.expr, str]]:
    """Expressions of a function that say whether a signature is good, and what they are called; what a function gives
    back is heeded or dropped where it is called."""
    module = function.module
    for node in index.own_of(function, ast.Call, ast.Compare):
        name = "the comparison"
        if isinstance(node, ast.Call):
            called = index.resolve_call(module, node)
            if called is not None:
                if not compares_signature(index, called) or not _gives_verdict(index, called):
                    continue
                name = called.qualname
            elif _gives_verdict_of_library(module, node):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            else:
                continue
        elif not judges(index, module, node):
            continue
        if not _is_given_back(module, node):
            yield node, name


def _gives_verdict_of_library(module: Module, call: ast.Call) -> bool:
    """Whether a library's check says yes or no, and raises nothing."""
    if module.resolve(call.func) in COMPARING:
        return True
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name == "validate":
        return len(call.args) + len(call.keywords) == 3 and "twilio.request_validator.RequestValidator" in (
            module.imports.values()
        )
    return name in ("is_valid_request", "is_valid_signature") and bool(call.args or call.keywords)


def _raises_itself(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether a library's check raises where a signature is wrong: nobody has to heed it."""
    if index.resolve_call(function.module, call) is not None or _gives_verdict_of_library(function.module, call):
        return False
    return judges(index, function.module, call)


def _is_given_back(module: Module, node: ast.AST) -> bool:
    around = next((one for one in module.ancestors(node) if isinstance(one, ast.stmt)), None)
    return isinstance(around, ast.Return | ast.Lambda)


def _is_dropped(index: Index, function: Function, node: ast.AST, depth: int = 0) -> bool:
    """Whether a verdict ends in nothing: a line of its own, a name that nobody asks, a log, an `if` that logs."""
    module = function.module
    around = module.parent(node)
    while isinstance(around, ast.Await | ast.UnaryOp | ast.BoolOp | ast.FormattedValue | ast.JoinedStr):
        node, around = around, module.parent(around)
    if isinstance(around, ast.Expr):
        return True
    if isinstance(around, ast.Assign) and len(around.targets) == 1 and isinstance(around.targets[0], ast.Name):
        name = around.targets[0].id
        loads = [one for one in walk(function.node)
                 if isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Load)]  # fmt: skip
        return depth < 3 and all(_is_dropped(index, function, one, depth + 1) for one in loads)
    if isinstance(around, ast.If) and around.test is node:
        return all(_only_tells(module, one) for one in (*around.body, *around.orelse))
    if isinstance(around, ast.keyword | ast.Call):
        call = module.parent(around) if isinstance(around, ast.keyword) else around
        return call is not None and (is_log_call(module, call) or is_print(module, call))
    return False


def _only_tells(module: Module, statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    return isinstance(statement, ast.Expr) and (
        is_log_call(module, statement.value) or is_print(module, statement.value)
    )


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


def before_all(index: Index) -> list[Function]:
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
        if (
            not _ASKS.search(name)
            or _OF_MODELS.search(name)
            or index.resolve(function.module, call.func) in _VERIFIERS
        ):
            continue
        called = index.resolve_call(function.module, call)
        if called is None or not (is_hollow(index, called) or makes_proof(index, called)):
            return True
    return False


def _is_unused(index: Index, module: Module, name: str) -> bool:
    """Whether a verifier is imported and asked nothing: at most an object is made by it, which nothing names."""
    objects = [
        target.id if isinstance(target, ast.Name) else target.attr
        for assign in module.nodes(ast.Assign) for target in assign.targets
        if isinstance(target, ast.Name | ast.Attribute) and re.search(rf"\b{name}\(", module.segment(assign.value))
    ]  # fmt: skip
    if _times(module, name) != len(objects) or any(_times(module, one) != 1 for one in objects):
        return False
    origins = {f"{module.dotted}.{one}" for one in objects}
    return not any(origins & set(other.imports.values()) for other in index.tree.modules.values())


def _times(module: Module, name: str) -> int:
    """How often a module's text names it, imports and comments left out."""
    imported = sum(
        name in (alias.asname, alias.name) for node in module.nodes(ast.ImportFrom) for alias in node.names
    )
    word = re.compile(rf"\b{re.escape(name)}\b")
    if name not in module.text:
        return 0
    # what was commented out runs nothing
    return sum(len(word.findall(line)) for line in module.lines if not line.lstrip().startswith("#")) - imported

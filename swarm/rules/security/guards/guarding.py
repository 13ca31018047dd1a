"""Whether anything asks who a request comes from: signatures, tokens, logins, by whatever way they stand before a
route. In doubt a route counts as guarded: a rule that calls a closed door open is believed no more."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import cast

from swarm.analysis.index import ClassInfo, Function, Index, Route
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.routes.finding import DEPENDS, HOOKS, ROUTING, VIEW_BASES
from swarm.analysis.source import Module, parameters
from swarm.rules.security.guards.hooks import all_hooks, hooks_of, is_of_one_blueprint, is_put_in
from swarm.rules.security.guards.idle_proofs import is_hollow, is_idle, is_idle_name, is_outward, makes_proof
from swarm.rules.security.guards.judging import compares_signature, registrations, ways_of
from swarm.rules.writing.placing import GUARDS

# what asks for a proof goes by such a name, and so does what the proof is read from
_ASKING = re.compile(
    r"verif|authenti|authori[sz]|(^|_)auth(_|$|[A-Z])|Auth(?!or)|signature|signed|hmac|log_?in|current_user|permission"
    r"|permit|api_?key|require_(user|admin|token|key|role|scope)|(token|admin|scope|role|user)s?_required|is_admin"
    r"|is_staff|jwt|oauth|credential|forbid|guard|protect|secur|entra|allow(ed|list)|whitelist|trusted"
    r"|ip_?(address|filter|check)|check_(token|key|secret|sig|ip|access|hook|webhook|request|sender)"
    r"|valid(ate)?_(token|key|secret|sig|webhook|request|sender|hook)|(validate|check)_(stripe|github|slack|ghl)",
    re.IGNORECASE,
)
_PROOF = re.compile(
    r"authori[sz]ation|api[-_]?key|token|signature|secret|(^|[-_])(sig|sign|hmac|auth|key|password|passcode|pin)$"
    r"|credential|(^|[-_])hmac|svix|twilio|cookie",
    re.IGNORECASE,
)
_LOGGED_IN = re.compile(r"user|staff|admin|member|account|login|logged|role|uid|email|auth|owner", re.IGNORECASE)
_PEOPLE = re.compile(r"Admin|User|Staff|Member|Private|Owner")
_DECORATED = re.compile(r"\b(method_)?decorators\s*[:=]|permission_classes|authentication_classes")
_READ_FROM = frozenset({"headers", "cookies", "META", "query_params", "args", "session", "authorization", "auth"})
# what a framework runs before each method of a view
_BEFORE_EACH = ("__init__", "__init_subclass__", "__call__", "dispatch_request", "dispatch", "prepare")
_CHECKERS = ("slack_bolt.",)
_HARMLESS = re.compile(
    r"limit|cach|exempt|doc|swag|respon|cross_origin|cors|trac|observ|retry|inject|time|metric|log|wraps|expect"
    r"|marshal|async|sync|contextmanager|csrf|header|deprecat|produces|consumes|measure|count|json|nocache|template",
    re.IGNORECASE,
)


def is_guarded(index: Index, route: Route) -> bool:
    """Whether something asks for a proof before the route does its work, or may do so."""
    if _whole_service_is_guarded(index) or _is_in_path(route):
        return True
    if any(_router_asks(index, module) for module in (route.module, route.function.module)):
        return True
    if _decorators_ask(index, route.function) or _dependencies_ask(index, route.function):
        return True
    if route.function.class_name is not None and _class_asks(index, route.function):
        return True
    if any(_keyword_asks(index, module, call) for module, call in registrations(index, route.function)):
        return True
    ways = [*ways_of(index, route.function), *(f for hook in hooks_of(index, route) for f in ways_of(index, hook))]
    return any(asks_for_proof(index, function) or _hands_to_checker(index, function) for function in ways)


def _hands_to_checker(index: Index, function: Function) -> bool:
    """Whether requests are handed to an object of a library that checks its senders' signatures by itself."""
    for node in index.own_of(function, ast.Name):
        if isinstance(node.ctx, ast.Load):
            made = getattr(function.module.globals.get(node.id), "value", None)
            if isinstance(made, ast.Call) and (index.resolve(function.module, made.func) or "").startswith(_CHECKERS):
                return True
    return False


def asks_for_proof(index: Index, function: Function) -> bool:
    """Whether the function itself asks: by what it is called, calls, compares, or reads from the request."""
    known = cast("dict[Function, bool]", index.notes.setdefault("asks-for-proof", {}))
    if function not in known:
        known[function] = _asks(index, function)
    return known[function]


def _asks(index: Index, function: Function) -> bool:
    is_named_so = _ASKING.search(function.name) is not None and not _is_route(index, function)
    if is_named_so and not makes_proof(index, function) and not is_hollow(index, function):
        return True
    if any(
        _PROOF.search(a.arg.replace("_", "-")) and _is_filled(index, function, a)
        and not is_idle_name(index, function, a.arg)
        for a in _filled(function)
    ):  # fmt: skip
        return True
    if compares_signature(index, function):
        return True
    for node in index.own_nodes(function):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if _ASKING.search(name) and _may_be_asked(index, function, node):
                return True
            reads = name in ("get", "getlist") and _reads_proof(node.func, node.args)
            if reads and not _is_shown_only(index, function, node):
                return True
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_place(node.value):
            if _is_proof(node.value, node.slice) and not _is_shown_only(index, function, node):
                return True
        elif isinstance(node, ast.Attribute) and (
            node.attr in ("authorization", "remote_addr")
            or (node.attr == "client" and function.module.segment(node.value).endswith("request"))
        ):
            return True  # who it is, or from where: something is made of it
        elif isinstance(node, ast.Name) and node.id == "current_user":
            return True
    return False


def _may_be_asked(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether a call that is named like a check may be one: it makes no proof of the service's own, and looks at what
    it is handed."""
    if isinstance(function.module.parent(call), ast.Raise):
        return False  # `raise PermissionError()`
    called = index.resolve_call(function.module, call)
    if called is None:
        return not is_outward(index, function, call)
    return not makes_proof(index, called) and not is_hollow(index, called)


def _is_shown_only(index: Index, function: Function, read: ast.Call | ast.Subscript) -> bool:
    """Whether a header is read, logged and asked whether it is there, and compared with nothing. What stands in a
    session or a cookie was given by the service: that it is there says something."""
    owner = read.value if isinstance(read, ast.Subscript) else getattr(read.func, "value", None)
    is_session = owner is not None and re.search(r"session|cookie|auth\b", unparsed(owner)) is not None
    return not is_session and is_idle(index, function, read)


def _is_route(index: Index, function: Function) -> bool:
    return any(route.function is function for route in index.routes)


def _reads_proof(func: ast.expr, arguments: Sequence[ast.expr]) -> bool:
    if not isinstance(func, ast.Attribute) or not _is_place(func.value) or not arguments:
        return False
    return _is_proof(func.value, arguments[0])


def _is_place(node: ast.expr) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr in _READ_FROM) or (
        isinstance(node, ast.Name) and node.id in _READ_FROM
    )


def _is_proof(place: ast.expr, key: ast.expr) -> bool:
    """A header of that name; one that the code names elsewhere is taken for it. A login stands in a session."""
    if isinstance(key, ast.Constant):
        is_login = unparsed(place).endswith("session") and _LOGGED_IN.search(str(key.value)) is not None
        return isinstance(key.value, str) and (is_login or _PROOF.search(key.value) is not None)
    return isinstance(place, ast.Attribute) and place.attr in ("headers", "cookies", "META")


def _filled(function: Function) -> list[ast.arg]:
    return [argument for argument in parameters(function.node) if argument.arg not in ("self", "cls")]


def _is_filled(index: Index, function: Function, argument: ast.arg) -> bool:
    """Whether a framework fills the parameter from the request: `x_api_key: str = Header()`."""
    note = unparsed(argument.annotation) if argument.annotation is not None else ""
    default = _default_of(function, argument)
    text = note + " " + (unparsed(default) if default is not None else "")
    return re.search(r"\b(Header|Cookie|Query|Security)\b", text) is not None or (
        _is_route(index, function) and note in ("str", "str | None", "Optional[str]")
    )


def _default_of(function: Function, argument: ast.arg) -> ast.expr | None:
    arguments = function.node.args
    several = [*arguments.posonlyargs, *arguments.args]
    pairs = dict(zip([a.arg for a in reversed(several)], reversed(arguments.defaults), strict=False))
    found = pairs.get(argument.arg)
    for name, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if name.arg == argument.arg:
            found = default
    return found


def _dependencies_ask(index: Index, function: Function) -> bool:
    """`Depends(…)` of what is not the target's own may ask for anything, and so may `Security(…)`."""
    places: list[ast.AST] = [d for d in [*function.node.args.defaults, *function.node.args.kw_defaults] if d]
    places += [a.annotation for a in parameters(function.node) if a.annotation is not None]
    for place in places:
        if isinstance(place, ast.Name) and _asks_by_name(index, function.module, place):
            return True
        if _some_asks(index, function.module, place):
            return True
    return False


def _some_asks(index: Index, module: Module, place: ast.AST) -> bool:
    calls = [node for node in walk(place) if isinstance(node, ast.Call)]
    depends = [call for call in calls if (index.resolve(module, call.func) or "") in DEPENDS]
    return any(_may_ask(index, module, call) for call in depends)


def _asks_by_name(index: Index, module: Module, note: ast.Name) -> bool:
    """`user: CurrentUser`, an alias of `Annotated[User, Depends(…)]`."""
    home, name = index.tree.split(index.resolve(module, note) or "", module)
    value = getattr(home.globals.get(name), "value", None) if home is not None else None
    return home is not None and value is not None and _some_asks(index, home, value)


def _class_asks(index: Index, handler: Function) -> bool:
    """Views of a class: what the class, or one that it is built on, asks for stands before each of its methods."""
    node = handler.module.parent(handler.node)
    info = next((one for one in index.classes.values() if one.node is node), None)
    todo, seen = [info], set()
    while todo:
        current = todo.pop()
        if current is None or current.dotted in seen:
            continue
        seen.add(current.dotted)
        is_base = current is not info  # `class Users(AdminView)`
        is_named_so = _ASKING.search(current.node.name) or (is_base and _PEOPLE.search(current.node.name))
        if is_named_so and not _is_asked_by_hand(index, current):
            return True
        plain = [part for part in current.node.body if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
        several: list[ast.AST] = [*plain, *current.node.decorator_list]
        if any(
            _some_asks(index, current.module, part) or _DECORATED.search(current.module.segment(part))
            for part in several
        ):
            return True
        asked = [method for name, method in current.methods.items() if name in _BEFORE_EACH]
        if any(_dependencies_ask(index, one) or asks_for_proof(index, one) for one in asked):
            return True
        for base in current.node.bases:
            dotted = index.resolve(current.module, base) or ""
            if dotted not in index.classes and dotted.rsplit(".", 1)[-1] not in (
                *VIEW_BASES,
                "object",
                "ABC",
                "Generic",
            ):
                return True  # a library's, which may ask for anything
            todo.append(index.classes.get(dotted))
    return False


def _is_asked_by_hand(index: Index, info: ClassInfo) -> bool:
    """Whether a class hands its views a check that each has to call: its name says nothing of one that doesn't."""
    checks = [
        method for name, method in info.methods.items() if name not in _BEFORE_EACH and asks_for_proof(index, method)
    ]
    return any(caller.class_name is not None for check in checks for caller in index.callers(check))


def _may_ask(index: Index, module: Module, depends: ast.Call) -> bool:
    if unparsed(depends.func).endswith("Security"):
        return True
    if not depends.args:
        return False
    given = depends.args[0]
    named = index.named_function(module, given)
    if named is not None:
        return any(asks_for_proof(index, function) for function in ways_of(index, named))
    if (index.resolve(module, given) or "") in index.classes:
        return _ASKING.search(unparsed(given)) is not None
    made = index.classes.get(index.kinds.of(module, given) or "")
    called = made.methods.get("__call__") if made is not None else None
    if called is not None:  # an object of the service's own
        return any(asks_for_proof(index, function) for function in ways_of(index, called))
    return True  # a library's


def _decorators_ask(index: Index, function: Function) -> bool:
    for decorator in function.node.decorator_list:
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        last = named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", "")
        if last in ROUTING or last in HOOKS:
            if isinstance(decorator, ast.Call) and _keyword_asks(index, function.module, decorator):
                return True
            continue
        is_known = index.named_function(function.module, named) is not None or _HARMLESS.search(unparsed(named))
        if _ASKING.search(last) or not is_known:
            return True
    return False


def _keyword_asks(index: Index, module: Module, call: ast.Call) -> bool:
    """`dependencies=[…]` of a route, a router or an application."""
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "dependencies"), None)
    if given is None:
        return False
    found = [node for node in walk(given) if isinstance(node, ast.Call)]
    depends = [call for call in found if (index.resolve(module, call.func) or "") in DEPENDS]
    return not depends or any(_may_ask(index, module, one) for one in depends)


def _router_asks(index: Index, module: Module) -> bool:
    return any(
        app.module is module and not app.is_app and _keyword_asks(index, module, app.call) for app in index.apps
    )


def _whole_service_is_guarded(index: Index) -> bool:
    known = index.notes.get("whole-service-guarded")
    if not isinstance(known, bool):
        known = index.notes["whole-service-guarded"] = any(_whole(index))
    return known


def _whole(index: Index) -> Iterator[bool]:
    """What stands before every route: dependencies of the application, hooks, middlewares."""
    for module in index.tree.modules.values():
        if GUARDS & module.globals.keys():
            continue
        for name in ("include_router", "FastAPI", "mount"):
            for where, call in index.calls_named(name):
                if where is module:
                    yield _keyword_asks(index, module, call)
        for name in ("add_middleware", "Middleware"):
            for where, call in index.calls_named(name):
                if where is module and call.args:
                    yield (
                        re.search(r"auth(?!or)|signature|token|apikey", module.segment(call.args[0]), re.I)
                        is not None
                    )
        for assign in module.nodes(ast.Assign):
            if module.segment(assign.targets[0]).endswith("wsgi_app"):
                yield re.search(r"auth(?!or)|signature|token", module.segment(assign.value), re.I) is not None
    for hook in all_hooks(index):
        decorators = [unparsed(d) for d in hook.node.decorator_list]
        after = any("after" in d or "teardown" in d or "error" in d or "exception" in d for d in decorators)
        if after or GUARDS & hook.module.globals.keys() or _is_route(index, hook):
            continue
        if not is_of_one_blueprint(index, hook) and is_put_in(index, hook):
            yield any(asks_for_proof(index, function) for function in ways_of(index, hook))


def _is_in_path(route: Route) -> bool:
    """`/hook/{token}`: the address is the secret."""
    parts = re.findall(r"[{<]([^}>]*)[}>]", route.path)
    return any(re.search(r"token|secret|key|signature|uuid|slug_?secret", part, re.IGNORECASE) for part in parts)

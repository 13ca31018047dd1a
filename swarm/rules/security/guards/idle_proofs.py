"""What looks like asking who sends and is none: a proof that is read and compared with nothing, a check that says yes
to everybody, and code that makes the proofs which the service sends along itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import cast

from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.reading.keyed import keyed_read
from swarm.analysis.routes.header_parameters import header_parameters
from swarm.analysis.source import Module, parameters
from swarm.rules.facts.logging_calls import is_log_call, is_print

_DEPTH = 4
_MANY = 8  # uses of an attribute that is called so: more may be anything's
# of texts: what they give back is the text again
_SAME_TEXT = frozenset({"strip", "lower", "upper", "encode", "decode", "replace", "removeprefix", "split", "lstrip",
                        "rstrip", "partition", "rpartition"})  # fmt: skip
_SHAPE = frozenset({"startswith", "endswith", "isdigit", "isalnum"})
_MEASURES = frozenset({"len", "bool", "str", "repr"})
_MAKES = re.compile(
    r"^_?(make|build|compute|create|generate|gen|calc(ulate)?|sign|attach|add|with|format|encode|new|issue|mint|refresh"
    r"|renew|outgoing|prepare)_|headers?$|_for$|^_?(get|fetch|load|obtain)_\w*(token|signature|credentials?)$",
    re.IGNORECASE,
)
_OUTWARD = (
    "requests.", "httpx.", "aiohttp.", "requests_oauthlib.", "smtplib.", "imaplib.", "aiosmtplib.", "oauthlib.",
    "google.auth.", "google.oauth2.", "botocore.", "boto3.", "urllib.", "urllib3.",
)  # fmt: skip
_MAILERS = ("smtplib", "imaplib", "aiosmtplib", "smtplib.SMTP", "smtplib.SMTP_SSL", "aiosmtplib.SMTP")
_JUDGES = re.compile(r"verif|valid|check", re.IGNORECASE)
_OF_ANSWER = re.compile(r"\bres(p|ponse|ult)?\b|answer|reply", re.IGNORECASE)
_REQUEST = re.compile(r"\brequest\b|Request\b|\bDepends\(|\bSecurity\(|\bHeader\(|\bCookie\(|\bg\.|\bsession\b")


def is_idle(index: Index, function: Function, read: ast.AST, depth: int = 0) -> bool:
    """Whether what an expression reads from a request ends in logs and in tests whether it is there at all."""
    module = function.module
    node, around = read, module.parent(read)
    while around is not None and _is_the_same(around, node):
        node, around = around, module.parent(around)
    if isinstance(around, ast.expr | ast.keyword | ast.FormattedValue) and _is_logged(module, around):
        return True
    if isinstance(around, ast.Assign | ast.AnnAssign | ast.NamedExpr):
        targets = around.targets if isinstance(around, ast.Assign) else [around.target]
        if depth > _DEPTH or (isinstance(around, ast.NamedExpr) and not is_idle(index, function, around, depth + 1)):
            return False
        return all(_is_idle_target(index, function, target, depth + 1) for target in targets)
    if isinstance(around, ast.Compare):
        return _asks_whether_there(around, node)
    if isinstance(around, ast.UnaryOp) and isinstance(around.op, ast.Not):
        return True
    if isinstance(around, ast.If | ast.While | ast.IfExp | ast.Assert):
        return around.test is node
    if isinstance(around, ast.BoolOp):
        return _is_a_test(module, around)
    if isinstance(around, ast.Expr):
        return True
    if isinstance(around, ast.Attribute):
        return around.attr in _SHAPE
    return isinstance(around, ast.Call | ast.keyword) and _is_idle_argument(index, function, around, node, depth)


def _is_idle_target(index: Index, function: Function, target: ast.expr, depth: int) -> bool:
    if isinstance(target, ast.Name):
        return is_idle_name(index, function, target.id, depth)
    if not isinstance(target, ast.Attribute):
        return False
    uses = [(module, node) for module, node in index.names(target.attr) if isinstance(node.ctx, ast.Load)]
    around = [(index.enclosing(module, node), node) for module, node in uses[: _MANY + 1]]
    is_known = 0 < len(uses) <= _MANY  # what nothing reads by name may be read by a library
    return is_known and all(user is not None and is_idle(index, user, node, depth) for user, node in around)


def is_idle_name(index: Index, function: Function, name: str, depth: int = 0) -> bool:
    """Whether nothing is done with what a local name holds but to log it, or to ask whether it is there."""
    uses = [
        part for part in walk(function.node)
        if isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load)
    ]  # fmt: skip
    return all(is_idle(index, function, use, depth) for use in uses)


def _is_the_same(around: ast.AST, node: ast.AST) -> bool:
    """Whether an expression around is still the text that was read: stripped, sliced, with a default."""
    if isinstance(around, ast.Attribute):
        return around.attr in _SAME_TEXT
    if isinstance(around, ast.Call):
        if around.func is node:
            return isinstance(node, ast.Attribute) and node.attr in _SAME_TEXT
        return isinstance(around.func, ast.Name) and around.func.id in _MEASURES and around.args == [node]
    if isinstance(around, ast.BoolOp) and isinstance(around.op, ast.Or):
        return around.values[0] is node and all(isinstance(other, ast.Constant) for other in around.values[1:])
    return isinstance(around, ast.Subscript | ast.Await) and getattr(around, "value", None) is node


def _is_logged(module: Module, node: ast.AST) -> bool:
    """Whether an expression stands in the arguments of a call that logs or prints, and in no other call's there."""
    for around in (node, *module.ancestors(node)):
        if isinstance(around, ast.Call):
            return is_log_call(module, around) or is_print(module, around)
        if isinstance(around, ast.stmt | ast.Compare | ast.Lambda):
            return False
    return False


def _asks_whether_there(compare: ast.Compare, node: ast.AST) -> bool:
    if any(isinstance(op, ast.In | ast.NotIn) for op in compare.ops):
        return False
    others = [side for side in (compare.left, *compare.comparators) if side is not node]
    return all(
        isinstance(side, ast.Constant) and (side.value in (None, "", b"") or isinstance(side.value, int | bool))
        for side in others
    )


def _is_a_test(module: Module, node: ast.BoolOp) -> bool:
    """`if not body or not signature`: of several tests each is a test."""
    around = module.parent(node)
    while isinstance(around, ast.BoolOp | ast.UnaryOp):
        node, around = cast("ast.BoolOp", around), module.parent(around)
    return isinstance(around, ast.If | ast.While | ast.IfExp | ast.Assert) and around.test is node


def _is_idle_argument(
    index: Index, function: Function, around: ast.Call | ast.keyword, node: ast.AST, depth: int
) -> bool:
    """Whether a function of the target is handed the value and does nothing with it."""
    module = function.module
    call = module.parent(around) if isinstance(around, ast.keyword) else around
    if not isinstance(call, ast.Call):
        return False
    called = index.resolve_call(module, call)
    if called is None or depth > _DEPTH:
        return False
    names = [argument.arg for argument in parameters(called.node)]
    name = around.arg if isinstance(around, ast.keyword) else None
    if name is None:
        place = next((number for number, one in enumerate(call.args) if one is node), None)
        is_bound = called.class_name is not None and bool(names) and names[0] in ("self", "cls")
        place = place + 1 if place is not None and is_bound else place
        name = names[place] if place is not None and place < len(names) else None
    return name in names and is_idle_name(index, called, str(name), depth + 1)


def is_hollow(index: Index, function: Function) -> bool:
    """Whether a function that is called a check says yes to everybody: it compares nothing, and asks nobody else."""
    known = cast("dict[Function, bool]", index.notes.setdefault("hollow-checks", {}))
    if function not in known:
        known[function] = False  # who asks itself is asked once
        known[function] = _is_hollow(index, function)
    return known[function]


def _is_hollow(index: Index, function: Function) -> bool:
    module, node = function.module, function.node
    if function.class_name is not None and len(index.methods_named(function.name)) > 1:
        return False  # another class may keep the promise
    if node.decorator_list or _promises(node.body) or _takes_proof(function):
        return False
    handed = {argument.arg for outer in module.functions_around(node) for argument in parameters(outer)}
    for part in (inner for statement in node.body for inner in walk(statement)):
        if isinstance(part, ast.Compare) and not all(_is_presence(side) for side in part.comparators):
            return False
        if isinstance(part, ast.Call) and not _is_harmless(index, function, part, handed):
            return False
    return _ends_in_yes(node.body)


def _promises(body: list[ast.stmt]) -> bool:
    """A body that another class is to write: `...`, or an error that says so."""
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant)


def _takes_proof(function: Function) -> bool:
    """Whether a framework works out a parameter: what it depends on may ask."""
    arguments = function.node.args
    defaults = [one for one in (*arguments.defaults, *arguments.kw_defaults) if one is not None]
    notes = [one.annotation for one in parameters(function.node) if one.annotation is not None]
    return any(re.search(r"\b(Depends|Security)\(", unparsed(one)) for one in (*defaults, *notes))


def _is_presence(side: ast.expr) -> bool:
    return isinstance(side, ast.Constant) and side.value in (None, "", b"")


def _is_harmless(index: Index, function: Function, call: ast.Call, handed: set[str]) -> bool:
    """A call that proves nothing: it logs, reads a header or the body, refuses, or goes on to what was decorated."""
    module = function.module
    if is_log_call(module, call) or is_print(module, call):
        return True
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("get", "body", "get_data", "json", "get_json", "abort", "HTTPException", "wraps", "getLogger"):
        return True
    if name in _SAME_TEXT or name in _MEASURES or name.endswith(("Error", "Exception", "Response")):
        return index.resolve_call(module, call) is None
    return isinstance(call.func, ast.Name) and name in handed


def _ends_in_yes(body: list[ast.stmt]) -> bool:
    last = body[-1]
    if isinstance(last, ast.Return):
        return last.value is None or (isinstance(last.value, ast.Constant) and last.value.value in (True, None))
    return not isinstance(last, ast.Raise)


def makes_proof(index: Index, function: Function) -> bool:
    """Whether a function makes what the service shows to others: headers, signatures and tokens of its own calls."""
    if not _MAKES.search(function.name):
        return False
    if function.node.decorator_list or _REQUEST.search(function.module.segment(function.node)):
        return False
    if index.own_of(function, ast.Raise) and _refuses(index, function):
        return False
    given = [node.value for node in index.own_of(function, ast.Return) if node.value is not None]
    verdicts = (ast.Compare, ast.BoolOp, ast.UnaryOp)
    return bool(given) and not any(
        isinstance(value, verdicts) or (isinstance(value, ast.Constant) and isinstance(value.value, bool | None))
        for value in given
    )


def _refuses(index: Index, function: Function) -> bool:
    texts = (unparsed(node) for node in index.own_of(function, ast.Raise))
    return any(re.search(r"HTTPException|40[013]|[Uu]nauthori|[Ff]orbidden|[Dd]enied", text) for text in texts)


def is_outward(index: Index, function: Function, call: ast.Call) -> bool:
    """Whether a call of a library makes or uses the service's own credentials: `smtp.login(…)`, `BasicAuth(…)`."""
    module = function.module
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if _JUDGES.search(name):
        return False
    if name == "login" and any(origin in _MAILERS for origin in module.imports.values()):
        return True
    dotted = index.resolve(module, call.func) or ""
    if isinstance(call.func, ast.Attribute) and not dotted.startswith(_OUTWARD):
        dotted = index.kinds.of(module, call.func.value) or ""
    return dotted.startswith(_OUTWARD)


def idle_signatures(index: Index, function: Function) -> Iterator[str]:
    """The headers with a signature that a function reads from a request and compares with nothing."""
    for node in index.own_of(function, ast.Call, ast.Subscript):
        key = header_read(node)
        if key and is_signature_name(key) and is_idle(index, function, node):
            yield key
    for parameter, name in header_parameters(index, function).items():
        if is_signature_name(name) and is_idle_name(index, function, parameter):
            yield name.lower()


def header_read(node: ast.AST) -> str:
    """The name of the header that `request.headers.get("X-Signature")` reads; "" for anything else."""
    owner, key = keyed_read(node) or (None, None)
    place = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    if place not in ("headers", "META", "environ") or owner is None or _OF_ANSWER.search(unparsed(owner)):
        return ""
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""


def is_signature_name(header: str) -> bool:
    """Whether a header of that name holds a signature."""
    return re.search(r"signature|hmac|(^|[-_])(sig|digest)([-_]|$)|hub-sig", header, re.IGNORECASE) is not None

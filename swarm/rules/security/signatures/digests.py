"""Where values come from in code that checks signatures: digests, secrets, header values, text or bytes."""

from __future__ import annotations

import ast
import re
from typing import Literal

from swarm.analysis.databases.models import models_of
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import FunctionNode, Module, own_of, parameters

Form = Literal["text", "bytes", "unknown"]
_KEYED = ("hmac.new", "hmac.digest", "hmac.HMAC")
_SECRET_WORD = re.compile(r"(secret|token|api_?key|password|passwd|signing_?key)", re.IGNORECASE)
_NOT_A_SECRET = re.compile(
    r"(url|header|name|path|file|type|prefix|ttl|expir|length|field|count|limit|_id)s?$", re.IGNORECASE
)
_TEXT_METHODS = (
    "hexdigest",
    "decode",
    "strip",
    "lower",
    "upper",
    "removeprefix",
    "format",
    "join",
    "replace",
    "lstrip",
    "rstrip",
)
_QUERIES = re.compile(r"(where|filter|filter_by|having|join|outerjoin|get_or_none|exists|and_|or_|not_)$")
_SENDS_OR_MEASURES = frozenset({
    "post", "put", "patch", "delete", "get", "head", "options", "request", "send", "urlopen", "stream", "fetch",
    "publish", "execute", "commit", "save", "write", "len", "bool", "isinstance", "type", "print",
})  # fmt: skip
_KEPT_VALUES = "_swarm_values"  # an attribute of a function's node
_HEADER_PLACES = ("headers", "args", "query_params", "META", "cookies")


def assigned(node: ast.expr, function: FunctionNode | None) -> ast.expr:
    """What a local name was assigned, where that happened exactly once; else the expression itself."""
    for _ in range(6):
        if not isinstance(node, ast.Name) or function is None:
            break
        values = _values(function).get(node.id, [])
        if len(values) != 1 or any(argument.arg == node.id for argument in parameters(function)):
            break
        node = values[0]
    return node


def _values(function: FunctionNode) -> dict[str, list[ast.expr]]:
    """What each name is assigned in a function, kept with its node."""
    kept: dict[str, list[ast.expr]] | None = vars(function).get(_KEPT_VALUES)
    if kept is None:
        kept = vars(function)[_KEPT_VALUES] = {}
        for assign in own_of(function, ast.Assign):
            for name in {target.id for target in assign.targets if isinstance(target, ast.Name)}:
                kept.setdefault(name, []).append(assign.value)
            first, value = assign.targets[0], assign.value
            if isinstance(first, ast.Tuple) and isinstance(value, ast.Tuple) and len(first.elts) == len(value.elts):
                for one, its in zip(first.elts, value.elts, strict=True):
                    if isinstance(one, ast.Name):
                        kept.setdefault(one.id, []).append(its)
    return kept


def is_condition_of_query(index: Index, module: Module, compare: ast.AST) -> bool:
    """Whether a comparison is one that a database makes: `Lead.digest == digest_of(email)` builds SQL."""
    sides = [compare.left, *compare.comparators] if isinstance(compare, ast.Compare) else []
    if any(models_of(index).column(module, side) is not None for side in sides):
        return True
    for around in module.ancestors(compare):
        if isinstance(around, ast.stmt):
            return False
        called = around.func if isinstance(around, ast.Call) else None
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if _QUERIES.search(name) and isinstance(around, ast.Call) and compare not in walk(around.func):
            return True
    return False


def is_signature(index: Index, module: Module, node: ast.expr, depth: int = 0) -> bool:
    """Whether a value is made by a keyed digest: hmac, or a hash over something that is called secret.

    What comes back from a call that carries a signature away is none: a service that signs what it sends, and then
    looks at the answer, has checked nobody.
    """
    function = module.enclosing_function(node)
    node = assigned(node, function)
    if depth > 4:
        return False
    carried: set[ast.AST] = set()
    for inner in walk(node):
        if inner in carried:
            continue
        if isinstance(inner, ast.Call):
            dotted = module.resolve(inner.func) or ""
            if dotted in _KEYED:
                return True
            if dotted.startswith("hashlib.") and any(_is_setting(module, part) for part in walk(inner)):
                return True
            called = index.resolve_call(module, inner)
            if called is not None and _returns_signature(index, called, depth + 1):
                return True
            if _carries_away(index, module, inner, called):
                carried.update(part for given in (*inner.args, *inner.keywords) for part in walk(given))
        elif isinstance(inner, ast.Name) and inner is not node:
            value = assigned(inner, function)
            if value is not inner and is_signature(index, module, value, depth + 1):
                return True
    return False


def _carries_away(index: Index, module: Module, call: ast.Call, called: Function | None) -> bool:
    """Whether a call gives back something else than its arguments: it sends them, keeps them, measures them."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in _SENDS_OR_MEASURES or (index.resolve(module, call.func) or "") in index.classes:
        return True
    return called is not None and not _hands_back(index, called)


def _hands_back(index: Index, function: Function) -> bool:
    """Whether a function of the target may give back what it was handed, whole or in part."""
    names = {argument.arg for argument in parameters(function.node)}
    given = [node.value for node in index.own_of(function, ast.Return, ast.Yield) if node.value]
    for value in (assigned(one, function.node) for one in given):
        sent = [
            call for call in walk(value) if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute) and call.func.attr in _SENDS_OR_MEASURES
        ]  # fmt: skip
        inside = {part for call in sent for given in (*call.args, *call.keywords) for part in walk(given)}
        if any(isinstance(part, ast.Name) and part.id in names and part not in inside for part in walk(value)):
            return True
    return False


def _is_setting(module: Module, part: ast.AST) -> bool:
    """Whether something is called a secret, or read from the environment: as keys of digests are."""
    if isinstance(part, ast.Name | ast.Attribute) and _SECRET_WORD.search(last_name(part)):
        return True
    if isinstance(part, ast.Subscript):
        return module.resolve(part.value) == "os.environ"
    return isinstance(part, ast.Call) and module.resolve(part.func) in ("os.getenv", "os.environ.get")


def _returns_signature(index: Index, function: Function, depth: int) -> bool:
    """Whether a function gives back a digest; one that gives a verdict does not."""
    returns = [node.value for node in index.own_of(function, ast.Return, ast.Yield) if node.value]
    return any(
        not isinstance(value, ast.Compare | ast.BoolOp | ast.Constant)
        and not (isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not))
        and is_signature(index, function.module, value, depth)
        for value in returns
    )


def last_name(node: ast.AST) -> str:
    """`WEBHOOK_SECRET` for settings.WEBHOOK_SECRET and cfg["WEBHOOK_SECRET"]."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return node.slice.value
    return ""


def is_shared_secret(module: Module, node: ast.expr) -> bool:
    """Whether an expression is called a secret and stands in the service's settings, not in the request."""
    name = last_name(node)
    if not name or not _SECRET_WORD.search(name) or _NOT_A_SECRET.search(name):
        return False
    if isinstance(node, ast.Name):
        return node.id in module.globals or node.id in module.imports
    text = unparsed(node).lower()
    return not any(word in text for word in ("request", "header", "payload", "body", "form", "event", "data"))


def from_request(module: Module, node: ast.expr) -> bool:
    """Whether a value was sent: read from headers, query or cookies."""
    value = assigned(node, module.enclosing_function(node))
    for inner in walk(value):
        if isinstance(inner, ast.Attribute) and inner.attr in _HEADER_PLACES:
            return True
        if isinstance(inner, ast.Name) and inner.id in ("headers", "query_params"):
            return True
    if isinstance(value, ast.Name):
        function = module.enclosing_function(node)
        if function is not None:
            return _default_is_header(module, function, value.id)
    return False


def _default_is_header(module: Module, function: FunctionNode, name: str) -> bool:
    arguments = function.args
    pairs = list(zip(reversed(arguments.args), reversed(arguments.defaults), strict=False))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    for argument, default in pairs:
        if argument.arg == name and isinstance(default, ast.Call):
            return (module.resolve(default.func) or "").endswith((".Header", ".Query", ".Cookie"))
    annotated = next((a.annotation for a in parameters(function) if a.arg == name), None)
    return annotated is not None and "Header(" in unparsed(annotated)


def form_of(index: Index, module: Module, node: ast.expr, depth: int = 0) -> Form:
    """Whether a value is text or bytes, as far as the code says."""
    function = module.enclosing_function(node)
    node = assigned(node, function)
    if depth > 4:
        return "unknown"
    if isinstance(node, ast.JoinedStr):
        return "text"
    if isinstance(node, ast.Constant):
        return "text" if isinstance(node.value, str) else "bytes" if isinstance(node.value, bytes) else "unknown"
    if isinstance(node, ast.Name) and function is not None:
        noted = next((a.annotation for a in parameters(function) if a.arg == node.id), None)
        return _form_of_annotation(noted)
    if isinstance(node, ast.BinOp | ast.BoolOp):
        parts = node.values if isinstance(node, ast.BoolOp) else [node.left, node.right]
        forms = {form_of(index, module, part, depth + 1) for part in parts} - {"unknown"}
        return forms.pop() if len(forms) == 1 else "unknown"
    if isinstance(node, ast.Call):
        return _form_of_call(index, module, node, depth)
    return "unknown"


def _form_of_call(index: Index, module: Module, node: ast.Call, depth: int) -> Form:
    dotted = module.resolve(node.func) or ""
    if dotted in ("str", "hex") or dotted == "binascii.hexlify":
        return "bytes" if "hexlify" in dotted else "text"
    if dotted.startswith("base64.") or dotted in (
        "hmac.digest",
        "bytes",
        "binascii.unhexlify",
        "bytes.fromhex",
    ):
        return "bytes"
    if isinstance(node.func, ast.Attribute):
        if node.func.attr in ("digest", "encode"):
            return "bytes"
        if node.func.attr in _TEXT_METHODS:
            inner = form_of(index, module, node.func.value, depth + 1)
            return "bytes" if inner == "bytes" and node.func.attr not in ("hexdigest", "decode") else "text"
        if node.func.attr in ("get", "getlist"):
            if from_request(module, node):
                return "text"
            if len(node.args) > 1:
                return form_of(index, module, node.args[1], depth + 1)
    called = index.resolve_call(module, node)
    if called is None:
        return "unknown"
    noted = _form_of_annotation(called.node.returns)
    if noted != "unknown":
        return noted
    returns = [inner.value for inner in index.own_of(called, ast.Return) if inner.value]
    forms = {form_of(index, called.module, value, depth + 1) for value in returns}
    return forms.pop() if len(forms) == 1 else "unknown"


def _form_of_annotation(annotation: ast.expr | None) -> Form:
    if annotation is None:
        return "unknown"
    words = set(re.findall(r"\w+", unparsed(annotation)))
    if words & {"str"} and not words & {"bytes"}:
        return "text"
    return "bytes" if words & {"bytes"} and not words & {"str"} else "unknown"


def may_be_none(module: Module, node: ast.expr) -> bool:
    """Whether a value may be None there: a header that was not sent, an optional argument nobody tested."""
    function = module.enclosing_function(node)
    value = assigned(node, function)
    if isinstance(node, ast.Name) and function is not None and _is_tested(function, node):
        return False
    if isinstance(value, ast.Name) and function is not None:
        argument = next((a for a in parameters(function) if a.arg == value.id), None)
        if argument is None:
            return value.id not in module.globals
        if argument.annotation is None:
            return True
        words = set(re.findall(r"\w+", unparsed(argument.annotation)))
        return "None" in words or "Optional" in words or "Any" in words
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "get":
        default = value.args[1] if len(value.args) > 1 else None
        return default is None or (isinstance(default, ast.Constant) and default.value is None)
    return False


def may_be_unset(index: Index, module: Module, node: ast.expr) -> bool:
    """Whether a setting may be None: a variable without a default, an entry of a configuration.

    An attribute is taken for set unless its class says otherwise: settings objects check what they are made of.
    """
    value: ast.AST | None = assigned(node, module.enclosing_function(node))
    if isinstance(value, ast.Attribute):
        notes = [
            unparsed(inner.annotation)
            for info in index.classes.values()
            for inner in info.node.body
            if isinstance(inner, ast.AnnAssign) and unparsed(inner.target) == value.attr
        ]
        if notes:
            return any("None" in note or "Optional" in note for note in notes)
    dotted = index.resolve(module, value) if isinstance(value, ast.Name | ast.Attribute) else None
    if dotted is not None:
        home, name = index.tree.split(dotted, module)
        value = getattr(home.globals.get(name), "value", None) if home is not None else None
        module = home or module
    if isinstance(value, ast.Call):
        dotted = index.resolve(module, value.func) or ""
        if dotted in ("os.getenv", "os.environ.get"):
            return len(value.args) < 2 and not any(keyword.arg == "default" for keyword in value.keywords)
    return isinstance(value, ast.Subscript) and "environ" not in unparsed(value.value)


def _is_tested(function: FunctionNode, node: ast.Name) -> bool:
    """Whether an earlier `if not name: return` (or raise) of the function keeps None away."""
    for statement in function.body:
        if statement.lineno >= node.lineno or (statement.end_lineno or 0) >= node.lineno:
            return _is_tested_around(statement, node)
        if not isinstance(statement, ast.If) or not isinstance(statement.body[-1], ast.Return | ast.Raise):
            continue
        tests = statement.test.values if isinstance(statement.test, ast.BoolOp) else [statement.test]
        if isinstance(statement.test, ast.BoolOp) and isinstance(statement.test.op, ast.And):
            continue
        for test in tests:
            if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
                if isinstance(test.operand, ast.Name) and test.operand.id == node.id:
                    return True
            elif isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == node.id \
                    and isinstance(test.ops[0], ast.Is):  # fmt: skip
                return True
    return False


def _is_tested_around(statement: ast.stmt, node: ast.Name) -> bool:
    """Whether an `if name:` or `if name and …:` around keeps None away."""
    while isinstance(statement, ast.If) and statement.test.lineno < node.lineno:
        is_and = isinstance(statement.test, ast.BoolOp) and isinstance(statement.test.op, ast.And)
        tests = statement.test.values if isinstance(statement.test, ast.BoolOp) and is_and else [statement.test]
        inside = next((s for s in statement.body if s.lineno <= node.lineno <= (s.end_lineno or 0)), None)
        if inside is None:
            return False
        if any(isinstance(test, ast.Name) and test.id == node.id for test in tests):
            return True
        statement = inside
    return False

"""The rule single-signing-key."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit, apply_edits
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.signatures.digests import assigned, last_name
from swarm.rules.security.signatures.handed_keys import handed_to_object, variable_read
from swarm.rules.security.signatures.settings_keys import unmasked, variable_of_field
from swarm.rules.writing.placing import bound_names, code_mentions
from swarm.rules.writing.splices import before_definitions, import_as

_WIDTH = 118
_KEYED = ("hmac.new", "hmac.digest", "hmac.HMAC")
_COMPARING = ("hmac.compare_digest", "secrets.compare_digest", "_operator._compare_digest")
# keys that are several already
_KNOWN = r"_PREVIOUS\b|_OLD_(SECRET|KEY)|(SECRET|KEY)_OLD\b|previous_(secret|key)|(old|next|secondary)_(secret|key)"


@dataclass(frozen=True, slots=True)
class _Check:
    """A comparison of what was sent with a digest of one key.

    `made` is the expression that makes the digest: the keyed call or a call of `helper`, in which it stands; `name`
    is the local name that it has until it is compared, empty where it is compared at once. `key` is what stands for
    the key in the keyed call, text or bytes; `variable` is where the environment holds it.
    """

    function: Function
    compare: ast.Compare | ast.Call
    made: ast.expr
    name: str
    helper: Function | None
    key: ast.expr
    is_bytes: bool
    variable: str


class SingleSigningKey(Rule):
    """Signatures are checked with one key: it can only be changed at the very moment at which the sender changes his,
    and whatever is signed with the other one meanwhile is lost. So keys stay as they are for years.

    The mend takes a second key from the environment, `<VARIABLE>_PREVIOUS`, and accepts a signature that either made,
    both compared in constant time. Where it is unset or empty, nothing changes: the one key counts. It is written
    where the key comes from a variable of the environment that the code names, and the digest is made in the function
    that compares or in one that this calls.
    """

    id = "single-signing-key"
    category = "security"
    severity = "low"
    cwe = ("CWE-324",)
    title = "The signing key cannot be rotated"
    sources = ("Standard Webhooks: zero downtime secret rotation", "OWASP ASVS 5.0 13.3.4")
    order = 66
    bad = (
        Example(
            'import hashlib\nimport hmac\nimport os\n\nSECRET = os.environ["HOOK_SECRET"]\n\n\n'
            "def is_good(body: bytes, sent: str) -> bool:\n"
            "    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()\n"
            "    return hmac.compare_digest(expected.encode(), sent.encode())\n",
            'import hashlib\nimport hmac\nimport os\n\nSECRET = os.environ["HOOK_SECRET"]\n\n\n'
            "def signing_keys(current, variable):\n"
            '    """The key in use and, while keys are changed, the one before it: what `variable` holds."""\n'
            '    previous = os.getenv(variable, "")\n'
            "    before = previous.encode() if isinstance(current, bytes) else previous\n"
            "    return [current, before] if previous else [current]\n"
            "\n\ndef is_good(body: bytes, sent: str) -> bool:\n"
            "    expected = [\n"
            "        hmac.new(key.encode(), body, hashlib.sha256).hexdigest()\n"
            '        for key in signing_keys(SECRET, "HOOK_SECRET_PREVIOUS")\n'
            "    ]\n"
            "    return any([hmac.compare_digest(one.encode(), sent.encode()) for one in expected])\n",
        ),
        Example(
            'import hmac\nimport os\n\nKEY = os.getenv("HOOK_KEY", "").encode()\n\n\n'
            'def sign(body: bytes) -> bytes:\n    return hmac.new(KEY, body, "sha256").digest()\n\n\n'
            "def is_good(body: bytes, sent: bytes) -> bool:\n    return hmac.compare_digest(sign(body), sent)\n",
            'import hmac\nimport os\n\nKEY = os.getenv("HOOK_KEY", "").encode()\n\n\n'
            "def signing_keys(current, variable):\n"
            '    """The key in use and, while keys are changed, the one before it: what `variable` holds."""\n'
            '    previous = os.getenv(variable, "")\n'
            "    before = previous.encode() if isinstance(current, bytes) else previous\n"
            "    return [current, before] if previous else [current]\n"
            "\n\ndef sign(body: bytes, key=None) -> bytes:\n"
            '    return hmac.new((key.encode() if key else KEY), body, "sha256").digest()\n\n\n'
            "def is_good(body: bytes, sent: bytes) -> bool:\n"
            "    return any(\n        [\n            hmac.compare_digest(sign(body, key=key), sent)\n"
            '            for key in signing_keys(None, "HOOK_KEY_PREVIOUS")\n        ]\n    )\n',
        ),
    )
    good = (
        'import hmac\nimport os\n\nKEYS = [os.environ["HOOK_KEY"], os.environ["HOOK_KEY_NEXT"]]\n\n\n'
        "def is_good(body: bytes, sent: bytes) -> bool:\n"
        '    return any(hmac.compare_digest(hmac.new(k.encode(), body, "sha256").digest(), sent) for k in KEYS)\n',
        "import hmac\n\n\ndef same(one: bytes, other: bytes) -> bool:\n    return hmac.compare_digest(one, other)\n",
        # nothing is checked: it signs what it sends
        'import hmac\nimport os\n\nKEY = os.environ["SHOP_KEY"]\n\n\ndef sign(body: bytes) -> str:\n'
        '    return hmac.new(KEY.encode(), body, "sha256").hexdigest()\n',
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every check of a signature whose key is one variable of the environment."""
        for check in _checks(index):
            module = check.function.module
            yield self.finding(
                module,
                check.compare,
                evidence=f"{check.function.qualname} takes what {check.variable} signed and nothing else",
                recommendation="Take a second key for the time in which keys are changed.",
                anchor=check.function.qualname,
                mendable=_is_mendable(check),
            )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A list of digests, one for each valid key, all compared."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        checks = [
            check for check in _checks(index)
            if check.function.module is module and check.compare.lineno in lines and _is_mendable(check)
        ]  # fmt: skip
        if not checks:
            return None
        edits: list[Edit] = []
        for check in checks:
            edits += _edits(check)
        os_name, imported = import_as(module, "os")
        if imported is not None and imported.text:
            edits.append(imported)
        edits.append(before_definitions(module, _HELPER.format(os=os_name)))
        variables = ", ".join(sorted({f"{check.variable}_PREVIOUS" for check in checks}))
        return Mend(
            "Let signing keys be rotated",
            f"While keys are changed, a signature made with {variables} of the environment is good as well; "
            "unset, nothing changes.",
            (edited(module, edits),),
        )


_HELPER = '''
def signing_keys(current, variable):
    """The key in use and, while keys are changed, the one before it: what `variable` holds."""
    previous = {os}.getenv(variable, "")
    before = previous.encode() if isinstance(current, bytes) else previous
    return [current, before] if previous else [current]
'''


def _checks(index: Index) -> Iterator[_Check]:
    if code_mentions(index, _KNOWN):
        return
    for function in index.functions:
        module = function.module
        for node in index.own_of(function, ast.Compare, ast.Call):
            if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                sides = [node.left, node.comparators[0]]
            elif isinstance(node, ast.Call) and len(node.args) == 2 and _compares(index, module, node):
                sides = node.args
            else:
                continue
            for side in sides:
                check = _check(index, function, node, side)
                if check is not None:
                    yield check
                    break


def _compares(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a call compares its two arguments: by itself, or in a function of the service that does no more."""
    if module.resolve(call.func) in _COMPARING:
        return True
    called = index.resolve_call(module, call)
    if called is None or called.is_async or called.class_name is not None or call.keywords:
        return False
    names = [argument.arg for argument in parameters(called.node)]
    returned = [node.value for node in index.own_of(called, ast.Return)]
    verdict = returned[0] if len(returned) == 1 else None
    if not isinstance(verdict, ast.Call) or called.module.resolve(verdict.func) not in _COMPARING:
        return False
    used = {part.id for given in verdict.args for part in walk(given) if isinstance(part, ast.Name)}
    return len(names) == 2 and used == set(names)


def _check(index: Index, function: Function, compare: ast.Compare | ast.Call, side: ast.expr) -> _Check | None:
    name = next((n.id for n in walk(side) if isinstance(n, ast.Name) and _local_value(n, function)), "")
    named = next((n for n in walk(side) if isinstance(n, ast.Name) and n.id == name), None)
    for place, local in ((side, ""), (_local_value(named, function) if named is not None else None, name)):
        for call in walk(place) if place is not None else ():
            if not isinstance(call, ast.Call):
                continue
            if (function.module.resolve(call.func) or "") in _KEYED and call.args:
                return _with_key(index, _Found(function, compare, call, local, None), call, function)
            helper = index.resolve_call(function.module, call)
            keyed = _keyed_return(index, helper) if helper is not None else None
            if helper is not None and keyed is not None and helper.module is function.module:
                return _with_key(index, _Found(function, compare, call, local, helper), keyed, helper)
    return None


@dataclass(frozen=True, slots=True)
class _Found:
    function: Function
    compare: ast.Compare | ast.Call
    made: ast.expr
    name: str
    helper: Function | None


def _with_key(index: Index, found: _Found, keyed: ast.Call, home: Function) -> _Check | None:
    key, is_bytes = keyed.args[0], True
    if isinstance(key, ast.Call) and isinstance(key.func, ast.Attribute) and key.func.attr == "encode":
        key, is_bytes = key.func.value, False
    first = key.values[0] if isinstance(key, ast.BoolOp) and isinstance(key.op, ast.Or) else key
    first = unmasked(first)
    if not isinstance(first, ast.Name | ast.Attribute | ast.Subscript):
        return None
    variable = _variable(index, home, first, 0)
    if not variable:
        return None
    return _Check(found.function, found.compare, found.made, found.name, found.helper, key, is_bytes, variable)


def _local_value(node: ast.Name, function: Function) -> ast.expr | None:
    value = assigned(node, function.node)
    return None if value is node or isinstance(value, ast.Name) else value


def _keyed_return(index: Index, helper: Function) -> ast.Call | None:
    """The keyed call of a function that returns a digest and does nothing else of note."""
    returns = [*index.own_of(helper, ast.Return)]
    calls = [
        node for node in index.own_nodes(helper)
        if isinstance(node, ast.Call) and (helper.module.resolve(node.func) or "") in _KEYED and node.args
    ]  # fmt: skip
    if len(returns) != 1 or len(calls) != 1 or returns[0].value is None or helper.is_async:
        return None
    gives = unparsed(returns[0].value)
    return calls[0] if "digest" in gives or "hmac" in gives or isinstance(returns[0].value, ast.Name) else None


def _variable(index: Index, home: Function, key: ast.expr, depth: int) -> str:
    """The environment's variable that holds a key; empty where the code does not show it."""
    module = home.module
    kept = handed_to_object(index, home, key)
    if kept:
        read = {variable_read(where, value) for where, value in kept}
        return read.pop() if len(read) == 1 else ""
    if isinstance(key, ast.Name) and depth < 3:
        names = [argument.arg for argument in parameters(home.node)]
        if key.id in names:
            return _of_callers(index, home, names.index(key.id), key.id, depth)
        value = assigned(key, home.node)
        if value is not key:
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "encode":
                value = value.func.value
            value = unmasked(value)
            return variable_read(module, value) or _variable(index, home, value, depth + 1)
    if isinstance(key, ast.Name | ast.Attribute):
        place, name = index.tree.split(index.resolve(module, key) or "", module)
        statement = place.globals.get(name) if place is not None else None
        if place is not None and isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            return variable_read(place, statement.value)
        return variable_of_field(index, module, key) if isinstance(key, ast.Attribute) else ""
    # settings["HOOK_SECRET"], filled from the variable of the same name
    name = last_name(key)
    wanted = re.compile(rf"(getenv|environ(\.get)?)[(\[]\s*[\"\']{re.escape(name)}[\"\']")
    return name if name and any(wanted.search(m.text) for m in index.tree.modules.values()) else ""


def _of_callers(index: Index, home: Function, place: int, name: str, depth: int) -> str:
    """The variable that every caller of the target hands over for a parameter."""
    found: set[str] = set()
    for function in index.functions:
        for call in index.calls(function):
            if index.resolve_call(function.module, call) is not home:
                continue
            given = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
            if given is None and len(call.args) > place:
                given = call.args[place]
            found.add(_variable(index, function, given, depth + 1) if given is not None else "")
    return found.pop() if len(found) == 1 else ""


def _is_mendable(check: _Check) -> bool:
    """Whether the digest's name is used by the comparison alone, and new names are free."""
    module, node = check.function.module, check.function.node
    if {"signing_keys", "key", "one"} & bound_names(module):
        return False
    if check.helper is not None and (check.helper.node.args.kwarg or check.helper.node.args.vararg):
        return False
    inside = {id(part) for part in walk(check.compare)}
    uses = [n for n in walk(node) if isinstance(n, ast.Name) and n.id == check.name]
    outside = [n for n in uses if isinstance(n.ctx, ast.Load) and id(n) not in inside]
    in_class = check.helper is not None and check.helper.class_name is not None
    return not (check.name and outside) and not in_class


def _edits(check: _Check) -> list[Edit]:
    module = check.function.module
    keys = check.key if check.helper is None else None
    current = module.segment(keys) if keys is not None else "None"
    loop = f'for key in signing_keys({current}, "{check.variable}_PREVIOUS")'
    word = "all" if isinstance(check.compare, ast.Compare) and isinstance(check.compare.ops[0], ast.NotEq) else "any"
    within: list[Edit] = []  # edits inside of the digest's expression
    apart: list[Edit] = []
    if check.helper is None:
        within.append(Edit(*_with_brackets(module, check.key), "key"))
    else:
        end = module.span(check.made)[1] - 1
        has_arguments = isinstance(check.made, ast.Call) and bool(check.made.args or check.made.keywords)
        within.append(Edit(end, end, ", key=key" if has_arguments else "key=key"))
        apart += _helper_edits(check, check.helper)
    if not check.name:
        return [*apart, _wrapped(module, check.compare, f"{word}([", loop, "])", within)]
    value = assigned(next(_names(check.compare, check.name)), check.function.node)
    renamed = [Edit(*module.span(name), "one") for name in _names(check.compare, check.name)]
    return [
        *apart,
        _wrapped(module, value, "[", loop, "]", within),
        _wrapped(module, check.compare, f"{word}([", f"for one in {check.name}", "])", renamed),
    ]


def _with_brackets(module: Module, key: ast.expr) -> tuple[int, int]:
    """The place of `a or b`, the brackets around it included: a name in its place needs none."""
    start, end = module.span(key)
    has_brackets = isinstance(key, ast.BoolOp) and module.text[start - 1 : start] == "(" and module.text[end] == ")"
    is_argument = module.text[: start - 1].rstrip()[-1:].isalnum()
    return (start - 1, end + 1) if has_brackets and not is_argument else (start, end)


def _names(node: ast.AST, name: str) -> Iterator[ast.Name]:
    return (part for part in walk(node) if isinstance(part, ast.Name) and part.id == name)


def _wrapped(module: Module, node: ast.expr, opening: str, loop: str, closing: str, within: Sequence[Edit]) -> Edit:
    """One edit of a node: its text with edits inside of it, and a loop around; on lines of their own where long."""
    start, end = module.span(node)
    text = apply_edits(module.text[start:end], [Edit(e.start - start, e.end - start, e.text) for e in within])
    whole = f"{opening}{text} {loop}{closing}"
    line_start = module.line_start(node.lineno)
    if "\n" in text or start - line_start + len(whole) <= _WIDTH:
        return Edit(start, end, whole)
    indent = module.indent(module.statement(node))
    return Edit(start, end, f"{opening}\n{indent}    {text}\n{indent}    {loop}\n{indent}{closing}")


def _helper_edits(check: _Check, helper: Function) -> list[Edit]:
    """A parameter for the key, last and by name, and its use where the key stands."""
    module, arguments = helper.module, helper.node.args
    several = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    given = "key.encode()" if check.is_bytes else "key"
    use = Edit(*module.span(check.key), f"({given} if key else {module.segment(check.key)})")
    ends = [module.span(part)[1] for part in [*several, *arguments.defaults, *filter(None, arguments.kw_defaults)]]
    ends += [module.span(argument.annotation)[1] for argument in several if argument.annotation is not None]
    if not ends:
        opening = module.text.index("(", module.span(helper.node)[0])
        return [Edit(opening + 1, opening + 1, "key=None"), use]
    return [Edit(max(ends), max(ends), ", key=None"), use]

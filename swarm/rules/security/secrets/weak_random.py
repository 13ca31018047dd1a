"""The rule weak-random."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from swarm.analysis.dataflow.engine import flows_of
from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import Value
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.signatures.digests import assigned

_DRAWS = (
    "random",
    "choice",
    "choices",
    "randint",
    "randrange",
    "getrandbits",
    "randbytes",
    "sample",
    "shuffle",
    "uniform",
    "triangular",
    "gauss",
    "normalvariate",
    "betavariate",
    "expovariate",
    "lognormvariate",
)
_SECRET_NAME = re.compile(
    r"(^|_)(token|secret|nonce|otp|passcode|password|passwd|api_?key|session_?(id|key)|csrf|salt|reset_?code"
    r"|(reset|recovery|activation|login|invite|access|session|verification)_?(key|link|ticket)"
    r"|pin|(verification|pin|access|door|login|unlock|invite|voucher|gift|confirmation|sms|auth)_?code)s?(_|$)",
    re.IGNORECASE,
)
# a jitter for retrying a token's fetch, a count of tokens: not what somebody must not guess
_ABOUT_ONE = re.compile(
    r"(count|delay|jitter|pause|wait|ttl|length|len|size|index|expiry|limit|bucket|_at|_s|_ms)s?$", re.I
)

# names of cookies and entries of a session that let somebody in
_IN_SESSION = re.compile(
    r"remember|session|token|secret|nonce|otp|passcode|password|csrf|auth|sid$|api_?key|verif|reset|invite",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\b(time|time_ns|now|utcnow|today|perf_counter|monotonic)\(")
_SESSIONS = re.compile(r"session|token|nonce|invite|reset|otp", re.IGNORECASE)


class WeakRandom(Rule):
    """A token, nonce, password or code that nobody may guess is drawn with `random`: whoever sees some of its numbers
    can work out those before and after.

    The mend draws from `secrets.SystemRandom()`, which has the same methods and takes its numbers from the operating
    system, and makes `uuid4` of `uuid1`, which tells the time and the host. Found by the name that a draw gets, and
    by where its number goes: cookies and entries of a session that let somebody in, and what is compared with data of
    a request. Left alone: a generator of its own with a seed, and draws that are no secret (jitter, samples).
    """

    id = "weak-random"
    category = "security"
    severity = "high"
    cwe = ("CWE-330", "CWE-338")
    title = "A secret is drawn with random"
    sources = ("docs.python.org: secrets", "OWASP ASVS 5.0 11.5.1", "bandit B311")
    bad = (
        Example(
            "import random\nimport string\n\n\ndef new_token() -> str:\n"
            '    return "".join(random.choice(string.ascii_letters) for _ in range(32))\n',
            "import random\nimport secrets\nimport string\n\n\ndef new_token() -> str:\n"
            '    return "".join(secrets.SystemRandom().choice(string.ascii_letters) for _ in range(32))\n',
        ),
        Example(
            "import random\n\n\ndef invite(user):\n    user.otp = random.randint(100000, 999999)\n"
            "    user.pause_s = random.uniform(0, 1)\n",
            "import random\nimport secrets\n\n\ndef invite(user):\n"
            "    user.otp = secrets.SystemRandom().randint(100000, 999999)\n"
            "    user.pause_s = random.uniform(0, 1)\n",
        ),
        Example(
            "from random import getrandbits\n\n\ndef open_session(store):\n    session_id = hex(getrandbits(128))\n"
            "    store[session_id] = {}\n",
            "import secrets\nfrom random import getrandbits\n\n\ndef open_session(store):\n"
            "    session_id = hex(secrets.SystemRandom().getrandbits(128))\n    store[session_id] = {}\n",
        ),
    )
    good = (
        "import secrets\n\n\ndef new_token():\n    return secrets.token_hex(16)\n",
        "import random\n\n\ndef pause(attempt):\n    token_delay = random.uniform(0, 2**attempt)\n"
        "    return token_delay\n",
        'import random\n\nrng = random.Random(7)\n\n\ndef sample_token():\n    return rng.choice("abc")\n',
        "import random\n\nCACHE = {}\n\n\ndef fill(keys):\n    for key in keys:\n"
        "        CACHE[key] = 300 + random.randint(0, 60)\n"
        "    if random.random() < 0.01:\n        CACHE.clear()\n",
        "import random\n\n\ndef pick_agent(agents):\n    return random.choice(agents)\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every draw whose value gets the name of a secret."""
        for module in index.tree.modules.values():
            for call, name in _draws(index, module):
                yield self.finding(
                    module,
                    call,
                    evidence=f"`{unparsed(call)}` makes `{name}`",
                    recommendation="Use the module secrets.",
                    anchor=f"{name} {unparsed(call.func)}",
                    mendable=_replacement(index, module, call) is not None,
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The same method of `secrets.SystemRandom()`."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits = [
            Edit(*module.span(call.func), text)
            for call, _ in _draws(index, module)
            if call.lineno in lines and (text := _replacement(index, module, call)) is not None
        ]
        if not edits:
            return None
        is_needed = any("secrets." in edit.text for edit in edits)
        imported = module.insert_import("import secrets") if is_needed else Edit(0, 0, "")
        return Mend(
            "Draw secrets from the operating system",
            "The numbers of `random` can be worked out from some of them; SystemRandom's cannot.",
            (edited(module, [*edits, *([imported] if imported.text else [])]),),
        )


def _method(index: Index, module: Module, call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return (index.resolve(module, call.func) or "").rpartition(".")[2]


def _replacement(index: Index, module: Module, call: ast.Call) -> str | None:
    """What is called in its place; None for a shuffle of what is there already."""
    method = _method(index, module, call)
    if method == "uuid1":  # of the time and the host's address
        is_plain = isinstance(call.func, ast.Attribute) and not call.args and not call.keywords
        return f"{module.segment(call.func).removesuffix('1')}4" if is_plain else None
    return None if method == "shuffle" else f"secrets.SystemRandom().{method}"


def _draws(index: Index, module: Module) -> Iterator[tuple[ast.Call, str]]:
    flowing = _by_flow(index)
    for call in module.nodes(ast.Call):
        owner, _, method = (index.resolve(module, call.func) or "").rpartition(".")
        is_of_host = owner == "uuid" and method == "uuid1"
        if (owner == "random" and method in _DRAWS) or is_of_host or _is_of_the_time(index, module, call):
            name = name_of_value(module, call) or flowing.get(id(call), "") or _name_of_answer(index, module, call)
            if name:
                yield call, name


def _name_of_answer(index: Index, module: Module, call: ast.Call) -> str:
    """What callers call the value, where the function gives back what it draws: `api_key = Keys.fresh()`."""
    function = index.enclosing(module, call)
    if function is None or not any(isinstance(around, ast.Return) for around in module.ancestors(call)):
        return ""
    names = (name_of_value(where, made) for where, made in index.calls_named(function.name)
             if index.resolve_call(where, made) is function)  # fmt: skip
    found = next(filter(None, names), "")
    told = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", function.class_name or "")  # `Otp().draw()`
    return found or (function.class_name or "" if _SECRET_NAME.search(told) else "")


def _is_of_the_time(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether a generator of the code's own is drawn from that began by the time, or by nothing that it says."""
    func = call.func
    if not isinstance(func, ast.Attribute) or func.attr not in _DRAWS or not isinstance(func.value, ast.Name):
        return False
    function = module.enclosing_function(call)
    made = assigned(func.value, function)
    if made is func.value:
        made = getattr(module.globals.get(func.value.id), "value", made)
    if not isinstance(made, ast.Call) or index.resolve(module, made.func) != "random.Random":
        return False
    return not made.args or _CLOCK.search(unparsed(made.args[0])) is not None


def _by_flow(index: Index) -> dict[int, str]:
    """Draws by their call, with what they become: a cookie, a key or value of a session, what a sender must know."""
    if "drawn-secrets" in index.notes:
        return cast("dict[int, str]", index.notes["drawn-secrets"])
    found: dict[int, str] = {}
    index.notes["drawn-secrets"] = found
    for seen in flows_of(index).seen:
        for value, name in _secret_places(seen):
            for taint in value.taints:
                if taint.kind == "random":
                    found.setdefault(taint.key, name)
    return found


def _secret_places(seen: Seen) -> Iterator[tuple[Value, str]]:
    if seen.what == "call" and seen.name.rsplit(".", 1)[-1] == "set_cookie":
        name = str(seen.argument(0, "key").constant or "")
        if _IN_SESSION.search(name):
            yield seen.argument(1, "value"), name
    elif seen.what == "store":
        key, holder = seen.argument(0), seen.receiver.dotted.rsplit(".", 1)[-1]
        name = str(key.constant or "")
        if _IN_SESSION.search(name) and not _ABOUT_ONE.search(name):
            yield seen.argument(1), name
        if _SESSIONS.search(holder):
            yield key, f"a key of {holder}"
    elif seen.what == "compare":
        one, other = seen.argument(0), seen.argument(1)
        for drawn, sent in ((one, other), (other, one)):
            if any(taint.kind == "request" for taint in sent.taints):
                yield drawn, "what a sender has to know"


def name_of_value(module: Module, call: ast.Call) -> str:
    """The secret's name that the drawn value gets: a variable, a key, a keyword, or what the function is called."""
    inner: ast.AST = call
    for around in module.ancestors(call):
        names: list[str] = []
        if isinstance(around, ast.Assign):
            names = [_last(target) for target in around.targets]
        elif isinstance(around, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            names = [_last(around.target)]
        elif isinstance(around, ast.keyword):
            names = [around.arg or ""]
        elif isinstance(around, ast.Dict):
            keys = [key for key, value in zip(around.keys, around.values, strict=True) if value is inner]
            names = [str(key.value) for key in keys if isinstance(key, ast.Constant)]
        elif isinstance(around, ast.Return):
            function = module.enclosing_function(around)
            names = [function.name] if function is not None else []
        found = next((name for name in names if _SECRET_NAME.search(name) and not _ABOUT_ONE.search(name)), "")
        if found or isinstance(around, ast.stmt):
            return found
        inner = around
    return ""


def _last(target: ast.expr) -> str:
    if isinstance(target, ast.Subscript):
        key = target.slice
        return str(key.value) if isinstance(key, ast.Constant) else ""
    return target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""

"""The rule weak-random."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited

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
)
_SECRET_NAME = re.compile(
    r"(^|_)(token|secret|nonce|otp|passcode|password|passwd|api_?key|session_?(id|key)|csrf|salt|reset_?code"
    r"|verification_?code|pin_?code)s?(_|$)",
    re.IGNORECASE,
)
# a jitter for retrying a token's fetch, a count of tokens: not what somebody must not guess
_ABOUT_ONE = re.compile(
    r"(count|delay|jitter|pause|wait|ttl|length|len|size|index|expiry|limit|bucket|_at|_s|_ms)s?$", re.I
)


class WeakRandom(Rule):
    """A token, nonce, password or code that nobody may guess is drawn with `random`: whoever sees some of its numbers
    can work out those before and after.

    The mend draws from `secrets.SystemRandom()`, which has the same methods and takes its numbers from the operating
    system. Left alone: a generator of its own with a seed, and draws that are no secret (jitter, samples).
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
                    evidence=f"`{ast.unparse(call)}` makes `{name}`",
                    recommendation="Use the module secrets.",
                    anchor=f"{name} {ast.unparse(call.func)}",
                    mendable=not _is_shuffle(call),
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The same method of `secrets.SystemRandom()`."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits = [
            Edit(*module.span(call.func), f"secrets.SystemRandom().{_method(index, module, call)}")
            for call, _ in _draws(index, module)
            if call.lineno in lines and not _is_shuffle(call)
        ]
        if not edits:
            return None
        imported = module.insert_import("import secrets")
        return Mend(
            "Draw secrets from the operating system",
            "The numbers of `random` can be worked out from some of them; SystemRandom's cannot.",
            (edited(module, [*edits, *([imported] if imported.text else [])]),),
        )


def _method(index: Index, module: Module, call: ast.Call) -> str:
    return (index.resolve(module, call.func) or "").rpartition(".")[2]


def _is_shuffle(call: ast.Call) -> bool:
    return ast.unparse(call.func).endswith("shuffle")


def _draws(index: Index, module: Module) -> Iterator[tuple[ast.Call, str]]:
    for call in module.nodes(ast.Call):
        owner, _, method = (index.resolve(module, call.func) or "").rpartition(".")
        if owner == "random" and method in _DRAWS:
            name = _name_of_value(module, call)
            if name:
                yield call, name


def _name_of_value(module: Module, call: ast.Call) -> str:
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

"""The rule weak-hash."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.module import unparsed, walk
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.secrets.weak_random import name_of_value
from swarm.rules.security.signatures.digests import from_request, is_signature

_COMPARING = ("hmac.compare_digest", "secrets.compare_digest")
_BROKEN = {"md5": 16, "sha1": 20}  # and how many bytes they give
_FAST = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_512", "blake2b", "blake2s")
_PASSWORD = re.compile(r"(^|_)(password|passwd|pwd|passphrase)s?(_|$)|[a-z]password$", re.IGNORECASE)
_SEAL = re.compile(r"(^|_)(signature|sign|mac|seal)(_|$)", re.IGNORECASE)
# what anybody may know or work out: a digest of it names a thing, and proves nothing
_NAMES_A_THING = re.compile(
    r"e_?tag|cache|checksum|finger_?print|gravatar|avatar|dedup|bucket|shard|file|content|version|slug|_hash$|digest$"
    r"|breach|pwned|leak",
    re.IGNORECASE,
)
_CHANCE = re.compile(r"\b(time\.time|time_ns|random\.\w+|urandom|uuid[14]|now|utcnow|monotonic|perf_counter)\b")


@dataclass(frozen=True, slots=True)
class _Digest:
    """A digest and what it is for: `whole` is the expression whose text it becomes, `size` the bytes of a token."""

    call: ast.Call
    algorithm: str
    use: str
    name: str
    whole: ast.expr | None = None
    size: int = 0


class WeakHash(Rule):
    """A digest that is too weak for what it is for: MD5 or SHA-1 makes a token or seals something, or a fast digest
    of any kind stands for a stored password.

    Why: whoever knows about when a token was made can try all the times it may have been made from; MD5 and SHA-1 no
    longer tell two texts apart; and a stolen table of fast digests of passwords is read by trying billions a second.
    Example: `token = hashlib.md5(str(time.time()).encode()).hexdigest()`.

    The mend gives a token of chance from `secrets`, of the same length and letters. Passwords and seals are advice:
    those that are stored or sent already have to go on being checked. Left alone: `usedforsecurity=False`, HMAC, the
    digests of HTTP authentication, and those that name a thing (an ETag, the key of a cache, a checksum, an avatar).
    """

    id = "weak-hash"
    category = "security"
    severity = "medium"
    cwe = ("CWE-328", "CWE-916")
    title = "A digest is too weak for what it is for"
    sources = ("OWASP ASVS 5.0 11.4.1, 11.4.2", "bandit B324")
    bad = (
        Example(
            "import hashlib\nimport time\n\n\ndef login(session):\n"
            '    session["token"] = hashlib.md5(str(time.time()).encode()).hexdigest()\n'
            "    reset_token = hashlib.sha1(str(time.time_ns()).encode()).hexdigest()[:12]\n    return reset_token\n",
            "import hashlib\nimport secrets\nimport time\n\n\ndef login(session):\n"
            '    session["token"] = secrets.token_hex(16)\n'
            "    reset_token = secrets.token_hex(20)[:12]\n    return reset_token\n",
        ),
        Example(
            "import hashlib\n\n\ndef store(user, password):\n"
            "    user.password_hash = hashlib.sha256(password.encode()).hexdigest()\n",
            None,
        ),
        Example(
            "import hashlib\n\n\ndef send(body, key):\n    signature = hashlib.md5(key + body).hexdigest()\n"
            "    return signature\n",
            None,
        ),
    )
    good = (
        "import hashlib\n\n\ndef etag(body):\n    return hashlib.md5(body).hexdigest()\n\n\n"
        "def cached(cache, token):\n"
        "    cache_key = hashlib.sha1(token.encode()).hexdigest()\n    return cache.get(cache_key)\n",
        "import hashlib\n\n\ndef name_of(token):\n"
        "    token_id = hashlib.md5(token, usedforsecurity=False).hexdigest()\n    return token_id\n",
        "import hashlib\nimport os\n\n\ndef store(password, salt):\n"
        '    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 600_000)\n\n\ndef kept(token):\n'
        "    token_hash = hashlib.sha256(token.encode()).hexdigest()\n    return token_hash\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every digest whose use asks for more."""
        for module in index.tree.modules.values():
            for digest in _digests(index, module):
                yield self.finding(
                    module,
                    digest.call,
                    evidence=f"{digest.algorithm} makes `{digest.name}`, {digest.use}",
                    recommendation=_ADVICE[digest.use],
                    anchor=f"{digest.name} {digest.algorithm}",
                    mendable=digest.whole is not None,
                    severity="high" if digest.use == "a password that is kept" else None,
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A token of chance in place of a digest."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits = [
            Edit(*module.span(digest.whole), f"secrets.token_hex({digest.size})")
            for digest in _digests(index, module)
            if digest.whole is not None and digest.call.lineno in lines
        ]
        if not edits:
            return None
        imported = module.insert_import("import secrets")
        return Mend(
            "Make tokens of chance",
            "A digest of the time is found by trying the times; chance from the operating system is not. The token "
            "has the same length and letters as before.",
            (edited(module, [*edits, *([imported] if imported.text else [])]),),
        )


_TOKEN, _KEPT, _SEALED = "a token that nobody may guess", "a password that is kept", "a seal"
_ADVICE = {
    _TOKEN: "Take it from the module secrets.",
    _KEPT: "Keep it by a slow one with a salt (argon2, scrypt, hashlib.pbkdf2_hmac); at the next login, make those "
    "that are kept anew.",
    _SEALED: "Sign with hmac and SHA-256, once all who check it can.",
}


def _digests(index: Index, module: Module) -> Iterator[_Digest]:
    for home, call in index.calls_to("hashlib.new", *(f"hashlib.{name}" for name in _FAST)):
        dotted = index.resolve(module, call.func) or "" if home is module else ""
        algorithm = dotted.removeprefix("hashlib.")
        if dotted == "hashlib.new" and call.args and isinstance(call.args[0], ast.Constant):
            algorithm = str(call.args[0].value).lower().replace("-", "")
        if not dotted.startswith("hashlib.") or algorithm not in _FAST or _is_not_for_security(call):
            continue
        data = call.args[1:2] if dotted == "hashlib.new" else call.args[:1]
        found = _purpose(index, module, call, algorithm, data[0]) if data else None
        if found is not None:
            yield found


def _is_not_for_security(call: ast.Call) -> bool:
    return any(k.arg == "usedforsecurity" and getattr(k.value, "value", True) is False for k in call.keywords)


def _purpose(index: Index, module: Module, call: ast.Call, algorithm: str, data: ast.expr) -> _Digest | None:
    function = module.enclosing_function(call)
    names = _names_around(module, call)
    around = " ".join([*names, function.name if function is not None else ""])
    given = [getattr(n, "attr", getattr(n, "id", "")) for n in walk(data) if isinstance(n, ast.Name | ast.Attribute)]
    given += [n.value for n in walk(data) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    password = next((name for name in given if _PASSWORD.search(name)), "")
    if password and not re.search(r"breach|pwned|leak|cache|ha1", around, re.IGNORECASE) and "realm" not in given:
        return _Digest(call, algorithm, _KEPT, password)
    if algorithm not in _BROKEN or any(_NAMES_A_THING.search(name) for name in names):
        return None
    secret = name_of_value(module, call)
    if secret and _CHANCE.search(unparsed(data)):
        whole = _hexdigest(module, call)
        return _Digest(call, algorithm, _TOKEN, secret, whole, _BROKEN[algorithm])
    seal = next((name for name in names if _SEAL.search(name)), "")
    if not seal and names and is_signature(index, module, call) and _is_compared(module, call, names[0]):
        seal = names[0]
    return _Digest(call, algorithm, _SEALED, seal) if seal else None


def _is_compared(module: Module, call: ast.Call, name: str) -> bool:
    """Whether a digest of something secret is compared with what was sent."""
    function = module.enclosing_function(call)
    for node in walk(function) if function is not None else ():
        if isinstance(node, ast.Call) and (module.resolve(node.func) or "") in _COMPARING:
            sides = node.args
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        else:
            continue
        named = [any(isinstance(p, ast.Name) and p.id == name for p in walk(side)) for side in sides]
        if any(named) and any(from_request(module, part) for side in sides for part in walk(side)
                              if isinstance(part, ast.expr)):  # fmt: skip
            return True
    return False


def _names_around(module: Module, call: ast.Call) -> list[str]:
    """What the value is assigned to, or given as, in its statement; the function's name where it is returned."""
    statement = module.statement(call)
    if isinstance(statement, ast.Return):
        function = module.enclosing_function(call)
        return [function.name] if function is not None else []
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [unparsed(target).rsplit(".", 1)[-1] for target in targets if target is not None]


def _hexdigest(module: Module, call: ast.Call) -> ast.expr | None:
    """`hashlib.md5(…).hexdigest()` as a whole; None for anything else that is done with it."""
    method = module.parent(call)
    whole = module.parent(method) if isinstance(method, ast.Attribute) and method.attr == "hexdigest" else None
    return whole if isinstance(whole, ast.Call) and not whole.args and not whole.keywords else None

"""The rule secret-in-code."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.placing import bound_names
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.literal_secrets import Literal, literal_secrets

_SECRET = re.compile(
    r"(^|_)(secret|secrets|token|api_?key|apikey|password|passwd|pwd|private_?key|signing_?key|access_?key"
    r"|auth_?key|encryption_?key|hmac_?key|webhook_?key|credential)s?($|_)",
    re.IGNORECASE,
)
_ABOUT_ONE = re.compile(
    r"_(url|uri|header|name|path|file|dir|type|kind|prefix|suffix|ttl|expir\w*|length|len|size|field|count|limit|id|env|var"
    r"|algorithm|alg|scheme|format|param|regex|pattern|hash|endpoint|host|lifetime|seconds|minutes|days|version|issuer"
    r"|backend|provider|source|store|storage|engine|driver|mode|enabled|required|manager|service|class|module|hasher|policy"
    r"|label|message|text|title|help|hint|error|status|key_id|mask)s?$",
    re.IGNORECASE,
)
_KNOWN_FORMS = re.compile(
    r"^(AKIA[0-9A-Z]{16}|sk-[A-Za-z0-9_-]{20,}|sk_live_\w{16,}|rk_live_\w{16,}|gh[pousr]_\w{30,}|xox[abprs]-[\w-]{20,}"
    r"|whsec_\w{20,}|AIza[\w-]{30,}|glpat-[\w-]{18,}|-----BEGIN [A-Z ]*PRIVATE KEY-----)"
)
# What one worker signs or encrypts another must read: a random value for each process would break that.
_SHARED_BY_WORKERS = re.compile(r"^(app_|flask_)?secret_?key$|session|cookie|jwt|csrf|encrypt|fernet", re.IGNORECASE)
_READERS = ("os.getenv", "os.environ.get", "environ.get", "getenv")
_PLACEHOLDER = re.compile(
    r"^(<.*>|\.\.\.|\*+|x+|your[-_ ].*|none|null|todo|tbd|unset|placeholder|not[-_ ]set|n/?a|\$\{.*\}|\{.*\})$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Secret:
    name: str
    value: ast.Constant
    reader: ast.Call | None
    assign: ast.stmt | None
    is_setting: bool = False


class SecretInCode(Rule):
    """A secret stands in the code, alone or as what is used when the environment gives none: everybody who sees the
    code can sign, log in, or read with it, and nobody notices that the real one was never set.

    The mend takes the literal away: the environment gives the secret, and where it gives none a random one is made at
    start, which nobody knows, so every signature is refused and every login fails until it is set. A service whose
    environment sets it sees no difference. Keys of sessions, cookies and tokens, which the workers of a service
    share, get advice only. Left alone: names, headers, URLs and placeholders.
    """

    id = "secret-in-code"
    category = "security"
    severity = "high"
    cwe = ("CWE-798",)
    title = "A secret stands in the code"
    sources = ("OWASP ASVS 5.0 13.3.1", "bandit B105")
    bad = (
        Example(
            'import os\n\nWEBHOOK_SECRET = os.getenv("WEBHOOK_SECRET", "shop-webhook-2024")\n'
            'PORT = os.getenv("PORT", "80")\n',
            'import os\nimport secrets\n\nWEBHOOK_SECRET = os.getenv("WEBHOOK_SECRET") or secrets.token_hex(32)\n'
            'PORT = os.getenv("PORT", "80")\n',
        ),
        Example(
            "import os\n\n\ndef load():\n    return {\n"
            '        "HOOK_SECRET": os.environ.get("HOOK_SECRET", "h-7Hq2vX9s"),\n'
            '        "KEY": os.environ.get("SIGNING_KEY", "changeme").encode(),\n    }\n',
            "import os\nimport secrets\n\n\ndef load():\n    return {\n"
            '        "HOOK_SECRET": os.environ.get("HOOK_SECRET") or secrets.token_hex(32),\n'
            '        "KEY": (os.environ.get("SIGNING_KEY") or secrets.token_hex(32)).encode(),\n    }\n',
        ),
        Example(
            'API_TOKEN = "9f8b2c7d1e4a6f3b"  # the shop\n',
            'import os\nimport secrets\n\nAPI_TOKEN = os.getenv("API_TOKEN") or secrets.token_hex(32)  # the shop\n',
        ),
    )
    good = (
        'import os\n\nSECRET = os.environ["SECRET"]\nTOKEN = os.getenv("TOKEN", "")\n'
        'TOKEN_URL = os.getenv("TOKEN_URL", "https://login.example/token")\n',
        'import os\n\nBACKEND = os.getenv("SECRETS_BACKEND", "env")\nMODE = os.getenv("TOKEN_MODE", "strict")\n',
        'API_KEY_HEADER = "X-Api-Key-2024"\nTOKEN_TYPE = "bearer"\nPASSWORD_FIELD = "password"\n',
        'ENV_API_KEY = "SHOP_API_KEY_2"\nINVALID_TOKEN = "invalid_token"\nSECRET = "<your secret>"\nTOKEN = "token"\n'
        'BAD_PASSWORD = "The password is wrong"\n',
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every literal that is a secret, never shown in the evidence."""
        for module in index.tree.modules.values():
            known = {id(secret.value) for secret in _secrets(module)}
            for other in literal_secrets(module, _is_secret):
                if id(other.value) not in known:
                    known.add(id(other.value))
                    yield self._advice(module, other)
            for secret in _secrets(module):
                kind = (
                    "is what is used where the environment gives none" if secret.reader else "is written in the code"
                )
                yield self.finding(
                    module,
                    secret.value,
                    evidence=f"{secret.name}: a literal of {len(str(secret.value.value))} characters {kind}",
                    recommendation="Take it from the environment alone, refuse to work without it, and "
                    "change the secret.",
                    anchor=secret.name,
                    mendable=_replacement(module, secret, "secrets.token_hex(32)") is not None
                    and not _SHARED_BY_WORKERS.search(secret.name),
                )

    def _advice(self, module: Module, literal: Literal) -> Finding:
        """What stands in an argument, an attribute, a header or an address: where it is set else is not known."""
        return self.finding(
            module,
            literal.value,
            evidence=f"{literal.name}: a literal of {literal.length} characters is written in the code",
            recommendation="Take it from the environment alone, refuse to work without it, and change the secret.",
            anchor=literal.name,
            mendable=False,
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The environment, or a random value that nobody knows."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        taken = "secrets" in bound_names(module) and module.imports.get("secrets") != "secrets"
        random = "token_hex(32)" if taken else "secrets.token_hex(32)"
        edits: list[Edit] = []
        needs_os = False
        for secret in _secrets(module):
            text = _replacement(module, secret, random) if secret.value.lineno in lines else None
            if text is None:
                continue
            edits.append(Edit(*module.span(secret.reader or secret.value), text))
            needs_os = needs_os or (secret.reader is None and not secret.is_setting)
        if not edits:
            return None
        wanted = ["from secrets import token_hex" if taken else "import secrets"]
        if needs_os and module.imports.get("os") != "os":
            wanted.insert(0, "import os")
        return Mend(
            "Take secrets from the environment alone",
            "Where the environment gives none, a random one is made at start: nobody knows it, so nothing verifies "
            "until it is set. The old literal is public and should be changed.",
            (edited(module, [*edits, *imports_of(module, wanted)]),),
        )


def imports_of(module: Module, wanted: list[str]) -> list[Edit]:
    """Imports, joined into one edit where they go to the same place."""
    edits = [edit for statement in wanted if (edit := module.insert_import(statement)).text]
    if (
        len(edits) == 2
        and edits[0].start == edits[1].start
        and not any(isinstance(node, ast.Import | ast.ImportFrom) for node in module.tree.body)
    ):
        first, second = wanted
        return [Edit(edits[0].start, edits[0].end, edits[0].text.replace(first, f"{first}\n{second}", 1))]
    return edits


def _secrets(module: Module) -> Iterator[_Secret]:
    for call in module.nodes(ast.Call):
        dotted = module.resolve(call.func) or ""
        if not dotted.endswith(_READERS) or len(call.args) + len(call.keywords) != 2:
            continue
        variable = call.args[0] if call.args else None
        default = call.args[1] if len(call.args) == 2 else call.keywords[0].value
        if isinstance(variable, ast.Constant) and isinstance(variable.value, str) and _is_literal(default) \
                and is_secret_name(variable.value):  # fmt: skip
            yield _Secret(variable.value, default, call, None)
    assigns: list[ast.Assign | ast.AnnAssign] = [*module.nodes(ast.Assign), *module.nodes(ast.AnnAssign)]
    for assign in assigns:
        target = assign.targets[0] if isinstance(assign, ast.Assign) else assign.target
        value = assign.value
        if not isinstance(target, ast.Name) or not _is_literal(value):
            continue
        parent = module.parent(assign)
        is_setting = isinstance(parent, ast.ClassDef) and any(
            ast.unparse(base).endswith("BaseSettings") for base in parent.bases
        )
        if not isinstance(parent, ast.Module) and not is_setting:
            continue
        named = is_secret_name(target.id) and (is_setting or _looks_secret(target.id, str(value.value)))
        if named or _KNOWN_FORMS.match(str(value.value)):
            yield _Secret(target.id, value, None, assign, is_setting)


def _is_secret(name: str, value: str) -> bool:
    """Whether a text that something of this name gets is a secret."""
    if _PLACEHOLDER.match(value.strip()):
        return False
    return (is_secret_name(name) and _looks_secret(name, value)) or bool(_KNOWN_FORMS.match(value))


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret, not a thing about one (its URL, header, lifetime)."""
    name = name.replace("-", "_")  # a header's
    return bool(_SECRET.search(name)) and not _ABOUT_ONE.search(name)


def _is_literal(node: ast.expr | None) -> TypeGuard[ast.Constant]:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    value = node.value.strip()
    return bool(value) and not _PLACEHOLDER.match(value)


def _looks_secret(name: str, value: str) -> bool:
    """Whether a constant's value could be one: not a word, a sentence, a header, an address or its own name."""
    if len(value) < 8 or " " in value or "/" in value[:8] or value.lower().startswith(("x-", "http")):
        return False
    if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", value):
        return False  # the name of a variable
    if re.fullmatch(r"[a-z]+([-_.:/][a-z]+)*([-_.:/]?v?\d{1,2})?", value):
        return False  # words, at most with a version: the key of a cache, the name of a file
    letters = re.sub(r"[^a-z]", "", value.lower())
    if letters and (letters in re.sub(r"[^a-z]", "", name.lower()) or re.fullmatch(r"[a-z]+([-_.][a-z]+)*", value)):
        return False
    if any(letter.isdigit() for letter in value):
        return True
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return entropy > 3.3 and len(value) >= 12


def _replacement(module: Module, secret: _Secret, random: str) -> str | None:
    if secret.is_setting:
        return random
    if secret.reader is None:
        if _KNOWN_FORMS.match(str(secret.value.value)) and not is_secret_name(secret.name):
            return None  # what the variable is for is not known
        return f'os.getenv("{secret.name.upper()}") or {random}'
    return read_or(module, secret.reader, random)


def read_or(module: Module, call: ast.Call, random: str) -> str | None:
    """What reads a variable, with a random value in place of its default: `os.getenv("KEY") or …`."""
    variable = module.segment(call.args[0])
    text = f"{module.segment(call.func)}({variable}) or {random}"
    parent = module.parent(call)
    is_plain = isinstance(
        parent, ast.Assign | ast.AnnAssign | ast.Dict | ast.keyword | ast.Return | ast.Tuple | ast.List
    )
    is_argument = isinstance(parent, ast.Call) and call in parent.args
    return text if is_plain or is_argument else f"({text})"

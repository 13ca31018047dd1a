"""The rule secret-in-code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.secrets.literal_secrets import Literal, is_guarded, literal_secrets
from swarm.rules.security.secrets.secret_words import (
    has_known_form,
    is_file_name,
    is_placeholder,
    is_secret_name,
    looks_secret,
)
from swarm.rules.security.secrets.shown_secrets import is_only_shown
from swarm.rules.writing.placing import bound_names

# What one worker signs or encrypts another must read: a random value for each process would break that.
_SHARED_BY_WORKERS = re.compile(r"^(app_|flask_)?secret_?key$|session|cookie|jwt|csrf|encrypt|fernet", re.IGNORECASE)
_READERS = ("os.getenv", "os.environ.get", "environ.get", "getenv")


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
    start, which nobody knows, so every signature is refused and every login fails until it is set. One that is only
    shown to other systems becomes empty. A service whose environment sets it sees no difference. Keys of sessions,
    cookies and tokens, which the workers of a service share, get advice only, and so do literals in arguments,
    attributes, mappings, comparisons, addresses and headers. A word counts too where the service works with it
    (`app.secret_key = "dev"`), unless the code itself compares the setting with it, to refuse it. Left alone: names,
    headers, URLs, placeholders for what others issue, and settings of classes for tests and developers.
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
            "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n"
            '    db_password: str = "clinic-2024"\n    admin_token: str = "letmein"\n\n'
            "    @property\n    def dsn(self) -> str:\n"
            '        return f"postgresql://clinic:{self.db_password}@db/clinic"\n',
            "import secrets\n\nfrom pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n"
            '    db_password: str = ""\n    admin_token: str = secrets.token_hex(32)\n\n'
            "    @property\n    def dsn(self) -> str:\n"
            '        return f"postgresql://clinic:{self.db_password}@db/clinic"\n',
        ),
        Example(
            'import os\n\nimport requests\n\nSHOP_PASSWORD = os.environ.get("SHOP_PASSWORD", "shop-pass-2024")\n'
            'HEADERS = {"Accept": "application/json", "Authorization": f"Bearer {SHOP_PASSWORD}"}\n\n\n'
            'def orders():\n    return requests.get("https://shop.example/orders", headers=HEADERS, timeout=5)\n',
            'import os\n\nimport requests\n\nSHOP_PASSWORD = os.environ.get("SHOP_PASSWORD", "")\n'
            'HEADERS = {"Accept": "application/json", "Authorization": f"Bearer {SHOP_PASSWORD}"}\n\n\n'
            'def orders():\n    return requests.get("https://shop.example/orders", headers=HEADERS, timeout=5)\n',
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
        Example(
            "from flask import Flask\nfrom itsdangerous import URLSafeSerializer\n\napp = Flask(__name__)\n"
            'app.secret_key = "dev"\nsigner = URLSafeSerializer("a7s6d5f4g3h2j1k0")\n\n\n'
            'def may(request):\n    return request.headers.get("X-Token") == "q1w2e3r4t5y6u7i8"\n',
            None,
        ),
        Example('API_KEYS = ["k9j8h7g6f5d4s3a2", "z1x2c3v4b5n6m7l8"]\n', None),
    )
    good = (
        'import os\n\n\nclass Settings:\n    secret_key = os.getenv("SECRET_KEY", "change-me")\n\n\n'
        'def check(settings):\n    if settings.secret_key == "change-me":\n'
        '        raise SystemExit("set SECRET_KEY")\n',
        "class DevelopmentConfig:\n    SECRET_KEY = 'dev'\n\n\nLABELS = {'secret_key': 'key'}\n"
        "SECRET_FIELDS = ['password', 'api_key']\nAPI_KEY = 'your-api-key'\n",
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
            secrets = list(_secrets(module))
            known = {id(secret.value) for secret in secrets}
            for other in literal_secrets(module):
                if id(other.value) not in known and not is_guarded(index, module, other.value):
                    known.add(id(other.value))
                    yield self._advice(module, other)
            for secret in secrets:
                if is_guarded(index, module, secret.value):
                    continue
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
        needs_os = emptied = False
        for secret in _secrets(module):
            text = _replacement(module, secret, random) if secret.value.lineno in lines else None
            if text is not None and _is_only_shown(index, module, secret):
                text, emptied = _emptied(module, secret), True
            if text is None:
                continue
            edits.append(Edit(*module.span(secret.reader or secret.value), text))
            needs_os = needs_os or (secret.reader is None and not secret.is_setting)
        if not edits:
            return None
        is_random = any(random in edit.text for edit in edits)
        wanted = ["from secrets import token_hex" if taken else "import secrets"] if is_random else []
        if needs_os and module.imports.get("os") != "os":
            wanted.insert(0, "import os")
        otherwise = []
        if is_random:
            otherwise.append("a random one is made at start: nobody knows it, so nothing verifies until it is set")
        if emptied:
            otherwise.append("one that is only shown to other systems is empty, and refused there until it is set")
        return Mend(
            "Take secrets from the environment alone",
            f"Where the environment gives none, {'; '.join(otherwise)}. "
            "The old literal is public and should be changed.",
            (edited(module, [*edits, *imports_of(module, wanted)]),),
        )


def _is_only_shown(index: Index, module: Module, secret: _Secret) -> bool:
    """Whether a secret is shown to other systems alone: then a random value would only be refused there."""
    if secret.reader is None:
        return is_only_shown(index, secret.name)
    assign = module.parent(secret.reader)
    target = assign.targets[0] if isinstance(assign, ast.Assign) else None
    return isinstance(target, ast.Name) and is_only_shown(index, target.id)


def _emptied(module: Module, secret: _Secret) -> str:
    if secret.is_setting:
        return '""'
    if secret.reader is None:
        return f'os.getenv("{secret.name.upper()}", "")'
    return f'{module.segment(secret.reader.func)}({module.segment(secret.reader.args[0])}, "")'


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
    for call in module.nodes(ast.Call) if module.mentions("getenv|environ") else ():
        if len(call.args) + len(call.keywords) != 2 or not (module.resolve(call.func) or "").endswith(_READERS):
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
            unparsed(base).endswith("BaseSettings") for base in parent.bases
        )
        if not isinstance(parent, ast.Module) and not is_setting:
            continue
        named = is_secret_name(target.id) and (is_setting or looks_secret(target.id, str(value.value)))
        if named or has_known_form(str(value.value)):
            yield _Secret(target.id, value, None, assign, is_setting)


def _is_literal(node: ast.expr | None) -> TypeGuard[ast.Constant]:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    value = node.value.strip()
    return bool(value) and not is_placeholder(value) and not is_file_name(value)


def _replacement(module: Module, secret: _Secret, random: str) -> str | None:
    if secret.is_setting:
        return random
    if secret.reader is None:
        if has_known_form(str(secret.value.value)) and not is_secret_name(secret.name):
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

"""The rule empty-signing-key."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.secrets.secret_in_code import imports_of, read_or
from swarm.rules.security.secrets.secret_words import is_secret_name
from swarm.rules.security.signatures.digests import last_name
from swarm.rules.security.signatures.empty_fields import EmptyField, empty_fields, field_edits
from swarm.rules.security.signatures.key_names import names_asked_for, names_of_compared, names_of_signing_keys
from swarm.rules.writing.placing import bound_names

_CONFIGS = ("starlette.config.Config", "decouple.Config")
_READERS = ("os.getenv", "os.environ.get")


@dataclass(frozen=True, slots=True)
class _Empty:
    """A secret that is empty where its variable is not set, or set to nothing (`must_be_set`): what reads it, or the
    field of settings that holds it."""

    module: Module
    node: ast.expr
    name: str
    reader: ast.Call | ast.Subscript | ast.BoolOp | None
    must_be_set: bool = False
    field: EmptyField | None = None

    @property
    def is_mendable(self) -> bool:
        """Whether its place shows how it is to be written."""
        return self.reader is not None or (self.field is not None and self.field.is_mendable)


class EmptySigningKey(Rule):
    """Where its variable is not set, the key is empty: anybody can make a signature with the empty key, and the check
    says yes. Nothing in the code asks whether it is set. `os.environ["SECRET"]` refuses a variable that is not there,
    and takes one that is set to nothing, as a line `SECRET=` of an environment file sets it: a low finding, until a
    probe proves it.

    The mend takes a random key in place of the empty one, which nobody knows: every signature is refused until the
    variable is set. A field of settings gets a length as well, so that one set to nothing is no key. A service whose
    environment sets it sees no difference.
    """

    id = "empty-signing-key"
    category = "security"
    severity = "high"
    cwe = ("CWE-1188", "CWE-636")
    title = "An unset signing key is the empty key"
    sources = ("OWASP ASVS 5.0 16.5.3, 13.3.1",)
    order = 64
    bad = (
        Example(
            "import hmac\nimport os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\n"
            'SECRET = os.getenv("HOOK_SECRET", "")\n\n\n@app.post("/hook")\nasync def hook(request: Request):\n'
            '    made = hmac.new(SECRET.encode(), await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
            "        raise HTTPException(401)\n    return {}\n",
            "import hmac\nimport os\nimport secrets\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
            'app = FastAPI()\nSECRET = os.getenv("HOOK_SECRET") or secrets.token_hex(32)\n\n\n@app.post("/hook")\n'
            "async def hook(request: Request):\n"
            '    made = hmac.new(SECRET.encode(), await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
            "        raise HTTPException(401)\n    return {}\n",
            "fastapi",
        ),
        Example(
            "import hmac\nimport os\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
            "def is_good(key, body, sent):\n"
            '    return hmac.compare_digest(hmac.new(key, body, "sha256").hexdigest().encode(), sent)\n\n\n'
            '@app.post("/hook")\ndef hook():\n    key = os.environ.get("HOOK_SECRET", "").encode()\n'
            '    if not is_good(key, request.data, request.headers.get("X-Sig", "").encode()):\n'
            "        abort(401)\n    return {}\n",
            "import hmac\nimport os\nimport secrets\n\nfrom flask import Flask, abort, request\n\n"
            "app = Flask(__name__)\n\n\ndef is_good(key, body, sent):\n"
            '    return hmac.compare_digest(hmac.new(key, body, "sha256").hexdigest().encode(), sent)\n\n\n'
            '@app.post("/hook")\ndef hook():\n'
            '    key = (os.environ.get("HOOK_SECRET") or secrets.token_hex(32)).encode()\n'
            '    if not is_good(key, request.data, request.headers.get("X-Sig", "").encode()):\n'
            "        abort(401)\n    return {}\n",
            "flask",
        ),
        Example(
            "import hmac\n\nfrom pydantic_settings import BaseSettings\n"
            "from starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\n\n"
            'class Settings(BaseSettings):\n    hook_secret: str = ""\n\n\nsettings = Settings()\n\n\n'
            "async def hook(request):\n"
            '    made = hmac.new(settings.hook_secret.encode(), await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers["x-sig"].encode()):\n'
            "        return JSONResponse({}, status_code=401)\n    return JSONResponse({})\n\n\n"
            'app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])\n',
            "import hmac\nimport secrets\n\nfrom pydantic import Field\nfrom pydantic_settings import BaseSettings\n"
            "from starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\n\n"
            "class Settings(BaseSettings):\n"
            "    hook_secret: str = Field(default_factory=lambda: secrets.token_hex(32), min_length=1)\n\n\n"
            "settings = Settings()\n\n\n"
            "async def hook(request):\n"
            '    made = hmac.new(settings.hook_secret.encode(), await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers["x-sig"].encode()):\n'
            "        return JSONResponse({}, status_code=401)\n    return JSONResponse({})\n\n\n"
            'app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])\n',
            "starlette",
        ),
        # a field that has to be there, and may hold nothing
        Example(
            "import hmac\nfrom functools import lru_cache\n\n"
            "from fastapi import Depends, FastAPI, HTTPException, Request\n"
            "from pydantic_settings import BaseSettings\n\n\n"
            "class Settings(BaseSettings):\n    hook_secret: str\n\n\n"
            "@lru_cache\ndef config() -> Settings:\n    return Settings()\n\n\n"
            "async def signed(request: Request):\n"
            '    made = hmac.new(config().hook_secret.encode(), await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
            "        raise HTTPException(401)\n\n\napp = FastAPI()\n\n\n"
            '@app.post("/hook", dependencies=[Depends(signed)])\nasync def hook(event: dict):\n    return {}\n',
            "import hmac\nfrom functools import lru_cache\n\n"
            "from fastapi import Depends, FastAPI, HTTPException, Request\n"
            "from pydantic import Field\nfrom pydantic_settings import BaseSettings\n\n\n"
            "class Settings(BaseSettings):\n    hook_secret: str = Field(min_length=1)\n\n\n"
            "@lru_cache\ndef config() -> Settings:\n    return Settings()\n\n\n"
            "async def signed(request: Request):\n"
            '    made = hmac.new(config().hook_secret.encode(), await request.body(), "sha256").hexdigest()\n'
            '    if not hmac.compare_digest(made.encode(), request.headers.get("X-Sig", "").encode()):\n'
            "        raise HTTPException(401)\n\n\napp = FastAPI()\n\n\n"
            '@app.post("/hook", dependencies=[Depends(signed)])\nasync def hook(event: dict):\n    return {}\n',
            "fastapi",
        ),
        # a variable that is there, and holds nothing
        Example(
            'import hmac\nimport os\n\nSECRET = os.environ["HOOK_SECRET"]\n\n\ndef is_good(body: bytes, sent: str):\n'
            '    made = hmac.new(SECRET.encode(), body, "sha256").hexdigest()\n'
            "    return hmac.compare_digest(made.encode(), sent.encode())\n",
            "import hmac\nimport os\nimport secrets\n\n"
            'SECRET = os.environ["HOOK_SECRET"] or secrets.token_hex(32)\n\n\n'
            "def is_good(body: bytes, sent: str):\n"
            '    made = hmac.new(SECRET.encode(), body, "sha256").hexdigest()\n'
            "    return hmac.compare_digest(made.encode(), sent.encode())\n",
        ),
    )
    good = (
        # somebody asks
        'import hmac\nimport os\n\nSECRET = os.getenv("HOOK_SECRET", "")\n\n\ndef is_good(body: bytes, sent: str):\n'
        "    if not SECRET:\n        return False\n"
        '    made = hmac.new(SECRET.encode(), body, "sha256").hexdigest()\n'
        "    return hmac.compare_digest(made.encode(), sent.encode())\n",
        # it signs what goes out
        'import hmac\nimport os\n\nSECRET = os.getenv("SHOP_SECRET", "")\n\n\ndef sign(body: bytes) -> str:\n'
        '    return hmac.new(SECRET.encode(), body, "sha256").hexdigest()\n',
        # a key that is looked at where it is read
        'import hmac\nimport os\n\nSECRET = os.environ["HOOK_SECRET"]\nif len(SECRET) < 16:\n'
        '    raise SystemExit("HOOK_SECRET is too short")\n\n\ndef is_good(body: bytes, sent: str):\n'
        '    made = hmac.new(SECRET.encode(), body, "sha256").hexdigest()\n'
        "    return hmac.compare_digest(made.encode(), sent.encode())\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every secret that may be empty, is a key of a check, and is never asked for."""
        for empty in _empty(index):
            yield self.finding(
                empty.module,
                empty.node,
                evidence=f"{empty.name} is empty where it is {_when(empty)}, and signatures are checked with it",
                severity="low" if empty.must_be_set else None,
                recommendation="Refuse to start, or every request, where the secret is not set.",
                anchor=empty.name,
                mendable=empty.is_mendable,
            )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A random key in place of the empty one."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        is_taken = "secrets" in bound_names(module) and module.imports.get("secrets") != "secrets"
        random = "token_hex(32)" if is_taken else "secrets.token_hex(32)"
        edits: list[Edit] = []
        for empty in _empty(index):
            if empty.module is not module or empty.node.lineno not in lines or not empty.is_mendable:
                continue
            if empty.field is not None:
                edits += field_edits(empty.field, random)
                continue
            text = _read_or(module, empty.reader, random) if empty.reader is not None else None
            if text is not None and empty.reader is not None:
                edits.append(Edit(*module.span(empty.reader), text))
        if not edits:
            return None
        is_random = any(random in edit.text for edit in edits)
        has_length = any("min_length" in edit.text for edit in edits)
        wanted = ["from secrets import token_hex" if is_taken else "import secrets"] if is_random else []
        why = [
            "where the environment gives no key, a random one is made, which nobody knows: nothing verifies until it "
            "is set" if is_random else "",
            "settings refuse a key that is set to nothing" if has_length else "",
        ]  # fmt: skip
        text = "; ".join(filter(None, why))
        return Mend(
            "Take no empty signing key",
            f"{text[:1].upper()}{text[1:]}. No signature made with the empty key is good.",
            (edited(module, [*dict.fromkeys(edits), *imports_of(module, wanted)]),),
        )


def _when(empty: _Empty) -> str:
    return "set to nothing" if empty.must_be_set else "not set"


def _read_or(module: Module, reader: ast.Call | ast.Subscript | ast.BoolOp, random: str) -> str | None:
    if isinstance(reader, ast.BoolOp):  # `os.getenv("KEY") or ""`
        start, end = module.span(reader)[0], module.span(reader.values[-1])[0]
        return f"{module.text[start:end]}{random}"
    if isinstance(reader, ast.Call) and len(reader.args) == 2:
        return read_or(module, reader, random)
    text = f"{module.segment(reader)} or {random}"
    is_plain = isinstance(module.parent(reader), ast.Assign | ast.AnnAssign | ast.Return | ast.keyword | ast.Dict)
    return text if is_plain else f"({text})"


def _set_to_nothing(module: Module, signing: frozenset[str]) -> Iterator[tuple[ast.Subscript, str]]:
    """`os.environ["KEY"]` of a key that signatures are checked with."""
    for read in module.nodes(ast.Subscript):
        name = read.slice.value if isinstance(read.slice, ast.Constant) else None
        if (
            not isinstance(name, str)
            or not isinstance(read.ctx, ast.Load)
            or module.resolve(read.value) != "os.environ"
        ):
            continue
        if {name, name.lower(), *_bound_to(module, read)} & signing:
            yield read, name


def _empty(index: Index) -> Iterator[_Empty]:
    signing = names_of_signing_keys(index)
    keys = signing | names_of_compared(index)
    asked = names_asked_for(index) if keys else frozenset()
    for module in index.tree.modules.values():
        if not keys or is_added(module):
            continue
        for call in module.nodes(ast.Call):
            if module.resolve(call.func) in _READERS and len(call.args) == 2 and not call.keywords:
                variable, default = (part.value if isinstance(part, ast.Constant) else None for part in call.args)
                if default == "" and isinstance(variable, str):
                    names = {variable, variable.lower(), *_bound_to(module, call)}
                    known = keys if is_secret_name(variable) else signing
                    if names & known and not names & asked:
                        yield _Empty(module, call, variable, call)
            variable = _or_nothing_of_config(index, module, call)
            if variable:
                names = {variable, variable.lower(), *_bound_to(module, call)}
                if names & (keys if is_secret_name(variable) else signing) and not names & asked:
                    yield _Empty(module, call, variable, call if len(call.keywords) == 1 else None)
        for either in module.nodes(ast.BoolOp):
            name = _or_nothing(module, either)
            known = keys if is_secret_name(name) else signing
            if name and {name, name.lower(), *_bound_to(module, either)} & known:
                yield _Empty(module, either, name, either)
        for read, name in _set_to_nothing(module, signing):
            if not {name, *_bound_to(module, read)} & asked:
                yield _Empty(module, read, name, read, must_be_set=True)
    for field in empty_fields(index, signing, keys, asked) if keys else ():
        if not is_added(field.module):
            yield _Empty(field.module, field.node, field.name, None, field.is_required, field)


def _or_nothing(module: Module, either: ast.BoolOp) -> str:
    """The variable of `os.getenv("KEY") or ""`."""
    first, last = either.values[0], either.values[-1]
    is_empty = isinstance(either.op, ast.Or) and isinstance(last, ast.Constant) and last.value == ""
    if not is_empty or not isinstance(first, ast.Call) or module.resolve(first.func) not in _READERS:
        return ""
    return str(first.args[0].value) if first.args and isinstance(first.args[0], ast.Constant) else ""


def _or_nothing_of_config(index: Index, module: Module, call: ast.Call) -> str:
    """The variable of `config("KEY", default="")`, Starlette's and decouple's; "" for any other call."""
    default = next((keyword.value for keyword in call.keywords if keyword.arg == "default"), None)
    if not isinstance(default, ast.Constant) or default.value != "" or len(call.args) != 1:
        return ""
    first = call.args[0]
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return ""
    reader = index.resolve(module, call.func) or ""
    is_config = reader == "decouple.config" or index.kinds.of(module, call.func) in _CONFIGS
    return first.value if is_config else ""


def _bound_to(module: Module, call: ast.expr) -> Iterator[str]:
    """What a read variable is called: the names that it is assigned to, a keyword or a key of a dictionary."""
    inner: ast.AST = call
    for around in module.ancestors(call):
        if isinstance(around, ast.Assign | ast.AnnAssign):
            targets = around.targets if isinstance(around, ast.Assign) else [around.target]
            yield from filter(None, (last_name(target) for target in targets))
        elif isinstance(around, ast.keyword) and around.arg:
            yield around.arg
        elif isinstance(around, ast.Dict) and inner in around.values:
            key = around.keys[around.values.index(inner)] if isinstance(inner, ast.expr) else None
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value
        elif isinstance(around, ast.Return):
            function = module.enclosing_function(around)
            yield from [function.name] if function is not None else []
        if isinstance(around, ast.stmt):
            return
        inner = around

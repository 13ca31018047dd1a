"""The rule empty-signing-key."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from swarm.analysis.added_modules import is_added
from swarm.analysis.edits import Edit
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.routes.route_paths import argument
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.secrets.secret_in_code import imports_of, read_or
from swarm.rules.security.secrets.secret_words import is_secret_name
from swarm.rules.security.signatures.digests import assigned, from_request, last_name
from swarm.rules.security.signatures.handed_keys import handed_to_object, variable_read
from swarm.rules.writing.placing import bound_names

_READERS = ("os.getenv", "os.environ.get")
_KEYED = ("hmac.new", "hmac.digest", "hmac.HMAC")
_COMPARING = ("hmac.compare_digest", "secrets.compare_digest")
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class _Empty:
    """A secret that is empty where its variable is not set, or set to nothing (`must_be_set`); `reader` is None where
    it is a field of settings."""

    module: Module
    node: ast.expr
    name: str
    reader: ast.Call | ast.Subscript | ast.BoolOp | None
    must_be_set: bool = False


class EmptySigningKey(Rule):
    """Where its variable is not set, the key is empty: anybody can make a signature with the empty key, and the check
    says yes. Nothing in the code asks whether it is set. `os.environ["SECRET"]` refuses a variable that is not there,
    and takes one that is set to nothing, as a line `SECRET=` of an environment file sets it: a low finding, until a
    probe proves it.

    The mend takes a random key in place of the empty one, which nobody knows: every signature is refused until the
    variable is set. A service whose environment sets it sees no difference.
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
            None,
            "starlette",
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
                mendable=empty.reader is not None,
            )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A random key in place of the empty one."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        is_taken = "secrets" in bound_names(module) and module.imports.get("secrets") != "secrets"
        random = "token_hex(32)" if is_taken else "secrets.token_hex(32)"
        edits: list[Edit] = []
        for empty in _empty(index):
            if empty.module is module and empty.reader is not None and empty.node.lineno in lines:
                text = _read_or(module, empty.reader, random)
                if text is not None:
                    edits.append(Edit(*module.span(empty.reader), text))
        if not edits:
            return None
        imported = imports_of(module, ["from secrets import token_hex" if is_taken else "import secrets"])
        return Mend(
            "Take no empty signing key",
            "Where the environment gives no key, a random one is made, which nobody knows: nothing verifies until it "
            "is set, and no signature made with the empty key is good.",
            (edited(module, [*edits, *imported]),),
        )


def _when(empty: _Empty) -> str:
    return "set to nothing" if empty.must_be_set else "not set"


def _read_or(module: Module, reader: ast.Call | ast.Subscript | ast.BoolOp, random: str) -> str | None:
    if isinstance(reader, ast.BoolOp):  # `os.getenv("KEY") or ""`
        start, end = module.span(reader)[0], module.span(reader.values[-1])[0]
        return f"{module.text[start:end]}{random}"
    if isinstance(reader, ast.Call):
        return read_or(module, reader, random)
    text = f"{module.segment(reader)} or {random}"
    is_plain = isinstance(module.parent(reader), ast.Assign | ast.AnnAssign | ast.Return | ast.keyword | ast.Dict)
    return text if is_plain else f"({text})"


def _set_to_nothing(index: Index, module: Module, signing: frozenset[str]) -> Iterator[tuple[ast.Subscript, str]]:
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
    signing = _names_of_signing_keys(index)
    keys = signing | _names_of_compared(index)
    asked = _asked_for(index) if keys else frozenset()
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
        for either in module.nodes(ast.BoolOp):
            name = _or_nothing(module, either)
            known = keys if is_secret_name(name) else signing
            if name and {name, name.lower(), *_bound_to(module, either)} & known:
                yield _Empty(module, either, name, either)
        for read, name in _set_to_nothing(index, module, signing):
            if not {name, *_bound_to(module, read)} & asked:
                yield _Empty(module, read, name, read, must_be_set=True)
        for field in module.nodes(ast.AnnAssign):
            owner = module.parent(field)
            is_empty = isinstance(field.value, ast.Constant) and field.value.value == ""
            if is_empty and isinstance(owner, ast.ClassDef) and isinstance(field.target, ast.Name) and field.value:
                is_settings = any("Settings" in unparsed(base) for base in owner.bases)
                name = field.target.id
                if is_settings and is_secret_name(name) and name in keys and name not in asked:
                    yield _Empty(module, field.value, name, None)


def _or_nothing(module: Module, either: ast.BoolOp) -> str:
    """The variable of `os.getenv("KEY") or ""`."""
    first, last = either.values[0], either.values[-1]
    is_empty = isinstance(either.op, ast.Or) and isinstance(last, ast.Constant) and last.value == ""
    if not is_empty or not isinstance(first, ast.Call) or module.resolve(first.func) not in _READERS:
        return ""
    return str(first.args[0].value) if first.args and isinstance(first.args[0], ast.Constant) else ""


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


def _names_of_compared(index: Index) -> frozenset[str]:
    """What is compared with what was sent is called."""
    found: set[str] = set()
    for function in index.functions:
        module = function.module
        if is_added(module):
            continue
        compared = [
            [node.left, *node.comparators] if isinstance(node, ast.Compare) else node.args
            for node in index.own_of(function, ast.Compare, ast.Call)
            if isinstance(node, ast.Compare) or module.resolve(node.func) in _COMPARING
        ]
        for sides in compared:
            if any(from_request(module, side) for side in sides):
                found |= {last_name(_bare(side)) for side in sides if not from_request(module, side)}
    return frozenset(name for name in found if name)


def _names_of_signing_keys(index: Index) -> frozenset[str]:
    """What the keys of digests that are checked are called."""
    found: set[str] = set()
    for module, call in _keyed(index):
        if not _is_compared_somewhere(index, module, call):
            continue
        key = argument(call, 0, "key")
        if key is not None:
            found |= _called(index, module, _bare(key), 0)
    return frozenset(name for name in found if name)


def _keyed(index: Index) -> Iterator[tuple[Module, ast.Call]]:
    for name in ("new", "digest", "HMAC"):
        for module, call in index.calls_named(name):
            if module.resolve(call.func) in _KEYED and not is_added(module):
                yield module, call


def _is_compared_somewhere(index: Index, module: Module, call: ast.Call) -> bool:
    """Whether the digest is one that is checked: its function, or one that calls it, compares."""
    function = index.enclosing(module, call)
    around = [function, *index.callers(function)] if function is not None else []
    if any(_compares(one.module, node) for one in around for node in index.own_nodes(one)):
        return True
    return any(_hands_to_comparer(index, one, function) for one in around[1:]) if function is not None else False


def _hands_to_comparer(index: Index, caller: Function, maker: Function) -> bool:
    """`same(sign(body), sent)`: the digest goes to a function of the service's own that compares."""
    for call in index.calls(caller):
        comparer = index.resolve_call(caller.module, call)
        if comparer is None or not any(_compares(comparer.module, node) for node in index.own_nodes(comparer)):
            continue
        for given in call.args:
            value = assigned(given, caller.node)
            if isinstance(value, ast.Call) and index.resolve_call(caller.module, value) is maker:
                return True
    return False


def _compares(module: Module, node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return module.resolve(node.func) in _COMPARING
    is_equality = isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq)
    return is_equality and not any(isinstance(side, ast.Constant) for side in getattr(node, "comparators", []))


def _called(index: Index, module: Module, key: ast.expr, depth: int) -> set[str]:
    """The names that a key goes by: its own, and where it is a parameter those that callers hand in."""
    names = {last_name(key.func if isinstance(key, ast.Call) else key)}
    function = index.enclosing(module, key)
    if function is not None:
        names |= {variable_read(where, value) for where, value in handed_to_object(index, function, key)}
    if not isinstance(key, ast.Name) or function is None or depth > _DEPTH:
        return names
    several = [a.arg for a in parameters(function.node)]
    if key.id in several:
        position = several.index(key.id) - (1 if several[0] in ("self", "cls") else 0)
        for where, call in index.calls_named(function.name) if position >= 0 else ():
            given = argument(call, position, key.id)
            if given is not None and index.resolve_call(where, call) is function:
                names |= _called(index, where, _bare(given), depth + 1)
    for node in index.own_of(function, ast.Assign):
        if any(last_name(target) == key.id for target in node.targets):
            value = _bare(node.value)
            if isinstance(value, ast.Name | ast.Attribute | ast.Subscript) and last_name(value) != key.id:
                names |= _called(index, module, value, depth + 1)
    return names


def _bare(node: ast.expr) -> ast.expr:
    """`SECRET` of `SECRET.encode()`, `bytes(SECRET, "utf8")` and `(SECRET or "")`."""
    for _ in range(4):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("encode", "strip")
        ):
            node = node.func.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("bytes", "str"):
            node = node.args[0] if node.args else node
        elif isinstance(node, ast.BoolOp):
            node = node.values[0]
        else:
            break
    return node


def _asked_for(index: Index) -> frozenset[str]:
    """Names that some test asks for: `if not SECRET`, `assert SECRET`, `SECRET == ""`, `len(SECRET) < 32`."""
    found: set[str] = set()
    for module in index.tree.modules.values():
        tests: list[ast.If | ast.IfExp | ast.Assert] = [
            *module.nodes(ast.If), *module.nodes(ast.IfExp), *module.nodes(ast.Assert)
        ]  # fmt: skip
        for node in tests:
            found |= _named_in(node.test)
        for boolean in module.nodes(ast.BoolOp):
            found |= {name for part in boolean.values for name in _named_in(part)}
        for negated in module.nodes(ast.UnaryOp):
            found |= _named_in(negated)
        for call in module.nodes(ast.Call):
            if isinstance(call.func, ast.Name) and call.func.id in ("bool", "all", "any", "len"):
                found |= {last_name(part) for given in call.args for part in walk(given)}
    return frozenset(found - {""})


def _named_in(test: ast.expr) -> set[str]:
    if isinstance(test, ast.UnaryOp):
        return _named_in(test.operand) if isinstance(test.op, ast.Not) else set()
    if isinstance(test, ast.BoolOp):
        return {name for part in test.values for name in _named_in(part)}
    if isinstance(test, ast.Compare):
        others = [side.value for side in test.comparators if isinstance(side, ast.Constant)]
        is_blank = any(other in ("", b"", None, 0) or isinstance(other, int) for other in others)
        return {last_name(part) for part in walk(test.left)} if is_blank else set()
    return {last_name(test)}

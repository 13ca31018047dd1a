"""The rule secret-in-urls."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.effects import http_call
from swarm.analysis.index import Function, Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.reading.keyed import keyed_read
from swarm.analysis.source import Module, parameters
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Rule
from swarm.rules.security.injection.texts.built_text import read_text
from swarm.rules.security.secrets.secret_words import is_secret_name
from swarm.rules.security.signatures.digests import assigned, is_shared_secret, last_name

_QUERY = re.compile(
    r"[?&](api_?key|apikey|key|token|access_?(key|token)|auth_?(key|token)|secret|password|auth)=$",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"^(api_?key|apikey|key|token|access_?(key|token)|auth_?(key|token)|secret|password|passwd|auth)$", re.IGNORECASE
)
_COMPARING = ("hmac.compare_digest", "secrets.compare_digest")
_READERS = ("query_params", "args")


class SecretInUrls(Rule):
    """A secret stands in an address: servers, proxies, browsers and error messages write addresses down, and so the
    secret goes where nobody may use it.

    Found are secrets that a sender must give in the query, and those that the service itself puts into the query of
    what it calls. There is no mend: the other side must take it elsewhere.
    """

    id = "secret-in-urls"
    category = "security"
    severity = "low"
    cwe = ("CWE-598",)
    title = "A secret stands in an address"
    sources = ("OWASP ASVS 5.0 14.2.1",)
    bad = (
        Example(
            "import os\n\nfrom fastapi import FastAPI, HTTPException\n\napp = FastAPI()\n"
            "HOOK_TOKEN = os.environ['HOOK_TOKEN']\n\n\n@app.post('/hook')\n"
            "async def hook(token: str, event: dict):\n"
            "    if token != HOOK_TOKEN:\n        raise HTTPException(401)\n    return {}\n",
            None,
            "fastapi",
        ),
        Example(
            "import hmac\nimport os\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n"
            "SECRET = os.environ['HOOK_SECRET']\n\n\n@app.post('/hook')\ndef hook():\n"
            "    if not hmac.compare_digest(request.args.get('secret', '').encode(), SECRET.encode()):\n"
            "        abort(401)\n    return {}\n",
            None,
            "flask",
        ),
        Example(
            "import os\n\nimport httpx\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\nfrom starlette.routing import Route\n\n"
            "API_KEY = os.environ['MAPS_API_KEY']\n\n\nasync def place(request):\n"
            "    async with httpx.AsyncClient(timeout=5) as client:\n"
            "        answer = await client.get(f'https://maps.example/v1/places?key={API_KEY}')\n"
            "    return JSONResponse(answer.json())\n\n\napp = Starlette(routes=[Route('/place', place)])\n",
            None,
            "starlette",
        ),
    )
    good = (
        "import os\n\nimport httpx\n\nAPI_KEY = os.environ['MAPS_API_KEY']\n\n\ndef place(name: str):\n"
        "    return httpx.get('https://maps.example/v1/places', params={'q': name},\n"
        "                     headers={'Authorization': f'Bearer {API_KEY}'}, timeout=5)\n",
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/verify')\nasync def verify(token: str):\n"
        "    return {'known': token in app.state.tokens}\n",
        "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.get('/find')\ndef find():\n"
        "    return {'key': request.args.get('key')}\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every secret that is taken from, or sent in, an address."""
        for function, node, name in _taken(index):
            yield self.finding(
                function.module,
                node,
                evidence=f"{function.qualname} takes its secret from the query parameter {name}",
                recommendation="Take it from a header, better a signature over the body.",
                anchor=f"{function.qualname}: {name}",
                mendable=False,
            )
        for module in index.tree.modules.values():
            for call in module.nodes(ast.Call) if not is_added(module) else ():
                for name in _sent(module, call) if http_call(index, module, call) is not None else ():
                    yield self.finding(
                        module,
                        call,
                        evidence=f"{module.segment(call.func)} sends {name} in its address",
                        recommendation="Send it in a header, where the other side takes it there.",
                        anchor=f"{module.segment(call.func)}: {name}",
                        mendable=False,
                    )


def _taken(index: Index) -> Iterator[tuple[Function, ast.AST, str]]:
    """Comparisons of the service's secret with a query parameter."""
    for function in index.functions:
        module = function.module
        if is_added(module):
            continue
        for node in index.own_of(function, ast.Compare, ast.Call):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                sides = [node.left, *node.comparators]
            elif isinstance(node, ast.Call) and module.resolve(node.func) in _COMPARING:
                sides = list(node.args)
            else:
                continue
            bare = [_bare(side) for side in sides]
            if not any(is_shared_secret(module, side) for side in bare):
                continue
            name = next((found for side in bare if (found := _queried(index, function, side))), "")
            if name:
                yield function, node, name


def _queried(index: Index, function: Function, node: ast.expr) -> str:
    """The query parameter that a value was read from."""
    value = _bare(assigned(node, function.node))
    read = keyed_read(value)
    if read is None:
        return _parameter(index, function, value)
    owner, key = read
    if isinstance(owner, ast.Attribute) and owner.attr in _READERS and isinstance(key, ast.Constant):
        return str(key.value)
    return ""


def _parameter(index: Index, function: Function, value: ast.expr) -> str:
    """FastAPI takes a plain parameter of a handler from the query."""
    if not isinstance(value, ast.Name) or not _NAME.match(value.id):
        return ""
    route = next((r for r in index.routes if r.function is function and r.framework == "fastapi"), None)
    note = next((a.annotation for a in parameters(function.node) if a.arg == value.id), None)
    if route is None or note is None or "{" + value.id in route.path:
        return ""
    text = unparsed(function.node.args)
    is_elsewhere = re.search(rf"\b{value.id}: [^,=]*(=\s*)?[^,]*\b(Header|Cookie|Form|Body|Depends|Security)\(", text)
    return value.id if unparsed(note) in ("str", "str | None", "Optional[str]") and not is_elsewhere else ""


def _sent(module: Module, call: ast.Call) -> Iterator[str]:
    """Secrets in the query of an outgoing call: in the text of its address, or among its params."""
    for keyword in call.keywords:
        if keyword.arg == "params" and isinstance(keyword.value, ast.Dict):
            yield from _in_query(module, keyword.value)
    for given in (*call.args[:2], *(k.value for k in call.keywords if k.arg == "url")):
        function = module.enclosing_function(given)
        address = assigned(given, function)
        for part in walk(address):
            made = assigned(part, function) if isinstance(part, ast.Name) else part
            is_query = isinstance(made, ast.Call) and module.resolve(made.func) == "urllib.parse.urlencode"
            if is_query and isinstance(made, ast.Call) and made.args and isinstance(made.args[0], ast.Dict):
                yield from _in_query(module, made.args[0])
        text = read_text(module, address) if isinstance(address, ast.expr) else None
        for hole in text.holes if text is not None else ():
            before = text.written[: hole.place] if text is not None else ""
            name = last_name(hole.expression)
            if _QUERY.search(before) and name and is_secret_name(name):
                yield name


def _in_query(module: Module, query: ast.Dict) -> Iterator[str]:
    """Secrets among the parts of a query."""
    for key, value in zip(query.keys, query.values, strict=True):
        name = last_name(value)
        if is_shared_secret(module, value) and is_secret_name(name):
            yield name
        elif isinstance(key, ast.Constant) and _NAME.match(str(key.value)) and _is_setting(module, value):
            yield name or str(key.value)


def _is_setting(module: Module, node: ast.expr) -> bool:
    """Whether a value is read from the environment, where it stands or into a name of the module."""
    if isinstance(node, ast.Name):
        node = getattr(module.globals.get(node.id), "value", node)
    owner = module.enclosing_class(node)
    if isinstance(node, ast.Attribute) and owner is not None and unparsed(node.value) == "self":
        made = [assign.value for assign in walk(owner) if isinstance(assign, ast.Assign)
                and unparsed(assign.targets[0]) == unparsed(node)]  # fmt: skip
        node = made[0] if len(made) == 1 else node
    text = module.segment(node)
    return re.match(r"(os\.)?(environ\b|getenv\()", text) is not None


def _bare(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "encode":
        node = node.func.value
    return node.values[0] if isinstance(node, ast.BoolOp) else node

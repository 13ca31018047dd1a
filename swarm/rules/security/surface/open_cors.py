"""The rule open-cors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Index
from swarm.analysis.module import walk
from swarm.analysis.source import FunctionNode, Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Rule
from swarm.rules.security.signatures.digests import assigned

_MIDDLEWARES = ("starlette.middleware.cors.CORSMiddleware", "fastapi.middleware.cors.CORSMiddleware")
_FLASK = ("flask_cors.CORS", "flask_cors.cross_origin", "flask_cors.extension.CORS")
_ANY = frozenset({"*", ".*", "^.*$", ".+", "https?://.*", "http.*", "https://.*"})
_ORIGIN, _CREDENTIALS = "access-control-allow-origin", "access-control-allow-credentials"


class OpenCors(Rule):
    """Pages of every origin may call the service in their visitors' names: any origin is allowed, and cookies and
    logins with it. The libraries then say the asking origin back, since browsers refuse `*` with credentials.

    Left alone are lists of origins, and any origin without credentials. There is no mend: which pages are meant, only
    the owner knows; webhooks need none.
    """

    id = "open-cors"
    category = "security"
    severity = "medium"
    cwe = ("CWE-942",)
    title = "Every origin is let in with credentials"
    sources = ("OWASP ASVS 5.0 3.4.2", "fetch.spec.whatwg.org: CORS and credentials")
    bad = (
        Example(
            "from fastapi import FastAPI\nfrom fastapi.middleware.cors import CORSMiddleware\n\napp = FastAPI()\n"
            'app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True, allow_methods=["*"])\n',
            None,
            "fastapi",
        ),
        Example(
            "from flask import Flask\nfrom flask_cors import CORS\n\napp = Flask(__name__)\n"
            "CORS(app, supports_credentials=True)\n",
            None,
            "flask",
        ),
        Example(
            "from starlette.applications import Starlette\nfrom starlette.middleware import Middleware\n"
            "from starlette.middleware.cors import CORSMiddleware\n\napp = Starlette(middleware=[\n"
            '    Middleware(CORSMiddleware, allow_origin_regex=".*", allow_credentials=True),\n])\n',
            None,
            "starlette",
        ),
        Example(
            "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.after_request\ndef cors(response):\n"
            '    response.headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")\n'
            '    response.headers["Access-Control-Allow-Credentials"] = "true"\n    return response\n',
            None,
            "flask",
        ),
    )
    good = (
        "from fastapi import FastAPI\nfrom fastapi.middleware.cors import CORSMiddleware\n\napp = FastAPI()\n"
        'app.add_middleware(CORSMiddleware, allow_origins=["https://app.shop.example"], allow_credentials=True)\n',
        "from fastapi import FastAPI\nfrom fastapi.middleware.cors import CORSMiddleware\n\napp = FastAPI()\n"
        'app.add_middleware(CORSMiddleware, allow_origins=["*"])\n',
        'from flask import Flask\nfrom flask_cors import CORS\n\napp = Flask(__name__)\nCORS(app, origins=["https://a.example"],'
        " supports_credentials=True)\n",
        "from flask import Flask, request\n\napp = Flask(__name__)\nORIGINS = {'https://a.example'}\n\n\n"
        "@app.after_request\ndef cors(response):\n    origin = request.headers.get('Origin')\n"
        "    if origin in ORIGINS:\n        response.headers['Access-Control-Allow-Origin'] = origin\n"
        "        response.headers['Access-Control-Allow-Credentials'] = 'true'\n    return response\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every place that lets any origin in with credentials."""
        for module in index.tree.modules.values():
            if is_added(module):
                continue
            for node, how in [*_by_library(index, module), *_by_hand(module)]:
                yield self.finding(
                    module,
                    node,
                    evidence=how,
                    recommendation="Name the origins whose pages may ask; without such pages, take CORS away.",
                    anchor=how,
                    mendable=False,
                )


def _by_library(index: Index, module: Module) -> Iterator[tuple[ast.AST, str]]:
    for call in module.nodes(ast.Call):
        given = _given(module, call)
        if not given.keys() & {"allow_credentials", "supports_credentials"}:
            continue
        names = [index.resolve(module, call.func) or ""]
        if call.args:
            names.append(index.resolve(module, call.args[0]) or "")  # add_middleware(CORSMiddleware, …)
        if any(name in _MIDDLEWARES for name in names):
            if _is_true(given.get("allow_credentials")) and (
                _is_any(module, given.get("allow_origins")) or _is_any(module, given.get("allow_origin_regex"))
            ):
                yield call, "CORSMiddleware allows any origin, with credentials"
        elif names[0] in _FLASK and _is_true(given.get("supports_credentials")):
            origins = given.get("origins") or _of_resources(given.get("resources"))
            if origins is None or _is_any(module, origins):
                yield call, f"{names[0].rsplit('.', 1)[-1]} allows any origin, with credentials"


def _given(module: Module, call: ast.Call) -> dict[str, ast.expr]:
    """The call's keywords, those of a mapping of the module's that is spread into it as well."""
    found: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg:
            found[keyword.arg] = keyword.value
            continue
        name = keyword.value.id if isinstance(keyword.value, ast.Name) else ""
        spread = getattr(module.globals.get(name), "value", None)
        if isinstance(spread, ast.Dict):
            pairs = zip(spread.keys, spread.values, strict=True)
            found.update({str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)})
    return found


def _of_resources(resources: ast.expr | None) -> ast.expr | None:
    """`resources={r"/api/*": {"origins": "*"}}`."""
    for part in walk(resources) if resources is not None else ():
        if isinstance(part, ast.Dict):
            for key, value in zip(part.keys, part.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "origins":
                    return value
    return None


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _is_any(module: Module, node: ast.expr | None) -> bool:
    """Whether `*` or a pattern of everything is among the origins; a name counts by what the module gives it."""
    if isinstance(node, ast.Name):
        value = assigned(node, module.enclosing_function(node))
        node = value if value is not node else getattr(module.globals.get(node.id), "value", None)
    if isinstance(node, ast.Call) and len(node.args) == 2:  # os.getenv("CORS_ORIGINS", "*")
        node = node.args[1]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "split":
        return _is_any(module, node.func.value)
    parts = node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else [node]
    return any(isinstance(part, ast.Constant) and part.value in _ANY for part in parts)


def _by_hand(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Headers written by the service itself: the asking origin said back, and credentials allowed."""
    written: dict[FunctionNode | None, dict[str, ast.Assign]] = {}
    for assign in module.nodes(ast.Assign):
        target = assign.targets[0]
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            name = str(target.slice.value).lower()
            if name in (_ORIGIN, _CREDENTIALS):
                written.setdefault(module.enclosing_function(assign), {})[name] = assign
    for function, headers in written.items():
        if function is None or len(headers) < 2 or not _says_true(headers[_CREDENTIALS].value):
            continue
        value = headers[_ORIGIN].value
        value = value.values[0] if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or) else value
        origin = module.segment(assigned(value, function))
        said_back = re.search(r"headers(\.get\(|\[)['\"]origin", origin, re.IGNORECASE)
        is_asked = any(
            isinstance(around, ast.If | ast.IfExp) and not _is_whether_sent(around.test)
            for around in module.ancestors(headers[_ORIGIN])
        )
        if said_back and not is_asked:
            yield headers[_ORIGIN], "the asking origin is said back, with credentials"


def _is_whether_sent(test: ast.expr) -> bool:
    """`if origin:`, `if "Origin" in request.headers:`: that one was sent says nothing of which."""
    if isinstance(test, ast.Compare):
        return (isinstance(test.ops[0], ast.IsNot) and len(test.ops) == 1) or (
            isinstance(test.left, ast.Constant) and isinstance(test.ops[0], ast.In)
        )
    return isinstance(test, ast.Name | ast.NamedExpr) or (
        isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.func.attr == "get"
    )


def _says_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and str(node.value).lower() == "true"

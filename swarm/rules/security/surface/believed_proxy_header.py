"""The rule believed-proxy-header."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Function, Index
from swarm.analysis.module import walk
from swarm.analysis.routes.finding import DEPENDS
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Rule
from swarm.rules.writing.placing import GUARDS

_HEADERS = frozenset({
    "x-forwarded-for", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "x-cluster-client-ip",
    "x-originating-ip", "x-remote-ip", "x-forwarded-host", "forwarded", "http-x-forwarded-for", "http-x-real-ip",
})  # fmt: skip
_PEER = re.compile(r"remote_addr|REMOTE_ADDR|\.client\b|\bpeer")
_REFUSES = re.compile(r"\b429\b|TOO_MANY_REQUESTS")
_LOCAL = re.compile(r"^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|::1|localhost)")
_COUNTS = re.compile(r"rate|limit|throttl|bucket|attempt|quota|blocked|banned|allow|trusted", re.IGNORECASE)
# a proxy of the service's own is asked who came
_KNOWS_PROXIES = re.compile(
    r"ProxyFix|ProxyHeadersMiddleware|trusted_prox|TRUSTED_PROX|forwarded[-_]allow|num_proxies|PROXY_COUNT",
    re.IGNORECASE,
)  # fmt: skip


class BelievedProxyHeader(Rule):
    """Who sends a request is read from a header that anybody can write, and decides whether he is let in or counted:
    `X-Forwarded-For: 127.0.0.1` opens an allow list, and another address in each request resets every limit.

    Left alone is what is only logged, and code that looks at the peer's address as well or counts its proxies. There
    is no mend: which proxies stand in front, the owner knows.
    """

    id = "believed-proxy-header"
    category = "security"
    severity = "medium"
    cwe = ("CWE-348", "CWE-290")
    title = "A header that anybody can write tells who is let in"
    sources = ("OWASP ASVS 5.0 4.1.3",)
    bad = (
        Example(
            "from fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\nALLOWED = {'203.0.113.7'}\n\n\n"
            "@app.post('/hook')\nasync def hook(request: Request):\n"
            "    address = request.headers.get('X-Forwarded-For', '').split(',')[0]\n"
            "    if address not in ALLOWED:\n        raise HTTPException(403)\n    return {}\n",
            None,
            "fastapi",
        ),
        Example(
            "from flask import Flask, abort, request\n\napp = Flask(__name__)\nattempts = {}\n\n\n"
            "def sender():\n    return request.headers.get('X-Real-IP')\n\n\n@app.post('/login')\ndef login():\n"
            "    who = sender()\n    attempts[who] = attempts.get(who, 0) + 1\n    if attempts[who] > 5:\n"
            "        abort(429)\n    return {}\n",
            None,
            "flask",
        ),
        Example(
            "from starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n"
            "from starlette.routing import Route\n\n\nasync def admin(request):\n"
            "    if request.headers.get('x-forwarded-for') != '127.0.0.1':\n"
            "        return JSONResponse({}, status_code=403)\n    return JSONResponse({'ok': True})\n\n\n"
            "app = Starlette(routes=[Route('/admin', admin)])\n",
            None,
            "starlette",
        ),
    )
    good = (
        # only told
        "import logging\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/hook')\n"
        "def hook():\n    logging.info('from %r', request.headers.get('X-Forwarded-For'))\n    return {}\n",
        # believed from the service's own proxy alone
        "from fastapi import FastAPI, HTTPException, Request\n\napp = FastAPI()\nALLOWED = {'203.0.113.7'}\n"
        "PROXY = '10.0.0.2'\n\n\n@app.post('/hook')\nasync def hook(request: Request):\n"
        "    address = request.client.host\n    if address == PROXY:\n"
        "        address = request.headers.get('X-Forwarded-For', '').split(',')[-1].strip()\n"
        "    if address not in ALLOWED:\n        raise HTTPException(403)\n    return {}\n",
        "from starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n"
        "from starlette.routing import Route\n\n\nasync def kind(request):\n"
        "    if request.headers.get('x-kind') != 'lead':\n        return JSONResponse({}, status_code=400)\n"
        "    return JSONResponse({})\n\n\napp = Starlette(routes=[Route('/kind', kind)])\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every function that decides by such a header, once."""
        for function, node, header in _deciding(index):
            yield self.finding(
                function.module,
                node,
                evidence=f"{function.qualname} decides by {header}, which any sender can write",
                recommendation="Take the address of the connection; believe the header from your own proxies alone.",
                anchor=f"{function.qualname} {header}",
                mendable=False,
            )


def _deciding(index: Index) -> Iterator[tuple[Function, ast.AST, str]]:
    reading = {module for module in index.tree.modules.values() if _names_header(module)}
    several = [function for function in index.functions if function.module in reading]
    named = {function: header for function in several if (header := _given_back(index, function))}
    callers = {caller for function in named for caller in index.callers(function)}
    callers |= {one for one in index.functions if named and any(_depended(one))}
    for function in index.functions:
        module = function.module
        if module not in reading and function not in callers:
            continue
        is_ours = not is_added(module) and not GUARDS & module.globals.keys()
        if not is_ours or not index.on_request_path(module, function.node.body[0]):
            continue
        held = _held(index, function, named)
        for node in index.own_nodes(function):
            header = _decides(module, node, held)
            if header and not _asks_who_brought_it(index, function, named):
                yield function, node, header
                break


def _names_header(module: Module) -> bool:
    """Whether one of these headers stands in the module's text."""
    text = module.lower_text.replace("_", "-")
    return any(header in text for header in _HEADERS)


def _asks_who_brought_it(index: Index, function: Function, named: dict[Function, str]) -> bool:
    """Whether the header is believed from proxies that the code knows, told by the address of the connection: where
    that address only stands in for a header that was not sent, anybody is believed."""
    module = function.module
    if _KNOWS_PROXIES.search(module.segment(function.node)):
        return True
    peers = {
        target.id
        for node in index.own_of(function, ast.Assign) if _PEER.search(text := module.segment(node.value))
        if not any(header in text.lower() for header in _HEADERS)
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    for node in index.own_nodes(function):
        if not _read(node) and not (isinstance(node, ast.Call) and index.resolve_call(module, node) in named):
            continue
        for around in module.ancestors(node):
            test = around.test if isinstance(around, ast.If | ast.IfExp) else None
            if test is not None and any(
                isinstance(part, ast.Compare | ast.Call) and not _is_for_none(part) and _names(module, part, peers)
                for part in walk(test)
            ):
                return True
    return False


def _is_for_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.IsNot)


def _names(module: Module, node: ast.expr, peers: set[str]) -> bool:
    """Whether the address of the connection is looked at there."""
    return _PEER.search(module.segment(node)) is not None or any(
        isinstance(part, ast.Name) and part.id in peers for part in walk(node)
    )


def _given_back(index: Index, function: Function) -> str:
    """The header that a function returns, so that its callers decide by it."""
    if is_added(function.module) or _asks_who_brought_it(index, function, {}):
        return ""
    module, held = function.module, _held(index, function, {})
    for node in index.own_of(function, ast.Return):
        if node.value is not None:
            header = _header_in(module, node.value, held)
            if header:
                return header
    return ""


def _held(index: Index, function: Function, named: dict[Function, str]) -> dict[str, str]:
    """What stands for such a header in a function: by name or call, the header."""
    held: dict[str, str] = {}
    module, nodes = function.module, index.own_nodes(function)
    for node in nodes:
        called = index.resolve_call(module, node) if named and isinstance(node, ast.Call) else None
        header = named.get(called, "") if called is not None else ""
        if header:
            held[module.segment(node)] = header
    for argument, default in _depended(function):
        given = index.named_function(module, default)
        if given is not None and named.get(given):
            held[argument] = named[given]
    for assign in (node for node in nodes if isinstance(node, ast.Assign)):
        header = _header_in(module, assign.value, held)
        for target in assign.targets:
            if header and isinstance(target, ast.Name):
                held[target.id] = header
    return held


def _depended(function: Function) -> Iterator[tuple[str, ast.expr]]:
    """Parameters that FastAPI fills by `Depends(…)`, with what it runs for them."""
    arguments = function.node.args
    several = [*arguments.posonlyargs, *arguments.args]
    pairs = list(zip(reversed(several), reversed(arguments.defaults), strict=False))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    for argument, default in pairs:
        if isinstance(default, ast.Call) and default.args and (
            function.module.resolve(default.func) or ""
        ) in DEPENDS:  # fmt: skip
            yield argument.arg, default.args[0]


def _read(node: ast.AST) -> str:
    """The header that an expression reads: `request.headers.get("X-Real-IP")`, `environ["HTTP_X_REAL_IP"]`."""
    key: ast.expr | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "getlist"):
        key = node.args[0] if node.args and _is_request(node.func.value) else None
    elif isinstance(node, ast.Subscript) and _is_request(node.value):
        key = node.slice
    if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
        return ""
    name = key.value.lower().replace("_", "-")
    return key.value if name in _HEADERS else ""


def _is_request(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):  # of a middleware's scope
        return node.id in ("headers", "hdrs", "environ", "request_headers")
    return isinstance(node, ast.Attribute) and node.attr in ("headers", "environ", "META")


def _header_in(module: Module, node: ast.AST, held: dict[str, str]) -> str:
    for part in walk(node):
        found = _read(part)
        if not found and isinstance(part, ast.Name | ast.Call):
            found = held.get(module.segment(part), "") if held else ""
        if found:
            return found
    return ""


def _decides(module: Module, node: ast.AST, held: dict[str, str]) -> str:
    """The header by which a comparison lets in, or a counter counts."""
    if isinstance(node, ast.Compare):
        header = _header_in(module, node, held)
        others = [part.value for side in (node.left, *node.comparators) for part in walk(side)
                  if isinstance(part, ast.Constant)]  # fmt: skip
        is_membership = any(isinstance(op, ast.In | ast.NotIn) for op in node.ops)
        if is_membership and _header_in(module, node.left, held):
            return header if not isinstance(node.comparators[0], ast.Constant) else ""
        if any(isinstance(other, str) and _LOCAL.match(other) for other in others):
            return header
        if not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops) or others:
            return ""
        return header
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        around = module.enclosing_function(node)
        counts = _COUNTS.search(module.segment(node.value)) or (
            around is not None and _REFUSES.search(module.segment(around))
        )
        return _header_in(module, node.slice, held) if counts else ""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "startswith":
        asked = [part.value for part in walk(node) if isinstance(part, ast.Constant)]
        is_inside = any(isinstance(one, str) and _LOCAL.match(one) for one in asked)
        return _header_in(module, node.func.value, held) if is_inside else ""
    if isinstance(node, ast.Call) and _COUNTS.search(module.segment(node.func)):
        return next((found for given in node.args if (found := _header_in(module, given, held))), "")
    return ""

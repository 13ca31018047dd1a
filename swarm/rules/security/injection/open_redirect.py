"""The rule open-redirect."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.incoming import is_request
from swarm.analysis.dataflow.values import Taint
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.module import walk
from swarm.analysis.source import FunctionNode, Module, parameters
from swarm.core.patches import FileChange
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls, given
from swarm.rules.security.injection.kept_modules import KeptModule
from swarm.rules.security.injection.texts.filled_places import bindings

_REDIRECTS = (
    "flask.redirect", "werkzeug.utils.redirect", "starlette.responses.RedirectResponse",
    "fastapi.responses.RedirectResponse",
)  # fmt: skip
_ANSWERS = (
    "starlette.responses.Response", "fastapi.Response", "fastapi.responses.Response", "flask.Response",
    "werkzeug.wrappers.Response",
)  # fmt: skip
_RETURN = re.compile(
    r"(next|return|back|continue|came_?from|redirect_?(back|after))(_?(to|url|uri|path|page))?$", re.I
)
_GUARD = KeptModule("own_address", "own_address", "STAYS_HERE", 400)


class OpenRedirect(MendingFlowRule):
    """A request chooses where an answer leads: a link to the service takes its victim to any other host.

    Left alone: addresses whose host is fixed (`"/orders/" + id`), hosts that were checked against a list, targets
    that were checked to begin with one slash and not with two, `url_for`.

    Where the code shows that a path of the service is meant (the value is called `next` or the like, or is a path
    where none is sent), the mend refuses other hosts: the host that was asked and `REDIRECT_HOSTS` are led to as
    before, and `KEEP_REDIRECTS_HERE=0` turns it off. Elsewhere other hosts may be meant: there it only recommends.
    """

    id = "open-redirect"
    category = "security"
    severity = "medium"
    cwe = ("CWE-601",)
    title = "A request chooses where it is sent on to"
    sources = ("OWASP ASVS 5.0 3.7.2", "OWASP: unvalidated redirects")
    harm = "is where the answer leads"
    recommendation = "Lead to paths of the service alone, or compare the host with a fixed list."
    bad = (
        Example(
            "from flask import Flask, redirect, request\n\napp = Flask(__name__)\n\n\n@app.get('/out')\ndef out():\n"
            "    return redirect(request.args.get('next') or '/')\n",
            "from flask import Flask, redirect, request\n\nfrom own_address import own_address\n\n"
            "app = Flask(__name__)\n\n\n@app.get('/out')\ndef out():\n"
            "    return redirect(own_address(request.args.get('next') or '/', request.host))\n",
            "flask",
        ),
        Example(
            "from fastapi import FastAPI\nfrom fastapi.responses import RedirectResponse\n\napp = FastAPI()\n\n\n"
            "@app.get('/out')\nasync def out(to: str):\n    return RedirectResponse(url=to)\n",
            None,
            "fastapi",
        ),
        Example(
            "from fastapi import FastAPI, Request\nfrom fastapi.responses import RedirectResponse\n\n"
            "app = FastAPI()\n\n\n@app.get('/{shop}/login')\nasync def login(request: Request, shop: str):\n"
            "    url = f'https://{shop}/admin/oauth/authorize?' f'client_id=1'\n    return RedirectResponse(url)\n",
            None,
            "fastapi",
        ),
        Example(
            "from starlette.applications import Starlette\nfrom starlette.responses import RedirectResponse\n"
            "from starlette.routing import Route\n\n\nasync def out(request):\n"
            "    target = request.query_params.get('to', '/orders')\n    return RedirectResponse(target)\n\n\n"
            "app = Starlette(routes=[Route('/out', out)])\n",
            "from starlette.applications import Starlette\nfrom starlette.responses import RedirectResponse\n"
            "from starlette.routing import Route\n\nfrom own_address import own_address\n\n\n"
            "async def out(request):\n    target = request.query_params.get('to', '/orders')\n"
            "    return RedirectResponse(own_address(target, request.url.netloc))\n\n\n"
            "app = Starlette(routes=[Route('/out', out)])\n",
            "starlette",
        ),
    )
    good = (
        "from fastapi import FastAPI, Request\nfrom fastapi.responses import RedirectResponse\n\n"
        "app = FastAPI()\n\n\n@app.get('/docs')\nasync def out(request: Request):\n"
        "    return RedirectResponse('https://docs.example/' + request.query_params['page'])\n",
        "from urllib.parse import urlparse\n\nfrom flask import Flask, abort, redirect, request\n\n"
        "app = Flask(__name__)\n\n\n@app.get('/out')\ndef out():\n    target = request.args['next']\n"
        "    if urlparse(target).netloc not in ('shop.example', 'blog.example'):\n        abort(400)\n"
        "    return redirect(target)\n",
        "from fastapi import FastAPI\nfrom fastapi.responses import RedirectResponse\n\napp = FastAPI()\n\n\n"
        "@app.get('/o/{name}')\nasync def out(name: str):\n    return RedirectResponse(f'/orders/{name}')\n",
    )

    mend_title = "Lead requests to the service's own pages alone"
    mend_reason = (
        "Addresses of other hosts are refused with 400; paths, the host that was asked and those of REDIRECT_HOSTS "
        "are led to as before. KEEP_REDIRECTS_HERE=0 turns it off."
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Where redirects lead."""
        if calls(seen, *_REDIRECTS):
            yield Hit(seen.argument(0, "location", "url"), ("host",), _stays_here)
        elif calls(seen, *_ANSWERS):
            headers = seen.argument(2, "headers").items or {}
            yield from (Hit(value, ("host",), _stays_here) for key, value in headers.items() if _is_location(key))
        elif seen.what == "store" and str(seen.argument(0).constant).lower() == "location" \
                and "headers" in seen.receiver.dotted:  # fmt: skip
            yield Hit(seen.argument(1), ("host",), _stays_here)

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """The target looked at in the redirect."""
        module, route = place.seen.module, place.seen.route
        target = given(place.seen.node, 0, "location", "url")
        function = module.enclosing_function(place.seen.node)
        if target is None or route is None or function is None or not _is_meant_for_here(module, function, target):
            return []
        host = _host(index, module, function, route.framework)
        if not host:
            return []
        start, end = module.span(target)
        call = Edit(start, end, f"{_GUARD.function}({module.text[start:end]}, {host})")
        return [call, _GUARD.import_edit(index, module)]

    def added_files(self, index: Index, module: Module) -> tuple[FileChange, ...]:
        """The module that looks."""
        return _GUARD.added(index, module)


def _is_location(key: object) -> bool:
    return str(key).lower() == "location"


def _is_meant_for_here(module: Module, function: FunctionNode, target: ast.expr, depth: int = 0) -> bool:
    """Whether the code shows that the target is a page of the service: by its name, or by what stands in for it.

    An address that the code begins with a scheme is another's: `f"https://{shop}/oauth"` leads to the shop.
    """
    if any(isinstance(node, ast.Constant) and "://" in str(node.value) for node in walk(target)):
        return False
    for node in walk(target):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if _continues(module, node):
                continue
            if _RETURN.match(node.value) or (node.value.startswith("/") and not node.value.startswith("//")):
                return True
        elif isinstance(node, ast.Call) and unparsed(node.func).endswith(("url_for", "url_path_for")):
            return True
        elif isinstance(node, ast.Name) and depth < 4:
            if any(argument.arg == node.id for argument in parameters(function)):
                if _RETURN.match(node.id):
                    return True
                continue
            written = bindings(module, function, node.id) or []
            if any("://" in module.segment(value) for value in written):
                return False
            if any(_is_meant_for_here(module, function, value, depth + 1) for value in written):
                return True
    return False


def _continues(module: Module, node: ast.Constant) -> bool:
    """Whether a text stands behind other parts of an address: a path there says nothing of the host."""
    around = module.parent(node)
    if isinstance(around, ast.JoinedStr):
        return around.values[0] is not node
    return isinstance(around, ast.BinOp) and around.right is node


def _host(index: Index, module: Module, function: FunctionNode, framework: str) -> str:
    """The Python of the host that was asked; "" where the handler has no request at hand."""
    if framework == "flask":
        return next((f"{local}.host" for local, origin in module.imports.items() if origin == "flask.request"), "")
    for argument in parameters(function):
        if is_request(index, module, argument):
            return f"{argument.arg}.url.netloc"
    return ""


def _stays_here(taint: Taint) -> bool:
    """Whether it was checked to begin with one slash and not with two."""
    return "first:/" in taint.marks and bool({"not-first://", "without://"} & taint.marks)

"""The rule request-forgery."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.index import Index
from swarm.analysis.kinds.client_kinds import HTTP_CLIENTS
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import FlowRule, Hit, calls

_VERBS = ("get", "post", "put", "patch", "delete", "head", "options")
_MODULES = ("requests", "httpx")
_URLS = (
    *(f"{module}.{verb}" for module in _MODULES for verb in _VERBS),
    "urllib.request.urlopen", "urllib.request.urlretrieve", "urllib.request.Request", "urllib.urlopen",
    "pycurl.Curl", "aiohttp.request",
)  # fmt: skip
_SECOND = ("requests.request", "httpx.request", "httpx.stream", "aiohttp.request")


class RequestForgery(FlowRule):
    """A request chooses the address that the service calls: it then reaches hosts that only it can reach.

    Left alone: addresses whose host is fixed and whose path alone comes from the request, and hosts that were
    compared with a list. There is no mend: only the owner knows which hosts are meant.
    """

    id = "request-forgery"
    category = "security"
    severity = "high"
    cwe = ("CWE-918",)
    title = "A request chooses the address that the service calls"
    sources = ("OWASP API7:2023", "OWASP ASVS 5.0 1.3.6")
    harm = "is the address that the service calls"
    recommendation = "Compare the host with a fixed list before the call, and do not follow redirects."
    bad = (
        Example(
            "import requests\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/preview')\n"
            "def preview():\n    return requests.get(request.json['url'], timeout=5).text\n",
            None,
            "flask",
        ),
        Example(
            "import httpx\nfrom fastapi import FastAPI\nfrom pydantic import BaseModel\n\napp = FastAPI()\n\n\n"
            "class Hook(BaseModel):\n    callback: str\n\n\n@app.post('/hooks')\nasync def add(hook: Hook):\n"
            "    async with httpx.AsyncClient(timeout=5) as client:\n"
            "        await client.post(hook.callback, json={})\n"
            "    return {}\n",
            None,
            "fastapi",
        ),
    )
    good = (
        "import httpx\nfrom fastapi import FastAPI\n\napp = FastAPI()\nBASE = 'https://api.shop.example'\n\n\n"
        "@app.get('/orders/{number}')\nasync def order(number: str):\n"
        "    async with httpx.AsyncClient(timeout=5) as client:\n"
        "        answer = await client.get(f'{BASE}/orders/{number}')\n    return answer.json()\n",
        "from urllib.parse import urlsplit\n\nimport requests\nfrom flask import Flask, abort, request\n\n"
        "app = Flask(__name__)\nHOSTS = {'cdn.shop.example'}\n\n\n@app.post('/preview')\ndef preview():\n"
        "    url = request.json['url']\n    if urlsplit(url).hostname not in HOSTS:\n        abort(400)\n"
        "    return {'size': len(requests.get(url, timeout=5).content)}\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Addresses that are called."""
        if calls(seen, *_SECOND):
            yield Hit(seen.argument(1, "url"), ("host",))
        elif calls(seen, *_URLS):
            yield Hit(seen.argument(0, "url", "fullurl"), ("host",))
        elif seen.what == "call" and isinstance(seen.node, ast.Call) and isinstance(seen.node.func, ast.Attribute):
            name = seen.node.func.attr
            if name in (*_VERBS, "request", "stream") and self._is_client(seen, seen.node.func.value, index):
                position = 1 if name in ("request", "stream") else 0
                yield Hit(seen.argument(position, "url"), ("host",))

    def _is_client(self, seen: Seen, owner: ast.expr, index: Index) -> bool:
        if seen.receiver.kind == "upstream":
            return True
        kind = index.kinds.of(seen.module, owner)
        return kind in HTTP_CLIENTS

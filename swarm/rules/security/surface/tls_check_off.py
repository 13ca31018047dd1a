"""The rule tls-check-off."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.kinds.client_kinds import HTTP_CLIENTS
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.security.injection.texts.filled_places import bindings
from swarm.rules.writing.splices import import_as

_VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "request", "stream", "send")
_SESSIONS = ("requests.Session", "requests.sessions.Session", "requests.session")
_UNCHECKED = ("ssl._create_unverified_context", "ssl._create_stdlib_context")


class TlsCheckOff(Rule):
    """A client is told not to check certificates: whoever sits on the way can read and change what it sends.

    `verify=False` of requests and httpx, `ssl=False` of aiohttp, contexts of `ssl` that check nothing. The mend turns
    `verify` on; a service that calls a host with a certificate of its own says `CHECK_CERTIFICATES=0`, or better
    gives the authority's file. Where the check is turned off in another way it only recommends.
    """

    id = "tls-check-off"
    category = "security"
    severity = "high"
    cwe = ("CWE-295",)
    title = "Certificates are not checked"
    sources = ("OWASP ASVS 5.0 12.3.2", "bandit B501")
    bad = (
        Example(
            "import httpx\n\n\ndef fetch(url):\n    return httpx.get(url, timeout=5, verify=False)\n",
            "import os\n\nimport httpx\n\n\ndef fetch(url):\n"
            '    return httpx.get(url, timeout=5, verify=os.environ.get("CHECK_CERTIFICATES") != "0")\n',
        ),
        Example(
            "import os\n\nimport requests\n\nsession = requests.Session()\nsession.verify = False\n",
            "import os\n\nimport requests\n\nsession = requests.Session()\n"
            'session.verify = os.environ.get("CHECK_CERTIFICATES") != "0"\n',
        ),
        Example(
            "import ssl\nfrom urllib.request import urlopen\n\n\ndef fetch(url):\n"
            "    context = ssl.create_default_context()\n    context.check_hostname = False\n"
            "    context.verify_mode = ssl.CERT_NONE\n    return urlopen(url, context=context, timeout=5)\n",
            None,
        ),
        Example(
            "import aiohttp\n\n\nasync def fetch(url):\n"
            "    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session:\n"
            "        return await session.get(url)\n",
            None,
        ),
    )
    good = (
        "import httpx\n\n\ndef fetch(url):\n    return httpx.get(url, timeout=5)\n",
        "import requests\n\n\ndef fetch(url):\n    return requests.get(url, timeout=5, verify='/etc/ssl/own.pem')\n",
        # another verify
        "def save(user):\n    return user.save(verify=False)\n",
        "import ssl\n\ncontext = ssl.create_default_context()\ncontext.verify_mode = ssl.CERT_REQUIRED\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every place that turns the check off."""
        for module in index.tree.modules.values():
            for node, switch in _switches(index, module):
                yield self.finding(
                    module,
                    node,
                    evidence=f"`{unparsed(node)[:80]}`",
                    recommendation="Leave the check on; name a private authority by `verify=PATH` or `cafile=PATH`.",
                    anchor=unparsed(node)[:60],
                    mendable=switch is not None,
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """On, unless the environment turns it off."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        name, imported = import_as(module, "os")
        checked = f'{name}.environ.get("CHECK_CERTIFICATES") != "0"'
        edits = [
            Edit(*module.span(switch), checked)
            for node, switch in _switches(index, module)
            if switch is not None and getattr(node, "lineno", 0) in lines
        ]
        if not edits:
            return None
        return Mend(
            "Check certificates",
            "Without the check anybody on the way can read and change the call. CHECK_CERTIFICATES=0 turns it off, "
            "for hosts whose authority is not known here.",
            (edited(module, [*edits, *([imported] if imported is not None and imported.text else [])]),),
        )


def _switches(index: Index, module: Module) -> Iterator[tuple[ast.expr | ast.stmt, ast.expr | None]]:
    """Each place, with the False that a mend may replace."""
    for call in module.nodes(ast.Call):
        dotted = index.resolve(module, call.func) or ""
        if not call.keywords and dotted not in _UNCHECKED and not dotted.startswith("urllib3."):
            continue  # most calls turn nothing off
        switch = _false(call, "verify")
        if switch is not None and _is_http(index, module, call, dotted):
            yield call, switch
        elif (
            dotted in _UNCHECKED
            or (dotted.startswith("urllib3.") and "CERT_NONE" in unparsed(call))
            or ((_false(call, "ssl") or _false(call, "verify_ssl")) and _is_aiohttp(module, call, dotted))
            or (_is_spread_off(module, call) and _is_http(index, module, call, dotted))
        ):
            yield call, None
    for assign in module.nodes(ast.Assign):
        yield from _assigned(index, module, assign)


def _assigned(index: Index, module: Module, assign: ast.Assign) -> Iterator[tuple[ast.stmt, ast.expr | None]]:
    target, value = assign.targets[0], assign.value
    if not isinstance(target, ast.Attribute):
        return
    if target.attr == "verify" and isinstance(value, ast.Constant) and value.value is False:
        if _is_client(index, module, target.value):
            yield assign, value
    elif target.attr == "verify_mode" and unparsed(value).endswith("CERT_NONE"):
        yield assign, None
    elif index.resolve(module, value) in _UNCHECKED:
        yield assign, None  # `ssl._create_default_https_context = ssl._create_unverified_context`


def _false(call: ast.Call, name: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name and isinstance(keyword.value, ast.Constant) and keyword.value.value is False:
            return keyword.value
    return None


def _is_http(index: Index, module: Module, call: ast.Call, dotted: str) -> bool:
    if dotted.startswith(("requests.", "httpx.")):
        return True
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in _VERBS:
        return False
    return _is_client(index, module, call.func.value)


def _is_client(index: Index, module: Module, node: ast.expr) -> bool:
    """Whether a name or an attribute holds a session or a client: by its kind, or by what it is made of here."""
    if (index.kinds.of(module, node) or "") in (*HTTP_CLIENTS, *_SESSIONS):
        return True
    name = unparsed(node)
    made = [a.value for a in module.nodes(ast.Assign) if any(unparsed(target) == name for target in a.targets)]
    held = [item for block in module.nodes(ast.With) for item in block.items]
    held += [item for block in module.nodes(ast.AsyncWith) for item in block.items]
    made += [
        item.context_expr for item in held if item.optional_vars is not None and unparsed(item.optional_vars) == name
    ]
    return any(isinstance(v, ast.Call) and (index.resolve(module, v.func) or "") in _SESSIONS for v in made)


def _is_aiohttp(module: Module, call: ast.Call, dotted: str) -> bool:
    if dotted.startswith("aiohttp."):
        return True
    uses = any(dotted.split(".")[0] == "aiohttp" for dotted in module.imports.values())
    return uses and isinstance(call.func, ast.Attribute) and call.func.attr in (*_VERBS, "ws_connect")


def _is_spread_off(module: Module, call: ast.Call) -> bool:
    """`get(url, **options)` whose options say `"verify": False`."""
    for keyword in call.keywords:
        if keyword.arg is not None or not isinstance(keyword.value, ast.Name):
            continue
        held = bindings(module, module.enclosing_function(call), keyword.value.id)
        own = getattr(module.globals.get(keyword.value.id), "value", None)
        for value in held or ([own] if own is not None else []):
            if isinstance(value, ast.Dict) and any(
                isinstance(key, ast.Constant) and key.value == "verify" and isinstance(given, ast.Constant)
                and given.value is False for key, given in zip(value.keys, value.values, strict=True)
            ):  # fmt: skip
                return True
    return False

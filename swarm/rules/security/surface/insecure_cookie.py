"""The rule insecure-cookie."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.splices import import_as

_SECRET = re.compile(r"session|sess_?id|^sid$|token|auth|jwt|remember|csrf|login|api_?key", re.IGNORECASE)


class InsecureCookie(Rule):
    """A cookie may travel over plain HTTP, where everybody on the way can read it.

    `secure=False`, a session cookie that is told so by the configuration, and cookies that carry a session or a token
    and say nothing of it. Where the code says False, the mend lets browsers send the cookie over HTTPS alone. A
    service that people reach by plain HTTP would lose it: `SECURE_COOKIES=0` keeps it there as it was.
    """

    id = "insecure-cookie"
    category = "security"
    severity = "medium"
    cwe = ("CWE-614",)
    title = "A cookie is sent without HTTPS as well"
    sources = ("OWASP ASVS 5.0 3.3.1", "RFC 6265 4.1.2.5")
    bad = (
        Example(
            "from flask import Flask, make_response\n\napp = Flask(__name__)\n\n\n@app.get('/')\ndef home():\n"
            "    answer = make_response('hello')\n    answer.set_cookie('seen', '1', secure=False, httponly=True)\n"
            "    return answer\n",
            "import os\n\nfrom flask import Flask, make_response\n\napp = Flask(__name__)\n\n\n@app.get('/')\n"
            "def home():\n"
            "    answer = make_response('hello')\n"
            "    answer.set_cookie('seen', '1', secure=os.environ.get(\"SECURE_COOKIES\") != \"0\", httponly=True)\n"
            "    return answer\n",
            "flask",
        ),
        Example(
            "from fastapi import FastAPI, Response\n\napp = FastAPI()\n\n\n@app.post('/login')\n"
            "async def login(response: Response):\n    response.set_cookie('session_id', new_session())\n"
            "    return {}\n",
            None,
            "fastapi",
        ),
    )
    good = (
        "from fastapi import FastAPI, Response\n\napp = FastAPI()\n\n\n@app.post('/login')\n"
        "async def login(response: Response):\n"
        "    response.set_cookie('session_id', 'x', secure=True, httponly=True)\n"
        "    response.set_cookie('theme', 'dark')\n    return {}\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every cookie that says False, and those of sessions and tokens that say nothing."""
        for module in index.tree.modules.values():
            for node, switch in _cookies(module):
                yield self.finding(
                    module, node, evidence="`secure=False`" if switch is not None else "no `secure=True`",
                    recommendation="Say `secure=True` (and `httponly=True`).",
                    anchor=f"{module.segment(node)[:60]}", mendable=switch is not None,
                )  # fmt: skip

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """On, unless the environment turns it off."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        name, imported = import_as(module, "os")
        secure = f'{name}.environ.get("SECURE_COOKIES") != "0"'
        edits = [Edit(*module.span(switch), secure) for node, switch in _cookies(module)
                 if switch is not None and getattr(node, "lineno", 0) in lines]  # fmt: skip
        if not edits:
            return None
        return Mend(
            "Send cookies over HTTPS alone",
            "Nobody on the way can then read them. SECURE_COOKIES=0 leaves it off, for a service without HTTPS.",
            (edited(module, [*edits, *([imported] if imported is not None and imported.text else [])]),),
        )


def _cookies(module: Module) -> Iterator[tuple[ast.AST, ast.expr | None]]:
    if not module.mentions("set_cookie|session_cookie_secure"):
        return
    for call in module.nodes(ast.Call):
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "set_cookie":
            continue
        if any(keyword.arg is None for keyword in call.keywords) or len(call.args) > 5:
            continue
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        switch = given.get("secure")
        if isinstance(switch, ast.Constant) and switch.value is False:
            yield call, switch
        elif switch is None and _is_secret(call, given.get("key")):
            yield call, None
    for assign in module.nodes(ast.Assign):
        target = assign.targets[0]
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant) \
                and target.slice.value == "SESSION_COOKIE_SECURE" and isinstance(assign.value, ast.Constant) \
                and assign.value.value is False:  # fmt: skip
            yield assign, assign.value


def _is_secret(call: ast.Call, key: ast.expr | None) -> bool:
    name = call.args[0] if call.args else key
    return isinstance(name, ast.Constant) and bool(_SECRET.search(str(name.value)))

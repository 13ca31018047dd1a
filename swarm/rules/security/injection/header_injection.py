"""The rule header-injection."""

from __future__ import annotations

import re
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import OUTSIDE, Taint, derived
from swarm.analysis.index import Index
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import FlowRule, Hit, calls

_RESPONSES = ("starlette.responses.", "fastapi.responses.", "fastapi.Response")


class HeaderInjection(FlowRule):
    """Text of a request is written into a header of the answer: a line break in it begins a header of the sender's.

    Starlette and FastAPI hand headers on as they are, and whether the server refuses line breaks depends on its
    parser; Flask refuses them itself and is left alone. So are quoted text, numbers, and values whose line breaks
    were taken out or looked for.
    """

    id = "header-injection"
    category = "security"
    severity = "medium"
    cwe = ("CWE-113",)
    title = "Data of a request becomes a header of the answer"
    sources = ("OWASP ASVS 5.0 1.2.3", "RFC 9110 5.5")
    harm = "becomes a header of the answer"
    recommendation = "Quote it (`urllib.parse.quote`), or refuse line breaks before it is written."
    bad = (
        Example(
            "from fastapi import FastAPI, Response\n\napp = FastAPI()\n\n\n@app.get('/file')\n"
            "async def file(name: str, response: Response):\n"
            "    response.headers['Content-Disposition'] = f'attachment; filename={name}'\n    return {}\n",
            None,
            "fastapi",
        ),
        Example(
            "from starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n"
            "from starlette.routing import Route\n\n\nasync def echo(request):\n"
            "    return JSONResponse({}, headers={'X-Request-Id': request.query_params['id']})\n\n\n"
            "app = Starlette(routes=[Route('/echo', echo)])\n",
            None,
            "starlette",
        ),
    )
    good = (
        "from urllib.parse import quote\n\nfrom fastapi import FastAPI, Response\n\napp = FastAPI()\n\n\n"
        "@app.get('/file')\nasync def file(name: str, response: Response):\n"
        "    response.headers['Content-Disposition'] = f'attachment; filename={quote(name)}'\n    return {}\n",
        "from fastapi import FastAPI, Response\n\napp = FastAPI()\n\n\n@app.get('/page')\n"
        "async def page(number: int, response: Response):\n    response.headers['X-Page'] = str(number)\n"
        "    return {}\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Headers of answers, and those of mails that the service writes by hand."""
        if calls(seen, ".sendmail") and seen.receiver.kind.startswith("smtplib."):
            mail = seen.argument(2, "msg")
            if OUTSIDE in re.split(r"\r?\n\r?\n", mail.text or "")[0]:
                yield Hit(mail, ("header", "flat"), _is_below_headers)
            return
        if seen.route is None or seen.route.framework == "flask":
            return
        if seen.what == "store" and seen.receiver.dotted.endswith("headers"):
            yield Hit(derived(seen.argument(0), seen.argument(1)), ("header", "flat"), _has_one_line)
        elif seen.what == "call" and seen.name.startswith(_RESPONSES) and "headers" in seen.keywords:
            yield Hit(seen.keywords["headers"], ("header", "flat"), _has_one_line)


def _is_below_headers(taint: Taint) -> bool:
    """Whether it stands behind another of its kind: what comes first in the text is what stands in its headers."""
    return "rooted" not in taint.marks or _has_one_line(taint)


def _has_one_line(taint: Taint) -> bool:
    """Whether line breaks were taken out or looked for, or the value came in as one header itself."""
    if {"without:\n", "without:\r"} & taint.marks:
        return True
    first = taint.steps[0].text if taint.steps else ""
    return ".headers" in first or ".cookies" in first

"""The rule open-api-docs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import AppObject, Index
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.placing import code_mentions, main_app
from swarm.rules.writing.splices import add_keyword

_ARGUMENTS = {"openapi_url", "docs_url", "redoc_url"}
# code that uses the description itself would break without it
_USED = r"\.openapi\(|openapi_schema|/openapi\.json|get_openapi|[\"']/(docs|redoc)\b|openapi_url"
_SWITCH = 'openapi_url="/openapi.json" if {os}.getenv("API_DOCS", "0") != "0" else None'


class OpenApiDocs(Rule):
    """FastAPI shows everybody the description of all routes and models, and a page to try them, unless it is told not
    to: what is internal is found in a minute.

    The mend serves them only where the environment says `API_DOCS=1`. Left alone: applications that set any of the
    addresses, and code that uses the description.
    """

    id = "open-api-docs"
    category = "security"
    severity = "info"
    cwe = ("CWE-200",)
    title = "The API description is open to everybody"
    sources = ("OWASP API9:2023", "OWASP ASVS 5.0 13.4.5", "fastapi.tiangolo.com: conditional OpenAPI")
    order = 60
    bad = (
        Example(
            "from fastapi import FastAPI\n\napp = FastAPI()\n",
            "import os\n\nfrom fastapi import FastAPI\n\n"
            'app = FastAPI(openapi_url="/openapi.json" if os.getenv("API_DOCS", "0") != "0" else None)\n',
            "fastapi",
        ),
        Example(
            'import os\n\nfrom fastapi import FastAPI\n\napp = FastAPI(\n    title="Hooks",\n)\n',
            'import os\n\nfrom fastapi import FastAPI\n\napp = FastAPI(\n    title="Hooks",\n'
            '    openapi_url="/openapi.json" if os.getenv("API_DOCS", "0") != "0" else None,\n)\n',
            "fastapi",
        ),
    )
    good = (
        "from fastapi import FastAPI\n\napp = FastAPI(docs_url=None, redoc_url=None)\n",
        'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/schema")\nasync def schema() -> dict:\n'
        "    return app.openapi()\n",
        "from starlette.applications import Starlette\n\napp = Starlette()\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every FastAPI application that leaves its documents where they are."""
        for app in _open_apps(index):
            yield self.finding(
                app.module,
                app.call,
                evidence="/docs, /redoc and /openapi.json are served to everybody",
                recommendation="Serve the description where a switch of the environment asks for it.",
                anchor=f"app {app.name}",
                mendable=True,
            )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """`openapi_url` by a switch: without it FastAPI serves no pages either."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        calls = [app.call for app in _open_apps(index) if app.module is module and app.call.lineno in lines]
        name = next((local for local, origin in module.imports.items() if origin == "os"), "os")
        edits: list[Edit] = [add_keyword(module, call, _SWITCH.format(os=name)) for call in calls]
        if not edits:
            return None
        if module.imports.get(name) != "os":
            if name in module.globals:
                return None
            edits.append(module.insert_import("import os"))
        return Mend(
            "Close the API description",
            "FastAPI serves /docs, /redoc and /openapi.json only where the environment says API_DOCS=1.",
            (edited(module, [edit for edit in edits if edit.text]),),
        )


def _open_apps(index: Index) -> Iterator[AppObject]:
    if code_mentions(index, _USED):
        return
    served = main_app(index)
    for app in index.apps:
        if not app.is_app or app.framework != "fastapi" or not _is_plain(index, app):
            continue
        if served is not None and app.call is not served.call and _is_left_over(index, app):
            continue
        given = {keyword.arg for keyword in app.call.keywords}
        if not given & _ARGUMENTS and None not in given:
            yield app


def _is_left_over(index: Index, app: AppObject) -> bool:
    """Whether nothing names an application that a module holds: no route is put on it, and nobody serves it."""
    dotted = f"{app.module.dotted}.{app.name}"
    return not app.inside_function and not any(
        isinstance(node.ctx, ast.Load) and index.resolve(module, node) == dotted
        for module, node in index.names(app.name)
    )


def _is_plain(index: Index, app: AppObject) -> bool:
    """Whether FastAPI itself is called: a class of the target's own may take other arguments."""
    dotted = index.resolve(app.module, app.call.func) or ""
    return re.fullmatch(r"fastapi\.(applications\.)?FastAPI", dotted) is not None and not any(
        isinstance(argument, ast.Starred) for argument in app.call.args
    )

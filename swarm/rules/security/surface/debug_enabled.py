"""The rule debug-enabled."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.rule import Example, Mend, Rule, edited

_APPS = ("fastapi.FastAPI", "starlette.applications.Starlette", "fastapi.applications.FastAPI")


class DebugEnabled(Rule):
    """Debug mode is on in the code: tracebacks with source go to whoever causes an error, and Flask's debugger runs
    code that a visitor types.

    The mend reads the switch from `APP_DEBUG` (only `1` turns it on). It never touches settings that read the
    environment already.
    """

    id = "debug-enabled"
    category = "security"
    severity = "high"
    cwe = ("CWE-489", "CWE-94")
    title = "Debug mode is on"
    sources = ("bandit B201", "OWASP ASVS 5.0 13.4.2")
    bad = (
        Example(
            'from flask import Flask\n\napp = Flask(__name__)\n\nif __name__ == "__main__":\n'
            "    app.run(port=8000, debug=True)\n",
            'import os\n\nfrom flask import Flask\n\napp = Flask(__name__)\n\nif __name__ == "__main__":\n'
            '    app.run(port=8000, debug=os.getenv("APP_DEBUG") == "1")\n',
            "flask",
        ),
        Example(
            'import os\n\nfrom fastapi import FastAPI\n\napp = FastAPI(title="A", debug=True)\n',
            "import os\n\nfrom fastapi import FastAPI\n\n"
            'app = FastAPI(title="A", debug=os.getenv("APP_DEBUG") == "1")\n',
            "fastapi",
        ),
        Example(
            'from flask import Flask\n\napp = Flask(__name__)\napp.config["DEBUG"] = True\napp.debug = True\n',
            "import os\n\nfrom flask import Flask\n\napp = Flask(__name__)\n"
            'app.config["DEBUG"] = os.getenv("APP_DEBUG") == "1"\napp.debug = os.getenv("APP_DEBUG") == "1"\n',
            "flask",
        ),
    )
    good = (
        'import os\n\nfrom flask import Flask\n\napp = Flask(__name__)\n\nif __name__ == "__main__":\n'
        '    app.run(debug=bool(os.getenv("DEBUG")))\n',
        "import logging\n\nlogging.basicConfig()\n\n\ndef trace(run):\n    run(debug=True)\n",
        "from fastapi import FastAPI\n\napp = FastAPI(debug=False)\n",
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Every True that turns debug mode on."""
        for module in index.tree.modules.values():
            for value in _switches(index, module):
                text = " ".join(module.segment(module.statement(value)).split())
                yield self.finding(
                    module,
                    value,
                    evidence=f"`{text if len(text) <= 100 else text[:97] + '...'}`",
                    recommendation="Turn debug mode on by the environment of a developer's machine only.",
                    anchor=f"debug {text[:60]}",
                    mendable=True,
                )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The switch read from the environment."""
        module = index.tree.modules[findings[0].file]
        lines = {finding.line for finding in findings}
        edits = [
            Edit(*module.span(value), 'os.getenv("APP_DEBUG") == "1"')
            for value in _switches(index, module)
            if value.lineno in lines
        ]
        if not edits:
            return None
        imported = module.insert_import("import os")
        return Mend(
            "Turn debug mode off unless APP_DEBUG=1",
            "Debug mode shows source and runs code for whoever causes an error; now only APP_DEBUG=1 turns it on.",
            (edited(module, [*edits, *([imported] if imported.text else [])]),),
        )


def _switches(index: Index, module: Module) -> Iterator[ast.Constant]:
    if not module.mentions("debug"):
        return
    flask = any(app.framework == "flask" for app in index.apps)
    for call in module.nodes(ast.Call):
        debug = next((k.value for k in call.keywords if k.arg == "debug" and _is_true(k.value)), None)
        is_run = flask and isinstance(call.func, ast.Attribute) and call.func.attr == "run"
        if debug is not None and (is_run or (index.resolve(module, call.func) or "") in _APPS):
            yield debug  # type: ignore[misc]
    names = {app.name for app in index.apps if app.module is module and app.is_app}
    for assign in module.nodes(ast.Assign):
        target = assign.targets[0]
        if not _is_true(assign.value):
            continue
        written = unparsed(target)
        if any(written in (f"{name}.debug", f"{name}.config['DEBUG']") for name in names):
            yield assign.value  # type: ignore[misc]


def _is_true(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is True

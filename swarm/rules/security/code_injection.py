"""The rule code-injection."""

from __future__ import annotations

from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import Taint
from swarm.analysis.index import Index
from swarm.rules.rule import Example
from swarm.rules.security.data_flow import FlowRule, Hit, calls

_QUOTES = ("'", '"')


class CodeInjection(FlowRule):
    """Text of a request is run as Python: whoever sends it runs what he likes.

    `eval`, `exec`, `compile` and imports by name. Text that was checked to be one plain string literal is left alone.
    There is no mend: only the owner knows what the text was meant to be; `ast.literal_eval` and `json.loads` read
    plain data, a table of functions chooses among known ones.
    """

    id = "code-injection"
    category = "security"
    severity = "critical"
    cwe = ("CWE-95", "CWE-94")
    title = "Data of a request is run as code"
    sources = ("OWASP ASVS 5.0 1.3.2", "bandit B102, B307")
    kinds = ("request", "parameter")
    harm = "is run as code"
    recommendation = "Read plain data with `ast.literal_eval` or `json.loads`; choose functions from a fixed table."
    bad = (
        Example(
            "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/sum')\ndef total():\n"
            "    return str(eval(request.form['formula']))\n",
            None,
            "flask",
        ),
        Example(
            "from fastapi import FastAPI\nfrom pydantic import BaseModel\n\napp = FastAPI()\n\n\n"
            "class Step(BaseModel):\n    code: str\n\n\n@app.post('/steps')\nasync def step(step: Step):\n"
            "    scope = {}\n    exec(step.code, scope)\n    return {'names': len(scope)}\n",
            None,
            "fastapi",
        ),
    )
    good = (
        "import ast\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/sum')\n"
        "def total():\n"
        "    return str(sum(ast.literal_eval(request.form['numbers'])))\n",
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/double')\ndef double(n: int):\n"
        "    return {'double': eval(f'{n} * 2')}\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """What is run."""
        if calls(seen, "eval", "exec", "compile", "builtins.eval", "builtins.exec"):
            yield Hit(seen.argument(0, "source"), harmless=_is_literal)
        elif calls(seen, "importlib.import_module", "__import__", "runpy.run_path", "runpy.run_module"):
            yield Hit(
                seen.argument(0),
                ("rooted", "host"),
                severity="high",
                title="A request chooses the module that is imported",
            )


def _is_literal(taint: Taint) -> bool:
    """Whether it was checked to be one string in quotes, with none inside."""
    return any({f"first:{q}", f"last:{q}", f"without:{q}"} <= taint.marks for q in _QUOTES)

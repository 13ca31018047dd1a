"""The rule code-injection."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import Taint
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.patches import FileChange
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls
from swarm.rules.security.injection.kept_modules import KeptModule
from swarm.rules.security.injection.texts.filled_places import bindings
from swarm.rules.security.signatures.digests import assigned
from swarm.rules.writing.splices import import_as

_EVALS = ("eval", "builtins.eval")
_QUOTES = ("'", '"')
_FORMULAS = KeptModule("formula", "formula_value", "COMPUTES_FORMULAS", 400)


_OF_FORMULAS = (
    "Read plain data with `ast.literal_eval` or `json.loads`. For formulas bound the length, parse them with "
    "`ast.parse(text, mode='eval')`, go through the tree and compute numbers, names of a fixed set and "
    "+ - * / and comparisons yourself (bound the exponents of **); refuse every other node with 400."
)
_OF_STEPS = (
    "Keep what may be run in a fixed mapping of names to functions; let a request name one, refuse others with 400."
)


class CodeInjection(MendingFlowRule):
    """Text of a request is run as Python: whoever sends it runs what he likes.

    `eval`, `exec`, `compile` and imports by name. Text that was checked to be one plain string literal is left alone.
    Where a list, a mapping or a tuple stands in for text that was not sent (`eval(form.get("ids", "[]"))`), plain
    data is meant: the mend reads it with `ast.literal_eval`. Where the code takes the builtins away
    (`eval(text, {"__builtins__": {}}, values)`), a formula is meant, and who knows how gets out of it all the same:
    the mend computes it without running it. Elsewhere only the owner knows what the text was meant to be.
    """

    id = "code-injection"
    category = "security"
    severity = "critical"
    cwe = ("CWE-95", "CWE-94")
    title = "Data of a request is run as code"
    sources = ("OWASP ASVS 5.0 1.3.2", "bandit B102, B307")
    kinds = ("request", "parameter", "upstream", "stored")
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
            "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/many')\ndef many():\n"
            "    return {'many': len(eval(request.form.get('ids', '[]')))}\n",
            "import ast\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/many')\n"
            "def many():\n    return {'many': len(ast.literal_eval(request.form.get('ids', '[]')))}\n",
            "flask",
        ),
        Example(
            "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/price')\ndef price():\n"
            "    order = request.get_json()\n"
            "    return {'price': eval(order['rule'], {'__builtins__': {}}, {'n': order['n']})}\n",
            "from flask import Flask, request\n\nfrom formula import formula_value\n\napp = Flask(__name__)\n\n\n"
            "@app.post('/price')\ndef price():\n    order = request.get_json()\n"
            "    return {'price': formula_value(order['rule'], {'__builtins__': {}}, {'n': order['n']})}\n",
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

    mend_title = "Read data of requests as data"
    mend_reason = (
        "`ast.literal_eval` gives the same numbers, texts, lists and mappings, and runs nothing. Formulas give what "
        "they gave, of the names that the code hands in; COMPUTE_FORMULAS=0 turns that off."
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """What is run."""
        if calls(seen, "eval", "builtins.eval"):
            yield Hit(seen.argument(0, "source"), harmless=_is_literal, recommendation=_OF_FORMULAS)
        elif calls(seen, "exec", "compile", "builtins.exec"):
            yield Hit(seen.argument(0, "source"), harmless=_is_literal, recommendation=_OF_STEPS)
        elif calls(seen, "importlib.import_module", "__import__", "runpy.run_path", "runpy.run_module"):
            yield Hit(
                seen.argument(0),
                ("rooted", "host"),
                severity="high",
                title="A request chooses the module that is imported",
                recommendation="Choose it from a fixed mapping of names to modules; refuse any other name with 400.",
            )

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """`ast.literal_eval` for an `eval` of data, what computes formulas for one without builtins."""
        call, module = place.seen.node, place.seen.module
        if not isinstance(call, ast.Call) or place.seen.name not in _EVALS or call.keywords:
            return []
        if _is_formula(module, call):
            return [Edit(*module.span(call.func), _FORMULAS.function), _FORMULAS.import_edit(index, module)]
        if len(call.args) != 1:
            return []
        given = call.args[0]
        several = (
            bindings(module, module.enclosing_function(call), given.id) if isinstance(given, ast.Name) else [given]
        )
        if not several or not all(_is_data(value) for value in several):
            return []
        name, imported = import_as(module, "ast")
        edits = [Edit(*module.span(call.func), f"{name}.literal_eval")]
        return [*edits, imported] if imported is not None else edits

    def added_files(self, index: Index, module: Module) -> tuple[FileChange, ...]:
        """The module that computes formulas, where the file has one."""
        places = (place.seen for group in self.groups(index) for place in group if place.seen.module is module)
        needs = any(seen.name in _EVALS and isinstance(seen.node, ast.Call) and _is_formula(module, seen.node)
                    for seen in places)  # fmt: skip
        return _FORMULAS.added(index, module) if needs else ()


def _is_formula(module: Module, call: ast.Call) -> bool:
    """Whether the builtins are taken away: `{"__builtins__": {}}` or some functions of them by name."""
    if len(call.args) not in (2, 3) or any(isinstance(given, ast.Starred) for given in call.args):
        return False
    names = assigned(call.args[1], module.enclosing_function(call))
    if isinstance(names, ast.Name):
        names = getattr(module.globals.get(names.id), "value", names)
    if not isinstance(names, ast.Dict):
        return False
    left = [value for key, value in zip(names.keys, names.values, strict=True)
            if isinstance(key, ast.Constant) and key.value == "__builtins__"]  # fmt: skip
    return len(left) == 1 and (
        isinstance(left[0], ast.Dict) or (isinstance(left[0], ast.Constant) and left[0].value is None)
    )


def _is_data(node: ast.expr) -> bool:
    """Whether a list, a mapping or a tuple stands in where nothing was sent: `.get("ids", "[]")`, `… or "{}"`."""
    otherwise: ast.expr | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        otherwise = node.args[1] if len(node.args) > 1 else None
    elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        otherwise = node.values[-1]
    if not isinstance(otherwise, ast.Constant) or not isinstance(otherwise.value, str):
        return False
    try:
        return isinstance(ast.literal_eval(otherwise.value), list | dict | tuple)
    except (ValueError, SyntaxError):
        return False


def _is_literal(taint: Taint) -> bool:
    """Whether it was checked to be one string in quotes, with none inside."""
    return any({f"first:{q}", f"last:{q}", f"without:{q}"} <= taint.marks for q in _QUOTES)

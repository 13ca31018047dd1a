"""The rule unchecked-json."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.security.guards.generated import middleware
from swarm.rules.security.signatures.webhook_shapes import (
    Parsed,
    every_route_reads_json,
    json_readers,
    takes_objects_only,
)
from swarm.rules.writing.middlewares import installed, is_installed
from swarm.rules.writing.placing import main_app

_CLASS = "CheckedJsonMiddleware"


class UncheckedJson(Rule):
    """JSON is parsed as it comes: nested a thousand deep, with numbers of thousands of digits, NaN, NUL characters or
    halves of characters in its texts. What breaks on them answers 500, or stores what no database should hold.

    The mend adds a small module of the standard library that looks at JSON bodies before the application does and
    answers 400 or 422; good JSON passes byte for byte, so signatures stay. That the payload is an object, and that
    there is one, is asked where all the code that reads it shows that it must be. What an honest sender may write
    passes: line ends and escape codes in texts, long texts, a key given twice. `MAX_JSON_DEPTH` (200) and
    `MAX_NUMBER_DIGITS` (100) are the bounds; `CHECKED_JSON=0` turns everything off.
    """

    id = "unchecked-json"
    category = "security"
    severity = "medium"
    cwe = ("CWE-20", "CWE-755")
    title = "JSON is parsed as it comes"
    sources = ("OWASP ASVS 5.0 1.5.3, 2.2.1", "OWASP API4:2023", "RFC 7493: I-JSON")
    order = 76
    bad = (
        Example(
            'from fastapi import FastAPI, Request\n\napp = FastAPI()\n\n\n@app.post("/hook")\n'
            'async def hook(request: Request) -> str:\n    event = await request.json()\n    return event["id"]\n',
            "from fastapi import FastAPI, Request\n\nfrom checked_json import CheckedJsonMiddleware\n\n"
            'app = FastAPI()\napp.add_middleware(CheckedJsonMiddleware)\n\n\n@app.post("/hook")\n'
            'async def hook(request: Request) -> str:\n    event = await request.json()\n    return event["id"]\n',
            "fastapi",
        ),
        Example(
            'from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post("/hook")\n'
            'def hook():\n    return {"id": request.get_json()["id"]}\n',
            "from flask import Flask, request\n\nfrom checked_json import CheckedJsonMiddleware\n\n"
            "app = Flask(__name__)\napp.wsgi_app = CheckedJsonMiddleware(app.wsgi_app)\n\n\n"
            '@app.post("/hook")\ndef hook():\n    return {"id": request.get_json()["id"]}\n',
            "flask",
        ),
    )
    good = (
        # the framework reads and validates the body
        "from fastapi import FastAPI\nfrom pydantic import BaseModel\n\napp = FastAPI()\n\n\n"
        'class Order(BaseModel):\n    id: str\n\n\n@app.post("/orders")\nasync def take(order: Order) -> dict:\n'
        '    return {"id": order.id}\n',
        # whoever thinks of depth has looked at what JSON can be
        "from flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n@app.post('/hook')\ndef hook():\n"
        "    try:\n        event = request.get_json()\n    except RecursionError:\n        abort(400)\n"
        "    return {'id': str(event)}\n",
        # JSON of its own files
        "import json\n\nfrom flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get('/prices')\ndef prices():\n"
        "    return json.loads(open('prices.json').read())\n",
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application, that names the first places where bodies are parsed."""
        app = main_app(index)
        readers = [reader for reader in json_readers(index) if not _expects_depth(reader)]
        if app is None or not readers or is_installed(index, _CLASS):
            return
        places = dict.fromkeys(reader.function.qualname for reader in readers)
        named = ", ".join(list(places)[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
        yield self.finding(
            app.module,
            app.node,
            evidence=f"{named} parse{'s' if len(places) == 1 else ''} a request's JSON, and nothing checks it",
            recommendation="Bound depth, numbers and texts of JSON, and refuse what is no object, before it is used.",
            anchor=f"app {app.name}",
            mendable=True,
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A checking middleware in a module of its own."""
        made = middleware(
            "checked_json",
            _CLASS,
            OBJECTS_ONLY=takes_objects_only(index),
            NEEDS_BODY=every_route_reads_json(index),
        )
        return installed(
            index,
            findings,
            made,
            "Refuse JSON that breaks careless code",
            "Answers 400 or 422 to JSON that is too deep, out of range, or holds NUL or halves of characters; good "
            "JSON passes byte for byte. CHECKED_JSON=0 turns it off.",
        )


def _expects_depth(reader: Parsed) -> bool:
    """Whether the code around catches what too deep a nesting raises."""
    for around in reader.function.module.ancestors(reader.call):
        for handler in around.handlers if isinstance(around, ast.Try) else []:
            if handler.type is not None and "RecursionError" in unparsed(handler.type):
                return True
    return False

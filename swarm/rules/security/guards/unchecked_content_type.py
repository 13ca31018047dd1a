"""The rule unchecked-content-type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.security.guards.generated import middleware
from swarm.rules.security.signatures.webhook_shapes import bodies_are_json, json_readers
from swarm.rules.writing.middlewares import installed, is_installed
from swarm.rules.writing.placing import code_mentions, main_app

_CLASS = "ContentTypeMiddleware"
_KNOWN = (
    r"status_code\s*=\s*(\w+\.)*(HTTP_)?415|\b(abort|HTTPException)\(\s*415|UNSUPPORTED_MEDIA_TYPE|UnsupportedMediaType"
    r"|\.is_json\b|[\"']content-type[\"'].{0,60}(!=|==|not in|startswith)|\.(content_type|mimetype)\s*(!=|==|not in)"
)


class UncheckedContentType(Rule):
    """Bodies are read as JSON whatever they say that they are: a form of any web page can send one, since browsers
    ask nobody before they send text/plain.

    The mend adds a small module of the standard library that answers 415 to a body of another type than JSON;
    `ACCEPTED_CONTENT_TYPES` changes the list, empty turns it off. A body that names no type passes. It is written
    only where no code reads a body as anything else: forms, files, XML, streams, raw bytes; and where nobody wrote
    `get_json(force=True)`, which says that the senders name another type (TradingView sends text/plain).
    """

    id = "unchecked-content-type"
    category = "security"
    severity = "low"
    cwe = ("CWE-436",)
    title = "The content type of bodies is not checked"
    sources = ("OWASP API8:2023", "OWASP ASVS 5.0 4.1.1")
    order = 78
    bad = (
        Example(
            "from starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n\n"
            "app = Starlette()\n\n\nasync def hook(request):\n"
            '    event = await request.json()\n    return JSONResponse({"id": event["id"]})\n\n\n'
            'app.add_route("/hook", hook, methods=["POST"])\n',
            "from starlette.applications import Starlette\nfrom starlette.responses import JSONResponse\n\n"
            "from content_type import ContentTypeMiddleware\n\napp = Starlette()\n"
            "app.add_middleware(ContentTypeMiddleware)\n\n\nasync def hook(request):\n"
            '    event = await request.json()\n    return JSONResponse({"id": event["id"]})\n\n\n'
            'app.add_route("/hook", hook, methods=["POST"])\n',
            "starlette",
        ),
        # another route takes a form
        Example(
            'from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post("/hook")\n'
            'def hook():\n    return {"id": request.get_json(silent=True)["id"]}\n\n\n@app.post("/login")\n'
            'def login():\n    return {"name": request.form["name"]}\n',
            None,
            "flask",
        ),
        # any type is meant
        Example(
            'from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post("/hook")\n'
            'def hook():\n    return {"id": request.get_json(force=True)["id"]}\n',
            None,
            "flask",
        ),
    )
    good = (
        "import json\n\nfrom flask import Flask, abort, request\n\napp = Flask(__name__)\n\n\n"
        '@app.post("/hook")\ndef hook():\n    if request.mimetype != "application/json":\n        abort(415)\n'
        "    return json.loads(request.get_data())\n",
        # Flask itself answers 415 to get_json() of another type
        'from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post("/hook")\n'
        'def hook():\n    return {"id": request.get_json()["id"]}\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application."""
        app = main_app(index)
        readers = [
            reader for reader in json_readers(index)
            if not _is_strict_flask(reader.function.module.segment(reader.call))
        ]  # fmt: skip
        if app is None or not readers or is_installed(index, _CLASS) or code_mentions(index, _KNOWN):
            return
        yield self.finding(
            app.module,
            app.node,
            evidence=f"{readers[0].function.qualname} reads JSON from bodies of any type",
            recommendation="Answer 415 to bodies of another type than the senders'.",
            anchor=f"app {app.name}",
            mendable=bodies_are_json(index)
            and not any("force=True" in reader.function.module.segment(reader.call) for reader in readers),
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """A middleware that looks at the type, in a module of its own."""
        if not bodies_are_json(index):
            return None
        return installed(
            index,
            findings,
            middleware("content_type", _CLASS),
            "Refuse bodies of other types than JSON",
            "Answers 415 to a body whose content type is no JSON; ACCEPTED_CONTENT_TYPES changes the list, empty "
            "turns it off. A body that names no type passes.",
        )


def _is_strict_flask(call: str) -> bool:
    """Whether it is `request.get_json()` without `force` or `silent`, or `request.json`: Flask then answers 415."""
    return call.endswith((".get_json()", ".json"))

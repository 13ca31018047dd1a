"""The rule cross-site-scripting."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import UNKNOWN, Value
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls, given, holds
from swarm.rules.security.injection.texts.filled_places import Filling, Place, imported
from swarm.rules.security.injection.texts.markup_context import is_escapable
from swarm.rules.security.injection.texts.plain_values import is_plain_value

_PAGES = ("fastapi.responses.HTMLResponse", "starlette.responses.HTMLResponse")
_FLASK = ("flask.make_response", "flask.Response", "flask.wrappers.Response", "werkzeug.wrappers.Response")
_PLAIN = ("starlette.responses.Response", "fastapi.Response", "fastapi.responses.Response")
_MARKUP = ("markupsafe.Markup", "flask.Markup", "jinja2.Markup", "jinja2.utils.markupsafe.Markup")
_ACCEPTED = ("html", "json")


class CrossSiteScripting(MendingFlowRule):
    """Text of a request is written into a page as it is: a link runs the sender's script in the reader's browser.

    Flask answers text as HTML; FastAPI and Starlette do with `HTMLResponse`. Templates of Jinja that escape by
    themselves, `escape`, JSON answers and numbers are left alone, and so is what goes into headers alone.

    The mend escapes each value where it goes into the page. Where that would not be enough (in a script, in a tag
    without quotes, at the begin of an address), or where the text goes elsewhere as well, it only recommends.
    """

    id = "cross-site-scripting"
    category = "security"
    severity = "high"
    cwe = ("CWE-79",)
    title = "Data of a request becomes part of a page"
    sources = ("OWASP ASVS 5.0 1.2.1", "OWASP: cross site scripting prevention")
    kinds = ("request", "stored")
    harm = "becomes part of a page"
    recommendation = "Escape it (`markupsafe.escape`), use a template that escapes, or answer JSON."
    bad = (
        Example(
            "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.get('/hello')\ndef hello():\n"
            "    name = request.args.get('name', '')\n    return f'<h1>Hello {name}</h1>'\n",
            "from html import escape\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n"
            "@app.get('/hello')\ndef hello():\n"
            "    name = request.args.get('name', '')\n    return f'<h1>Hello {escape(name)}</h1>'\n",
            "flask",
        ),
        Example(
            "from fastapi import FastAPI\nfrom fastapi.responses import HTMLResponse\n\napp = FastAPI()\n\n\n"
            "@app.get('/hello')\nasync def hello(name: str):\n    return HTMLResponse('<p>' + name + '</p>')\n",
            "from html import escape\n\nfrom fastapi import FastAPI\nfrom fastapi.responses import HTMLResponse\n\n"
            "app = FastAPI()\n\n\n@app.get('/hello')\nasync def hello(name: str):\n"
            "    return HTMLResponse('<p>' + escape(name) + '</p>')\n",
            "fastapi",
        ),
        Example(
            "from starlette.applications import Starlette\nfrom starlette.responses import HTMLResponse\n"
            "from starlette.routing import Route\n\n\nasync def hello(request):\n"
            "    return HTMLResponse('<p>%s</p>' % request.query_params.get('name'))\n\n\n"
            "app = Starlette(routes=[Route('/hello', hello)])\n",
            "from html import escape\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import HTMLResponse\nfrom starlette.routing import Route\n\n\n"
            "async def hello(request):\n"
            "    return HTMLResponse('<p>%s</p>' % escape(str(request.query_params.get('name'))))\n\n\n"
            "app = Starlette(routes=[Route('/hello', hello)])\n",
            "starlette",
        ),
        Example(
            "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.get('/hello')\ndef hello():\n"
            "    return '<script>greet(\"' + request.args['name'] + '\")</script>'\n",
            None,
            "flask",
        ),
    )
    good = (
        "from flask import Flask, request\nfrom markupsafe import escape\n\napp = Flask(__name__)\n\n\n"
        "@app.get('/hello')\ndef hello():\n    return f\"<h1>Hello {escape(request.args['name'])}</h1>\"\n",
        "from flask import Flask, jsonify, render_template, request\n\napp = Flask(__name__)\n\n\n"
        "@app.get('/hello')\n"
        "def hello():\n    return render_template('hello.html', name=request.args['name'])\n\n\n@app.get('/data')\n"
        "def data():\n    return jsonify(name=request.args['name'])\n",
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/hello')\nasync def hello(name: str):\n"
        "    return {'hello': name}\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Pages, and text that is told to be safe for one."""
        if calls(seen, *_PAGES):
            yield Hit(seen.argument(0, "content"), _ACCEPTED)
        elif calls(seen, *_MARKUP):
            yield Hit(seen.argument(0, "object"), _ACCEPTED)
        elif calls(seen, *_FLASK):
            given = seen.argument(0, "response")
            kind = seen.argument(2 if seen.name.endswith("Response") else 99, "mimetype", "content_type")
            if seen.name.endswith("Response"):
                kind = next((seen.keywords[k] for k in ("mimetype", "content_type") if k in seen.keywords), UNKNOWN)
            yield from _page(given, kind)
        elif calls(seen, *_PLAIN):
            kind = seen.argument(-1, "media_type")
            if "html" in str(kind.constant):
                yield Hit(seen.argument(0, "content"), _ACCEPTED)
        elif seen.what == "return" and seen.route is not None:
            if seen.route.framework == "flask":
                yield from _page(seen.argument(0), UNKNOWN)
            elif seen.function is not None and seen.route.framework == "fastapi" and _answers_html(seen):
                yield Hit(seen.argument(0), _ACCEPTED)

    mend_title = "Escape what requests write into pages"
    mend_reason = "Escaped text is only text to the reader's browser; text without markup looks as before."

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """`escape` around each value, where it goes into the page."""
        module, sink = place.seen.module, _page_text(place.seen)
        if sink is None:
            return []
        filling = Filling(module, module.enclosing_function(sink), holds(index, *_ACCEPTED), lambda text: "<" in text)
        call, import_edit = imported(module, "html", "escape", "escape_html")

        def is_safe(place: Place) -> bool:
            return is_escapable(place.before) and is_plain_value(index, module, place.node)

        edits = filling.escaped(sink, is_safe, call)
        return [*edits, import_edit] if import_edit is not None and edits else edits


def _page_text(seen: Seen) -> ast.expr | None:
    """The expression that becomes the page."""
    node = seen.node
    if isinstance(node, ast.Return):
        value = node.value
        return value.elts[0] if isinstance(value, ast.Tuple) and value.elts else value
    return given(node, 0, "content", "object", "response")


def _answers_html(seen: Seen) -> bool:
    node = getattr(seen.function, "node", None)
    decorators = node.decorator_list if node is not None else []
    return any("response_class=HTMLResponse" in unparsed(decorator) for decorator in decorators)


def _page(value: Value, kind: Value) -> Iterator[Hit]:
    """What Flask makes a page of: text, or the first of a tuple; a dictionary or a list becomes JSON."""
    if kind.constant is not None and "html" not in str(kind.constant):
        return
    if value.shape == "list" and value.items is not None:
        headers = [str(v.constant).lower() for part in value.items.values() if part.items is not None
                   for v in part.items.values()]  # fmt: skip
        if any("json" in header or "text/plain" in header for header in headers):
            return
        first = value.items.get(0, UNKNOWN)
        if len(value.items) in (2, 3) and not first.shape:
            yield Hit(first, _ACCEPTED)
        return
    if value.shape in ("dict", "list") or (
        value.kind in ("sent", "upstream", "answer", "fastapi.UploadFile") and not value.text
    ):
        return
    yield Hit(value, _ACCEPTED)

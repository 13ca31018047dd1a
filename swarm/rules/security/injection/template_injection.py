"""The rule template-injection."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls
from swarm.rules.security.injection.texts.built_text import read_text
from swarm.rules.security.injection.texts.markup_context import is_escapable
from swarm.rules.security.injection.texts.quoted_holes import free_names, unquoted, without_f

_TEMPLATES = (
    "flask.render_template_string", "jinja2.Template", "jinja2.environment.Template", "mako.template.Template",
    ".from_string", "tornado.template.Template", "flask.stream_template_string", "chameleon.PageTemplate",
)  # fmt: skip
_INSIDE = re.compile(r"\{[{%#][^}]*\0")  # a value inside of an expression of the template


class TemplateInjection(MendingFlowRule):
    """Text of a request becomes a template: its `{{ … }}` reaches the service's objects, and with them its host.

    The text of the template must be the service's own; values belong into its context, where they are left alone. The
    mend puts them there for Flask's `render_template_string`, where the template stands beside them; elsewhere it
    only recommends.
    """

    id = "template-injection"
    category = "security"
    severity = "critical"
    cwe = ("CWE-1336", "CWE-94")
    title = "Data of a request becomes part of a template"
    sources = ("OWASP ASVS 5.0 1.3.7", "OWASP: server side template injection")
    kinds = ("request", "parameter", "upstream", "stored")
    once = True
    harm = "becomes part of a template"
    recommendation = "Keep the template fixed and hand values in as its context."
    bad = (
        Example(
            "from flask import Flask, render_template_string, request\n\napp = Flask(__name__)\n\n\n"
            "@app.get('/card')\n"
            "def card():\n    return render_template_string('<p>' + request.args['text'] + '</p>')\n",
            "from flask import Flask, render_template_string, request\n\napp = Flask(__name__)\n\n\n"
            "@app.get('/card')\n"
            "def card():\n    return render_template_string('<p>{{ value }}</p>', value=request.args['text'])\n",
            "flask",
        ),
        Example(
            "from fastapi import FastAPI\nfrom jinja2 import Environment\n\napp = FastAPI()\n"
            "ENV = Environment(autoescape"
            "=True)\n\n\n@app.post('/mail')\nasync def mail(template: str):\n"
            "    return {'text': ENV.from_string(template).render(name='you')}\n",
            None,
            "fastapi",
        ),
    )
    good = (
        "from flask import Flask, render_template_string, request\n\napp = Flask(__name__)\n\n\n@app.get('/card')\n"
        "def card():\n    return render_template_string('<p>{{ text }}</p>', text=request.args['text'])\n",
    )

    mend_title = "Hand values to templates as their context"
    mend_reason = "A value of the context is written out as it is; the template is the service's own text."

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """The text of templates."""
        if calls(seen, *_TEMPLATES):
            yield Hit(seen.argument(0, "source"))

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """`{{ name }}` in the template and the value beside it."""
        call, module = place.seen.node, place.seen.module
        if not isinstance(call, ast.Call) or place.seen.name != "flask.render_template_string" or len(call.args) != 1:
            return []
        text = read_text(module, call.args[0])
        if (
            text is None
            or text.tail is not None
            or text.doubled
            or any(keyword.arg is None for keyword in call.keywords)
        ):
            return []
        if not all(hole.plain and is_escapable(text.written[: hole.place]) for hole in text.holes):
            return []
        bound = [unquoted(module, text, hole) for hole in text.holes]
        names = free_names(text.holes, [keyword.arg or "" for keyword in call.keywords])
        if any(one is None for one in bound) or _INSIDE.search(text.written):
            return []
        edits = [Edit(one.start, one.end, f"{one.before}{{{{ {name} }}}}{one.after}")
                 for one, name in zip(bound, names, strict=True) if one is not None]  # fmt: skip
        values = [f"{name}={hole.source}" for name, hole in zip(names, text.holes, strict=True)]
        end = module.span([*call.args, *(keyword.value for keyword in call.keywords)][-1])[1]
        return [*edits, *without_f(text, True), Edit(end, end, f", {', '.join(values)}")]

"""The rule template-injection."""

from __future__ import annotations

from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.index import Index
from swarm.rules.rule import Example
from swarm.rules.security.data_flow import FlowRule, Hit, calls

_TEMPLATES = (
    "flask.render_template_string", "jinja2.Template", "jinja2.environment.Template", "mako.template.Template",
    ".from_string", "tornado.template.Template", "flask.stream_template_string", "chameleon.PageTemplate",
)  # fmt: skip


class TemplateInjection(FlowRule):
    """Text of a request becomes a template: its `{{ … }}` reaches the service's objects, and with them its host.

    The text of the template must be the service's own; values belong into its context, where they are left alone.
    """

    id = "template-injection"
    category = "security"
    severity = "critical"
    cwe = ("CWE-1336", "CWE-94")
    title = "Data of a request becomes part of a template"
    sources = ("OWASP ASVS 5.0 1.3.7", "OWASP: server side template injection")
    kinds = ("request", "parameter")
    once = True
    harm = "becomes part of a template"
    recommendation = "Keep the template fixed and hand values in as its context."
    bad = (
        Example(
            "from flask import Flask, render_template_string, request\n\napp = Flask(__name__)\n\n\n"
            "@app.get('/card')\n"
            "def card():\n    return render_template_string('<p>' + request.args['text'] + '</p>')\n",
            None,
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

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """The text of templates."""
        if calls(seen, *_TEMPLATES):
            yield Hit(seen.argument(0, "source"))

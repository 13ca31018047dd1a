"""The rule external-entities."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import UNKNOWN
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls

_SAX = (
    "xml.dom.minidom.parseString",
    "xml.dom.minidom.parse",
    "xml.dom.pulldom.parseString",
    "xml.dom.pulldom.parse",
)
_LXML = ("lxml.etree.fromstring", "lxml.etree.parse", "lxml.etree.XML", "lxml.etree.fromstringlist")


class ExternalEntities(MendingFlowRule):
    """XML of a request is read by a parser that follows external entities: the document reads files of the service.

    Python's own parsers do not follow them unless told to (`feature_external_ges`); lxml's default did before 5.0,
    and does with `resolve_entities=True`. Parsers that are told not to, and defusedxml, are left alone. The mend
    turns off what the code turns on; where a parser is left as it comes, it recommends.
    """

    id = "external-entities"
    category = "security"
    severity = "high"
    cwe = ("CWE-611",)
    title = "XML of a request may read files"
    sources = ("OWASP ASVS 5.0 1.5.1", "docs.python.org: XML vulnerabilities")
    harm = "is read by a parser that follows external entities"
    recommendation = "Use `lxml.etree.XMLParser(resolve_entities=False, no_network=True)`, or defusedxml."
    bad = (
        Example(
            "from flask import Flask, request\nfrom lxml import etree\n\napp = Flask(__name__)\n\n\n"
            "@app.post('/order')\n"
            "def order():\n    parser = etree.XMLParser(resolve_entities=True)\n"
            "    return {'tag': etree.fromstring(request.data, parser).tag}\n",
            "from flask import Flask, request\nfrom lxml import etree\n\napp = Flask(__name__)\n\n\n"
            "@app.post('/order')\n"
            "def order():\n    parser = etree.XMLParser(resolve_entities=False)\n"
            "    return {'tag': etree.fromstring(request.data, parser).tag}\n",
            "flask",
        ),
        Example(
            "import xml.sax\nimport xml.sax.handler\nfrom xml.dom import minidom\n\n"
            "from fastapi import FastAPI, Request\n\n"
            "app = FastAPI()\n\n\n@app.post('/order')\nasync def order(request: Request):\n"
            "    parser = xml.sax.make_parser()\n    parser.setFeature(xml.sax.handler.feature_external_ges, True)\n"
            "    return {'tag': minidom.parseString(await request.body(), parser).documentElement.tagName}\n",
            "import xml.sax\nimport xml.sax.handler\nfrom xml.dom import minidom\n\n"
            "from fastapi import FastAPI, Request\n\n"
            "app = FastAPI()\n\n\n@app.post('/order')\nasync def order(request: Request):\n"
            "    parser = xml.sax.make_parser()\n    parser.setFeature(xml.sax.handler.feature_external_ges, False)\n"
            "    return {'tag': minidom.parseString(await request.body(), parser).documentElement.tagName}\n",
            "fastapi",
        ),
        Example(
            "from flask import Flask, request\nfrom lxml import etree\n\napp = Flask(__name__)\n\n\n"
            "@app.post('/order')\ndef order():\n    return {'tag': etree.fromstring(request.data).tag}\n",
            None,
            "flask",
        ),
    )
    good = (
        "from flask import Flask, request\nfrom lxml import etree\n\napp = Flask(__name__)\n\n\n@app.post('/order')\n"
        "def order():\n    parser = etree.XMLParser(resolve_entities=False, no_network=True)\n"
        "    return {'tag': etree.fromstring(request.data, parser).tag}\n",
        "import xml.etree.ElementTree as ET\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n"
        "@app.post('/order')\ndef order():\n    return {'tag': ET.fromstring(request.data).tag}\n",
    )

    mend_title = "Read no files that an XML document names"
    mend_reason = "Documents without external entities are read as before; others get no file of the service's."

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Documents that such a parser reads."""
        if calls(seen, *_SAX):
            parser = next((v for v in (*seen.arguments[1:], *seen.keywords.values()) if v.kind), UNKNOWN)
            if parser.kind.endswith(":external"):
                yield Hit(seen.argument(0, "string", "file"))
        elif calls(seen, ".parse", ".feed") and seen.receiver.kind == "xml.sax.parser:external":
            yield Hit(seen.argument(0, "source"))
        elif calls(seen, *_LXML):
            parser = seen.argument(1, "parser")
            if parser.kind in ("", "lxml.parser:default"):
                yield Hit(seen.argument(0, "text", "source"), severity="medium", confidence="medium")
            elif parser.kind == "lxml.parser:external":
                yield Hit(seen.argument(0, "text", "source"))

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """False for what turns external entities on, in this function or at module level."""
        module = place.seen.module
        here = module.enclosing_function(place.seen.node)
        wanted = "XMLParser" if calls(place.seen, *_LXML) else "setFeature"
        edits = []
        for call in module.nodes(ast.Call):
            if module.enclosing_function(call) in (here, None) and unparsed(call.func).endswith(wanted):
                switch = _switch(call)
                if isinstance(switch, ast.Constant) and switch.value in (True, 1):
                    edits.append(Edit(*module.span(switch), "False"))
        return edits


def _switch(call: ast.Call) -> ast.expr | None:
    """What turns external entities on: `resolve_entities=…`, or the value of the feature."""
    if isinstance(call.func, ast.Attribute) and call.func.attr == "setFeature":
        is_it = len(call.args) == 2 and "external_ges" in unparsed(call.args[0]).replace("-", "_")
        return call.args[1] if is_it else None
    return next((keyword.value for keyword in call.keywords if keyword.arg == "resolve_entities"), None)

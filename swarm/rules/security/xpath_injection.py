"""The rule xpath-injection."""

from __future__ import annotations

from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.index import Index
from swarm.rules.rule import Example
from swarm.rules.security.data_flow import FlowRule, Hit, calls

_ACCEPTED = ("xpath", "without:'", 'without:"')
_FIRST = (".xpath", "lxml.etree.XPath", "lxml.etree.ETXPath")
_SECOND = ("elementpath.select", "elementpath.iter_select")
_FINDS = (".find", ".findall", ".iterfind", ".findtext")


class XpathInjection(FlowRule):
    """Text of a request is written into an XPath query: `' or '1'='1` makes it find everything.

    lxml takes values beside the query (`xpath("//user[@id=$id]", id=value)`): those are left alone, and so is text
    whose quotes were taken out, escaped or refused.
    """

    id = "xpath-injection"
    category = "security"
    severity = "high"
    cwe = ("CWE-643",)
    title = "An XPath query is built from data of a request"
    sources = ("OWASP ASVS 5.0 1.2.6", "lxml: XPath variables")
    kinds = ("request", "parameter")
    harm = "becomes part of an XPath query"
    recommendation = 'Hand values over as variables: `tree.xpath("//user[@id=$id]", id=value)`.'
    bad = (
        Example(
            "from flask import Flask, request\nfrom lxml import etree\n\napp = Flask(__name__)\n"
            "TREE = etree.parse('u.xml')"
            "\n\n\n@app.get('/user')\ndef user():\n    query = f\"//user[@id='{request.args['id']}']\"\n"
            "    return {'found': len(TREE.xpath(query))}\n",
            None,
            "flask",
        ),
    )
    good = (
        "from flask import Flask, request\nfrom lxml import etree\n\napp = Flask(__name__)\n"
        "TREE = etree.parse('u.xml')"
        "\n\n\n@app.get('/user')\ndef user():\n"
        "    return {'found': len(TREE.xpath('//user[@id=$id]', id=request.args['id']))}\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Queries."""
        if calls(seen, *_SECOND):
            yield Hit(seen.argument(1, "path"), _ACCEPTED)
        elif calls(seen, *_FIRST):
            yield Hit(seen.argument(0, "_path", "path"), _ACCEPTED)
        elif calls(seen, *_FINDS) and "[" in (seen.argument(0).text or ""):
            yield Hit(seen.argument(0), _ACCEPTED)

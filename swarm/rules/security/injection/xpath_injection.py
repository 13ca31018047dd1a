"""The rule xpath-injection."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module, own_of
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls, given, holds
from swarm.rules.security.injection.texts.built_text import BuiltText, read_text
from swarm.rules.security.injection.texts.copied_text import is_steady, moved
from swarm.rules.security.injection.texts.filled_places import bindings, is_text
from swarm.rules.security.injection.texts.quoted_holes import bindings_of, free_names, without_f

_ACCEPTED = ("xpath", "without:'", 'without:"')
_FIRST = (".xpath", "lxml.etree.XPath", "lxml.etree.ETXPath")
_SECOND = ("elementpath.select", "elementpath.iter_select")
_FINDS = (".find", ".findall", ".iterfind", ".findtext")
_RESERVED = frozenset({"namespaces", "extensions", "smart_strings", "_path", "path"})


class XpathInjection(MendingFlowRule):
    """Text of a request is written into an XPath query: `' or '1'='1` makes it find everything.

    lxml takes values beside the query (`xpath("//user[@id=$id]", id=value)`): those are left alone, and so is text
    whose quotes were taken out, escaped or refused. The mend hands a value that stands in quotes over as such a
    variable (lxml, elementpath); the standard library's `find` knows none, there it is a recommendation.
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
            "from flask import Flask, request\nfrom lxml import etree\n\napp = Flask(__name__)\n"
            "TREE = etree.parse('u.xml')"
            "\n\n\n@app.get('/user')\ndef user():\n    query = \"//user[@id=$value]\"\n"
            "    return {'found': len(TREE.xpath(query, value=request.args['id']))}\n",
            "flask",
        ),
        Example(
            "import xml.etree.ElementTree as ET\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\n"
            "TREE = ET.parse('u.xml')\n\n\n@app.get('/user')\ndef user(name: str):\n"
            "    return {'found': len(TREE.findall(\"./user[@id='\" + name + \"']\"))}\n",
            None,
            "fastapi",
        ),
    )
    good = (
        "from flask import Flask, request\nfrom lxml import etree\n\napp = Flask(__name__)\n"
        "TREE = etree.parse('u.xml')"
        "\n\n\n@app.get('/user')\ndef user():\n"
        "    return {'found': len(TREE.xpath('//user[@id=$id]', id=request.args['id']))}\n",
    )

    mend_title = "Hand values to XPath queries as variables"
    mend_reason = "A variable is compared as a value: it cannot become part of the query, whatever stands in it."

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Queries."""
        if calls(seen, *_SECOND):
            yield Hit(seen.argument(1, "path"), _ACCEPTED)
        elif calls(seen, *_FIRST):
            yield Hit(seen.argument(0, "_path", "path"), _ACCEPTED)
        elif calls(seen, *_FINDS) and "[" in (seen.argument(0).text or ""):
            yield Hit(seen.argument(0), _ACCEPTED)

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """`$name` in the query and the value beside it."""
        call, module = place.seen.node, place.seen.module
        if not isinstance(call, ast.Call):
            return []
        is_select = place.seen.name == "elementpath.select"
        is_compiled = place.seen.name.endswith("etree.XPath")
        if not (is_select or is_compiled or (calls(place.seen, ".xpath") and _uses_lxml(module))):
            return []
        query = given(call, 1 if is_select else 0, "_path", "path")
        user = _call_of_compiled(module, call) if is_compiled else call
        text = _text_of(module, query, call)
        if query is None or user is None or text is None or (is_select and _names_variables(call)):
            return []
        function = module.enclosing_function(call)
        is_dirty = holds(index, *_ACCEPTED)
        holes = [hole for hole in text.holes if is_dirty(hole.expression)]
        bound = bindings_of(module, text, holes)
        if bound is None:
            return []
        taken = {keyword.arg or "" for keyword in user.keywords}
        names = free_names(holes, taken | _RESERVED)
        edits = [Edit(one.start, one.end, f"${name}") for one, name in zip(bound, names, strict=True)]
        edits += without_f(text, len(holes) == len(text.holes))
        values = [
            one.value if one.value != hole.source or is_text(module, function, hole.expression)
            or hole.token is None else f"str({one.value})"
            for one, hole in zip(bound, holes, strict=True)
        ]  # fmt: skip
        pairs = zip(names, values, strict=True)
        if is_select:
            added = "variables={" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
        else:
            added = ", ".join(f"{name}={value}" for name, value in pairs)
        last = [*user.args, *(keyword.value for keyword in user.keywords)][-1]
        end = module.span(last)[1]
        return [*_in_place(module, query, call, edits), Edit(end, end, f", {added}")]


def _uses_lxml(module: Module) -> bool:
    return any(dotted.split(".")[0] == "lxml" for dotted in module.imports.values())


def _names_variables(call: ast.Call) -> bool:
    return any(keyword.arg in (None, "variables") for keyword in call.keywords)


def _call_of_compiled(module: Module, call: ast.Call) -> ast.Call | None:
    """The one call of what `XPath(query)` gives."""
    around = module.parent(call)
    if isinstance(around, ast.Call) and around.func is call:
        return around if around.args else None
    function = module.enclosing_function(call)
    if not isinstance(around, ast.Assign) or len(around.targets) != 1 or function is None:
        return None
    target = around.targets[0]
    uses = [n for n in own_of(function, ast.Name) if isinstance(target, ast.Name) and n.id == target.id]
    if len(uses) != 2:
        return None
    used = module.parent(uses[1])
    return used if isinstance(used, ast.Call) and used.func is uses[1] and used.args else None


def _text_of(module: Module, query: ast.expr | None, call: ast.Call) -> BuiltText | None:
    """The query's text, where it stands in the call or in a variable, and no value of it changes until then."""
    if isinstance(query, ast.Name):
        written = bindings(module, module.enclosing_function(call), query.id)
        if written is None or len(written) != 1:
            return None
        text = read_text(module, written[0])
        return text if text is not None and is_steady(module, written[0], call) else None
    return read_text(module, query) if query is not None else None


def _in_place(module: Module, query: ast.expr, user: ast.Call, edits: list[Edit]) -> list[Edit]:
    """The edits, on a copy in the call where something else reads the variable that holds the query."""
    function = module.enclosing_function(user)
    written = bindings(module, function, query.id) if isinstance(query, ast.Name) else None
    if written is None or function is None or not isinstance(query, ast.Name):
        return edits
    uses = [node for node in own_of(function, ast.Name) if node.id == query.id]
    return edits if len(uses) == 2 else moved(module, written[0], query, edits)

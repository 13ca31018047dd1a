"""The rule ldap-injection."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import derived
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls, given, holds
from swarm.rules.security.injection.texts.filled_places import Filling, imported

_SEARCHES = (".search", ".search_s", ".search_st", ".search_ext", ".search_ext_s", ".paged_search", ".compare_s",
             ".search_subtree", ".modify_s", ".delete_s", ".simple_bind_s")  # fmt: skip

_ESCAPING = {"ldap3": "ldap3.utils.conv", "ldap": "ldap.filter"}
_VALUE = re.compile(r"\([\w;.:-]+(?:=|~=|>=|<=)[^()]*$")  # behind the `=` of a part of a filter
_NAMED = ("search_filter", "filterstr", "base", "search_base")


class LdapInjection(MendingFlowRule):
    """Text of a request is written into an LDAP filter or name: `*)(uid=*` makes it find everybody.

    Left alone: `escape_filter_chars`, `escape_rdn`, values from a fixed list. The mend escapes values in filters with
    the function of the library at hand (ldap3, python-ldap); for names (`uid=…,dc=…`) it only recommends.
    """

    id = "ldap-injection"
    category = "security"
    severity = "high"
    cwe = ("CWE-90",)
    title = "An LDAP query is built from data of a request"
    sources = ("OWASP ASVS 5.0 1.2.6", "ldap3: escape_filter_chars")
    kinds = ("request", "parameter")
    harm = "becomes part of an LDAP query"
    recommendation = "Escape values with `escape_filter_chars` of the library at hand."
    bad = (
        Example(
            "import ldap3\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.get('/person')\n"
            "def person():\n    connection = ldap3.Connection('ldap://localhost', auto_bind=True)\n"
            "    connection.search('ou=people,dc=example', f\"(uid={request.args['uid']})\")\n"
            "    return {'found': len(connection.entries)}\n",
            "import ldap3\nfrom flask import Flask, request\nfrom ldap3.utils.conv import escape_filter_chars\n\n"
            "app = Flask(__name__)\n\n\n@app.get('/person')\n"
            "def person():\n    connection = ldap3.Connection('ldap://localhost', auto_bind=True)\n"
            "    connection.search('ou=people,dc=example', f\"(uid={escape_filter_chars(request.args['uid'])})\")\n"
            "    return {'found': len(connection.entries)}\n",
            "flask",
        ),
        Example(
            "import ldap\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/unit')\n"
            "def unit(name: str):\n    connection = ldap.initialize('ldap://localhost')\n"
            "    base = f'ou={name},dc=example'\n"
            "    return {'found': len(connection.search_s(base, ldap.SCOPE_SUBTREE, '(objectClass=person)'))}\n",
            None,
            "fastapi",
        ),
    )
    good = (
        "import ldap3\nfrom flask import Flask, request\nfrom ldap3.utils.conv import escape_filter_chars\n\n"
        "app = Flask(__name__)\n\n\n@app.get('/person')\ndef person():\n"
        "    connection = ldap3.Connection('ldap://localhost', auto_bind=True)\n"
        "    connection.search('ou=people', f\"(uid={escape_filter_chars(request.args['uid'])})\")\n"
        "    return {'found': len(connection.entries)}\n",
    )

    mend_title = "Escape what requests write into LDAP filters"
    mend_reason = "An escaped value stands for itself: a star or a bracket in it is no part of the filter."

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Filters and names."""
        if not calls(seen, *_SEARCHES) or not _speaks_ldap(index):
            return
        given = [*seen.arguments[:3], *(value for name, value in seen.keywords.items() if name in _NAMED)]
        yield Hit(derived(*(value for value in given if value.taints and not value.shape)), ("ldap",))

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """The library's escaping around each value of the filter."""
        module, call = place.seen.module, place.seen.node
        library = _library(index)
        is_dirty = holds(index, "ldap")
        if not isinstance(call, ast.Call) or library is None:
            return []
        position = 1 if library == "ldap3.utils.conv" else 2
        chosen = given(call, position, "search_filter", "filterstr")
        others = [a for a in (*call.args, *(k.value for k in call.keywords)) if a is not chosen]
        if chosen is None or not is_dirty(chosen) or any(is_dirty(other) for other in others):
            return []
        filling = Filling(module, module.enclosing_function(call), is_dirty, lambda text: "(" in text)
        name, import_edit = imported(module, library, "escape_filter_chars", "escape_ldap")
        edits = filling.escaped(chosen, lambda one: bool(_VALUE.search(one.before)), name)
        return [*edits, import_edit] if import_edit is not None and edits else edits


def _library(index: Index) -> str | None:
    """The module of the escaping function of the one LDAP library that the target uses."""
    tops = {dotted.split(".")[0] for m in index.tree.modules.values() for dotted in m.imports.values()}
    used = [module for top, module in _ESCAPING.items() if top in tops]
    return used[0] if len(used) == 1 else None


def _speaks_ldap(index: Index) -> bool:
    tops = {dotted.split(".")[0] for m in index.tree.modules.values() for dotted in m.imports.values()}
    return bool(tops & {"ldap", "ldap3", "bonsai", "ldap_helpers"})

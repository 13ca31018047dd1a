"""The rule ldap-injection."""

from __future__ import annotations

from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import derived
from swarm.analysis.index import Index
from swarm.rules.rule import Example
from swarm.rules.security.data_flow import FlowRule, Hit, calls

_SEARCHES = (".search", ".search_s", ".search_st", ".search_ext", ".search_ext_s", ".paged_search", ".compare_s",
             ".search_subtree", ".modify_s", ".delete_s", ".simple_bind_s")  # fmt: skip

_NAMED = ("search_filter", "filterstr", "base", "search_base")


class LdapInjection(FlowRule):
    """Text of a request is written into an LDAP filter or name: `*)(uid=*` makes it find everybody.

    Left alone: `escape_filter_chars`, `escape_rdn`, values from a fixed list.
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
            None,
            "flask",
        ),
    )
    good = (
        "import ldap3\nfrom flask import Flask, request\nfrom ldap3.utils.conv import escape_filter_chars\n\n"
        "app = Flask(__name__)\n\n\n@app.get('/person')\ndef person():\n"
        "    connection = ldap3.Connection('ldap://localhost', auto_bind=True)\n"
        "    connection.search('ou=people', f\"(uid={escape_filter_chars(request.args['uid'])})\")\n"
        "    return {'found': len(connection.entries)}\n",
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Filters and names."""
        if not calls(seen, *_SEARCHES) or not _speaks_ldap(index):
            return
        given = [*seen.arguments[:3], *(value for name, value in seen.keywords.items() if name in _NAMED)]
        yield Hit(derived(*(value for value in given if value.taints and not value.shape)), ("ldap",))


def _speaks_ldap(index: Index) -> bool:
    tops = {dotted.split(".")[0] for m in index.tree.modules.values() for dotted in m.imports.values()}
    return bool(tops & {"ldap", "ldap3", "bonsai", "ldap_helpers"})

"""The rule no-retention."""

from __future__ import annotations

from collections.abc import Iterable

from swarm.analysis.added_modules import is_added
from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.facts.personal_columns import personal_columns
from swarm.rules.rule import Example, Rule

_DROPS = (
    r"purge|retention|expire[sd]?_?(rows|records|users|leads|contacts|data)?\b|prune|clean_?up|older_?than|keep_?days"
    r"|ttl|delete_?old|drop_?old"
)


class NoRetention(Rule):
    """Persons are stored, and nothing ever drops those whom nobody has heard of for long.

    No mend: how long each kind of data is needed is for the owner to say.
    """

    id = "no-retention"
    category = "compliance"
    severity = "medium"
    cwe = ("CWE-212",)
    title = "Personal data is kept for ever"
    sources = ("GDPR 5(1)(e)", "OWASP ASVS 5.0 14.2.7")
    bad = (
        Example(
            "from flask import Flask\n\napp = Flask(__name__)\n"
            'TABLE = "CREATE TABLE leads (id INTEGER, email TEXT)"\n\n\n'
            '@app.post("/leads")\ndef take():\n    return ""\n',
            None,
            "flask",
        ),
    )
    good = (
        "from flask import Flask\n\napp = Flask(__name__)\n"
        'TABLE = "CREATE TABLE leads (id INTEGER, email TEXT)"\n\n\n'
        '@app.post("/purge")\ndef purge_leads():\n    return ""\n',
        "from flask import Flask\n\napp = Flask(__name__)\n"
        'TABLE = "CREATE TABLE carts (id INTEGER, items TEXT)"\n\n\n'
        '@app.post("/carts")\ndef take():\n    return ""\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the first table of persons of a service whose code names no period and no purge."""
        columns = personal_columns(index)
        own = [module for module in index.tree.modules.values() if not is_added(module)]
        if not columns or not index.routes or any(module.mentions(_DROPS) for module in own):
            return
        tables = ", ".join(dict.fromkeys(column.table for column in columns))
        yield self.finding(
            columns[0].module,
            columns[0].node,
            evidence=f"{tables}: nothing in {len(own)} files drops what is old",
            recommendation="Give each table of personal data a period, and drop what is older by a job or a route.",
            anchor="retention",
            mendable=False,
        )

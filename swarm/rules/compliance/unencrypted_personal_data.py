"""The rule unencrypted-personal-data."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from swarm.analysis.databases.models import models_of
from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.facts.personal_columns import personal_columns
from swarm.rules.rule import Example, Rule

_ORDERING = ("order_by", "group_by", "filter_by", "distinct")


class UnencryptedPersonalData(Rule):
    """Columns that tell who somebody is lie in the database as plain text: a copied file or backup gives them away.

    No mend: a key has to be made and kept elsewhere, rows that are there have to be rewritten, and a column that is
    looked up needs a keyed digest beside it. The finding says which columns are looked up.
    """

    id = "unencrypted-personal-data"
    category = "compliance"
    severity = "medium"
    cwe = ("CWE-311",)
    title = "Personal data is stored in plain text"
    sources = ("GDPR 32(1)(a)", "OWASP ASVS 5.0 14.2.4")
    bad = (
        Example(
            "from sqlalchemy import select\nfrom sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column\n\n\n"
            "class Base(DeclarativeBase):\n    pass\n\n\n"
            'class Lead(Base):\n    __tablename__ = "leads"\n\n'
            "    id: Mapped[int] = mapped_column(primary_key=True)\n"
            "    email: Mapped[str]\n    phone: Mapped[str]\n\n\n"
            "def by(email):\n    return select(Lead).where(Lead.email == email)\n",
            None,
        ),
        Example('TABLE = "CREATE TABLE leads (id INTEGER PRIMARY KEY, email TEXT, score INTEGER)"\n', None),
    )
    good = (
        "from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column\n"
        "from sqlalchemy_utils import StringEncryptedType\n\n\nclass Base(DeclarativeBase):\n    pass\n\n\n"
        'class Lead(Base):\n    __tablename__ = "leads"\n\n    id: Mapped[int] = mapped_column(primary_key=True)\n'
        '    email: Mapped[str] = mapped_column(StringEncryptedType(key="k"))\n',
        'TABLE = "CREATE TABLE carts (id INTEGER PRIMARY KEY, items TEXT, street TEXT)"\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding a table."""
        plain = [column for column in personal_columns(index) if not column.encrypted]
        looked_up = _looked_up(index) if plain else set()
        for table in dict.fromkeys(column.table for column in plain):
            mine = [column for column in plain if column.table == table]
            sought = [
                column.name for column in mine
                if (table, column.name) in looked_up or _sought_in_text(index, column.name)
            ]  # fmt: skip
            digest = f"; {', '.join(sought)}: looked up, so a keyed digest is needed beside it" if sought else ""
            yield self.finding(
                mine[0].module,
                mine[0].node,
                evidence=f"table {table}: {', '.join(column.name for column in mine)}",
                recommendation="Encrypt these columns in the application, with a key that lies elsewhere, "
                f"and rewrite the rows that are there{digest}.",
                anchor=f"table {table}",
                mendable=False,
            )


def _looked_up(index: Index) -> set[tuple[str, str]]:
    """The columns that some comparison or ordering names."""
    models = models_of(index)
    found = set()
    names = {name for model in models.by_dotted.values() for name in model.columns}
    for module in index.tree.modules.values() if names else ():
        for node in module.nodes(ast.Attribute):
            named = models.column(module, node) if node.attr in names else None
            if named is not None and any(_compares(around) for around in module.ancestors(node)):
                found.add((named[0].table, named[1].name))
    return found


def _sought_in_text(index: Index, name: str) -> bool:
    """Whether some SQL text compares a column of this name."""
    sought = re.compile(rf"\b{re.escape(name)}\s*(=|LIKE\b|IN\b)", re.IGNORECASE)
    return any(
        isinstance(node.value, str) and sought.search(node.value)
        for module in index.tree.modules.values()
        for node in module.nodes(ast.Constant)
    )


def _compares(node: ast.AST) -> bool:
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return isinstance(node, ast.Compare) or (is_call and node.func.attr in _ORDERING)  # type: ignore[attr-defined]

"""The rule deleted-data-stays."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from swarm.analysis.added_modules import is_added
from swarm.analysis.databases.database_kinds import DATABASE_MAKERS, ENGINES
from swarm.analysis.databases.models import is_library, models_of
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.core.patches import FileChange
from swarm.rules.facts.personal_columns import personal_columns
from swarm.rules.rule import Example, Mend, Rule, edited
from swarm.rules.writing.placing import bound_names, free_file, import_edit, sibling_import
from swarm.rules.writing.splices import before_definitions

_ENGINE_MAKERS = frozenset(name for name, kind in DATABASE_MAKERS.items() if kind in ENGINES and "create_" in name)
_SQLITE = re.compile(r"sqlite(\+\w+)?:///(?!:memory:)\S")
_DELETES = re.compile(r"\s*DELETE\s+FROM\b", re.IGNORECASE)
_CALL = "overwrite_deleted"


class DeletedDataStays(Rule):
    """Who asked to be deleted still lies in the database's files: SQLite marks deleted rows as free and keeps their
    bytes, in its pages and in its write-ahead log, until something else happens to be written over them.

    The mend adds a small module that has SQLite overwrite what is deleted (`PRAGMA secure_delete`), and empties the
    log soon after a connection that deleted rows of a table with personal columns went back to its pool. It works by
    SQLAlchemy's events, for sync and async engines; other databases are left alone. `SQLITE_SECURE_DELETE=0` turns
    it off. Where `sqlite3` is used directly, this is a recommendation: each connection must be told.
    """

    id = "deleted-data-stays"
    category = "compliance"
    severity = "medium"
    cwe = ("CWE-212", "CWE-226")
    title = "Deleted personal data stays in the database's files"
    sources = ("GDPR 17", "https://www.sqlite.org/pragma.html#pragma_secure_delete")
    bad = (
        Example(
            "from flask import Flask\nfrom sqlalchemy import create_engine, delete\n"
            "from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column\n\n"
            'engine = create_engine("sqlite:///people.db")\napp = Flask(__name__)\n\n\n'
            "class Base(DeclarativeBase):\n    pass\n\n\n"
            'class User(Base):\n    __tablename__ = "users"\n\n'
            "    id: Mapped[str] = mapped_column(primary_key=True)\n    email: Mapped[str]\n\n\n"
            '@app.delete("/users/<user_id>")\ndef forget(user_id):\n    with Session(engine) as session:\n'
            "        session.execute(delete(User).where(User.id == user_id))\n        session.commit()\n"
            '    return ""\n',
            "from flask import Flask\nfrom sqlalchemy import create_engine, delete\n"
            "from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column\n\n"
            "from deleted_rows import overwrite_deleted\n\n"
            'engine = create_engine("sqlite:///people.db")\napp = Flask(__name__)\n\n\n'
            'overwrite_deleted("users")\n\n\n'
            "class Base(DeclarativeBase):\n    pass\n\n\n"
            'class User(Base):\n    __tablename__ = "users"\n\n'
            "    id: Mapped[str] = mapped_column(primary_key=True)\n    email: Mapped[str]\n\n\n"
            '@app.delete("/users/<user_id>")\ndef forget(user_id):\n    with Session(engine) as session:\n'
            "        session.execute(delete(User).where(User.id == user_id))\n        session.commit()\n"
            '    return ""\n',
            "flask",
        ),
        Example(
            "import sqlite3\n\nfrom flask import Flask\n\napp = Flask(__name__)\n"
            'sqlite3.connect("users.db").execute("CREATE TABLE users (id TEXT, email TEXT)")\n\n\n'
            '@app.delete("/users/<user_id>")\ndef forget(user_id):\n'
            '    with sqlite3.connect("users.db") as base:\n'
            '        base.execute("DELETE FROM users WHERE id = ?", (user_id,))\n    return ""\n',
            None,
            "flask",
        ),
    )
    good = (
        "import sqlite3\n\nfrom flask import Flask\n\napp = Flask(__name__)\n\n\n"
        '@app.delete("/users/<user_id>")\ndef forget(user_id):\n'
        '    with sqlite3.connect("users.db") as base:\n'
        '        base.execute("PRAGMA secure_delete = ON")\n'
        '        base.execute("CREATE TABLE IF NOT EXISTS users (id TEXT, email TEXT)")\n'
        '        base.execute("DELETE FROM users WHERE id = ?", (user_id,))\n    return ""\n',
        "from flask import Flask\nfrom sqlalchemy import create_engine, text\n\n"
        'engine = create_engine("sqlite:///carts.db")\napp = Flask(__name__)\n\n\n'
        '@app.delete("/carts/<number>")\ndef drop(number):\n    with engine.begin() as connection:\n'
        '        connection.execute(text("DELETE FROM carts WHERE number = :n"), {"n": number})\n    return ""\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, where the SQLite file is opened."""
        modules = [module for _, module in sorted(index.tree.modules.items())]
        own = [module for module in modules if not is_added(module)]
        if not index.routes or any("secure_delete" in module.text.lower() for module in own):
            return
        tables = _tables(index)
        where = next(_deletions(index, own), None) if tables else None
        if where is None:
            return
        opening = index.calls_to(*_ENGINE_MAKERS, "sqlite3.connect", "aiosqlite.connect")
        for module, call in sorted(opening, key=lambda place: place[0].path):
            is_engine = index.resolve(module, call.func) in _ENGINE_MAKERS
            if not is_engine or any(_SQLITE.search(m.text) for m in modules):
                yield self.finding(
                    module, call,
                    evidence=f"{', '.join(tables)}: rows are deleted ({where}), SQLite keeps their bytes",
                    recommendation="PRAGMA secure_delete=ON on each connection, and PRAGMA "
                    "wal_checkpoint(TRUNCATE) after persons were deleted",
                    anchor="sqlite", mendable=is_engine and _CALL not in bound_names(module),
                )  # fmt: skip
                return

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The module, and a line that names the tables to it."""
        tree, module, tables = index.tree, index.tree.modules[findings[0].file], _tables(index)
        path = free_file(tree, module.path.rpartition("/")[0], "deleted_rows")
        stem = path.rpartition("/")[2].removesuffix(".py")
        names = ", ".join(f'"{table}"' for table in tables)
        edits = [
            import_edit(tree, module, sibling_import(tree, module, stem, _CALL)),
            before_definitions(module, f"{_CALL}({names})"),
        ]
        text = (Path(__file__).parent / "deleted_rows.txt").read_text(encoding="utf-8")
        return Mend(
            "Leave no bytes of deleted persons",
            "SQLite overwrites what is deleted, and its log is emptied after persons were deleted. "
            "SQLITE_SECURE_DELETE=0 turns it off.",
            (edited(module, edits), FileChange(path, None, text)),
        )


def _tables(index: Index) -> list[str]:
    return sorted({column.table for column in personal_columns(index)})


def _deletions(index: Index, modules: Sequence[Module]) -> Iterator[str]:
    """Places that delete rows: `delete(…)` of SQLAlchemy, `session.delete(…)`, DELETE statements."""
    has_models = bool(models_of(index).by_dotted)
    for module in (module for module in modules if module.mentions("delete")):
        for call in module.nodes(ast.Call):
            is_method = isinstance(call.func, ast.Attribute) and call.func.attr == "delete"
            of_session = is_method and has_models and "session" in unparsed(call.func).lower()
            if of_session or is_library(index, module, call.func, "delete"):
                yield f"{module.path}:{call.lineno}"
        for text in module.nodes(ast.Constant):
            if isinstance(text.value, str) and _DELETES.match(text.value):
                yield f"{module.path}:{text.lineno}"

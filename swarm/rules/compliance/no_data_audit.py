"""The rule no-data-audit."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path

from swarm.analysis.databases.database_kinds import DATABASE_MAKERS, ENGINES
from swarm.analysis.index import Index
from swarm.core.findings import Finding
from swarm.rules.facts.personal_columns import personal_columns
from swarm.rules.rule import Example, Mend, Rule
from swarm.rules.writing.audit_chain import chained
from swarm.rules.writing.middlewares import installed, is_installed, middleware_text
from swarm.rules.writing.placing import main_app, text_mentions

_CLASS = "DataAuditMiddleware"
_ENGINE_MAKERS = frozenset(name for name, kind in DATABASE_MAKERS.items() if kind in ENGINES and "create_" in name)
_KNOWN = r"(?<!security[-_.])audit[-_. ]?(log|trail|event|record|entry|logger|mixin)|continuum|data[-_.]audit|pgaudit"


class NoDataAudit(Rule):
    """Nobody can say afterwards what was stored, changed, decided or deleted about a person, by whom and why.

    The mend adds a module that listens to SQLAlchemy's events and writes one JSON line for each change that is
    committed: time in UTC, operation, table, names of the columns (a stored decision shows by them), number of rows,
    digests of the ids, and the request that it belongs to: address, digest of its key or signature, method and route.
    No values and no person, so that a deletion needs not touch the trail. Each line holds the digest of the one
    before: a changed or missing one shows; the module's `verify` tells where. `DATA_AUDIT_PATH` names the file,
    `DATA_AUDIT_TABLES` restricts it; `DATA_AUDIT=0` turns it off.
    Without SQLAlchemy this is a recommendation.
    """

    id = "no-data-audit"
    category = "compliance"
    severity = "medium"
    cwe = ("CWE-778",)
    title = "No audit trail of changes to personal data"
    sources = ("GDPR 5(2)", "OWASP ASVS 5.0 16.2.1, 16.4.2")
    order = 87
    bad = (
        Example(
            "from fastapi import FastAPI\nfrom sqlalchemy import String, create_engine\n"
            "from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column\n\n"
            'engine = create_engine("postgresql://db/people")\napp = FastAPI()\n\n\n'
            "class Base(DeclarativeBase):\n    pass\n\n\n"
            'class User(Base):\n    __tablename__ = "users"\n\n'
            "    id: Mapped[int] = mapped_column(primary_key=True)\n"
            "    email: Mapped[str] = mapped_column(String(200))\n\n\n"
            '@app.post("/users")\ndef add(user: dict) -> dict:\n    with Session(engine) as session:\n'
            '        session.add(User(email=user["email"]))\n        session.commit()\n    return {}\n',
            "from fastapi import FastAPI\nfrom sqlalchemy import String, create_engine\n"
            "from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column\n\n"
            "from data_audit import DataAuditMiddleware\n\n"
            'engine = create_engine("postgresql://db/people")\napp = FastAPI()\n'
            "app.add_middleware(DataAuditMiddleware)\n\n\n"
            "class Base(DeclarativeBase):\n    pass\n\n\n"
            'class User(Base):\n    __tablename__ = "users"\n\n'
            "    id: Mapped[int] = mapped_column(primary_key=True)\n"
            "    email: Mapped[str] = mapped_column(String(200))\n\n\n"
            '@app.post("/users")\ndef add(user: dict) -> dict:\n    with Session(engine) as session:\n'
            '        session.add(User(email=user["email"]))\n        session.commit()\n    return {}\n',
            "fastapi",
        ),
        Example(
            "import sqlite3\n\nfrom flask import Flask, request\n\napp = Flask(__name__)\n"
            'TABLE = "CREATE TABLE users (id INTEGER, email TEXT)"\n\n\n'
            '@app.post("/users")\ndef add():\n    with sqlite3.connect("users.db") as base:\n'
            '        base.execute("INSERT INTO users (email) VALUES (?)", (request.json["email"],))\n    return {}\n',
            None,
            "flask",
        ),
    )
    good = (
        "from flask import Flask\nfrom sqlalchemy import create_engine\n"
        "from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column\n\n"
        'engine = create_engine("postgresql://db/people")\napp = Flask(__name__)\n\n\n'
        "class Base(DeclarativeBase):\n    pass\n\n\n"
        'class User(Base):\n    __tablename__ = "users"\n\n    id: Mapped[int] = mapped_column(primary_key=True)\n'
        "    email: Mapped[str]\n\n\n"
        'class AuditLog(Base):\n    __tablename__ = "audit_log"\n\n'
        "    id: Mapped[int] = mapped_column(primary_key=True)\n    what: Mapped[str]\n\n\n"
        '@app.post("/users")\ndef add():\n    return {}\n',
        "from flask import Flask\nfrom sqlalchemy import create_engine, text\n\n"
        'engine = create_engine("postgresql://db/carts")\napp = Flask(__name__)\n\n\n'
        '@app.post("/carts")\ndef add():\n    with engine.begin() as connection:\n'
        '        connection.execute(text("INSERT INTO carts DEFAULT VALUES"))\n    return ""\n',
    )

    def find(self, index: Index) -> Iterable[Finding]:
        """One finding, at the application of a service that stores persons."""
        app = main_app(index)
        if app is None or is_installed(index, _CLASS) or text_mentions(index, _KNOWN):
            return
        tables = sorted({column.table for column in personal_columns(index)})
        if not tables or all(set(route.methods) <= {"GET", "HEAD", "OPTIONS"} for route in index.routes):
            return
        yield self.finding(
            app.module,
            app.node,
            evidence=f"{', '.join(tables[:4])}: persons are stored, changed and deleted, and no trail of it is kept",
            recommendation="Keep what was changed or decided, by whom, when (UTC) and why, so that tampering shows.",
            anchor=f"app {app.name}",
            mendable=_makes_engine(index),
        )

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """The module that listens, and a middleware that tells it of requests."""
        return installed(
            index,
            findings,
            chained(middleware_text(Path(__file__).parent, "data_audit", _CLASS)),
            "Keep an audit trail of data",
            "One JSON line for each committed change to DATA_AUDIT_PATH, without values, chained by digests. "
            "DATA_AUDIT=0 turns it off.",
        )


def _makes_engine(index: Index) -> bool:
    return any(
        index.resolve(module, call.func) in _ENGINE_MAKERS
        for module in index.tree.modules.values()
        for call in module.nodes(ast.Call)
    )

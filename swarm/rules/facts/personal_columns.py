"""Where a target stores persons: columns of its tables that by name or type hold what tells who somebody is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from swarm.analysis.databases.models import models_of
from swarm.analysis.databases.tables import tables_of
from swarm.analysis.index import Index
from swarm.analysis.layout import unparsed
from swarm.analysis.source import Module

PERSONAL_NAME = re.compile(
    r"^((customer|user|contact|lead|client|person|buyer|sender|patient|guest|from|to|billing|shipping|work|home)_?)?"
    r"(e_?mail(_?address)?|phone(_?number)?|mobile(_?number)?|first_?name|last_?name|full_?name|surname|ssn"
    r"|social_?security(_?number)?|date_?of_?birth|dob|birth_?date|street_?address|home_?address|passport(_?number)?"
    r"|iban|card_?number|credit_?card)$"
    r"|^(customer|contact|lead|patient|guest|buyer)_?name$",
    re.IGNORECASE,
)
_PERSONAL_TYPE = re.compile(r"\b(EmailType|EmailStr|PhoneNumberType|PhoneNumber|IPAddressType)\b")
_ENCRYPTED_TYPE = re.compile(r"encrypt|cipher|fernet|pgp|secret", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PersonalColumn:
    """One column; `node` is what declares it, `encrypted` where its type says so."""

    table: str
    name: str
    module: Module
    node: ast.AST
    encrypted: bool


def personal_columns(index: Index) -> tuple[PersonalColumn, ...]:
    """Those of SQLAlchemy models and of `CREATE TABLE` statements, each once."""
    found: dict[tuple[str, str], PersonalColumn] = {}
    for column in (*_of_models(index), *_of_statements(index)):
        found.setdefault((column.table, column.name), column)
    return tuple(found.values())


def _of_models(index: Index) -> Iterator[PersonalColumn]:
    for model in models_of(index).by_dotted.values():
        for column in model.columns.values():
            kind = " ".join(unparsed(part) for part in (column.annotation, column.call) if part is not None)
            if PERSONAL_NAME.match(column.attribute) or _PERSONAL_TYPE.search(kind):
                encrypted = _ENCRYPTED_TYPE.search(kind) is not None
                yield PersonalColumn(model.table, column.name, column.module, column.statement, encrypted)


def _of_statements(index: Index) -> Iterator[PersonalColumn]:
    for table in tables_of(index).values():
        for name in sorted(table.columns):
            if PERSONAL_NAME.match(name):
                yield PersonalColumn(table.name, name, table.module, table.node, False)

"""The tables that the target's own SQL creates: their columns and which of them an index serves."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from swarm.analysis.source import Module, SourceTree

if TYPE_CHECKING:
    from swarm.analysis.index import Index

CREATE_TABLE = re.compile(
    r"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"`\[]?(?P<name>\w+)[\"`\]]?\s*\(", re.IGNORECASE
)
CREATE_INDEX = re.compile(
    r"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?:IF\s+NOT\s+EXISTS\s+)?\w+\s+ON\s+[\"`\[]?(?P<table>\w+)[\"`\]]?\s*"
    r"\(\s*[\"`\[]?(?P<column>\w+)",
    re.IGNORECASE,
)
KEY = re.compile(r"^(?:CONSTRAINT\s+\w+\s+)?(?:PRIMARY\s+KEY|UNIQUE)\s*\(\s*[\"`\[]?(\w+)", re.IGNORECASE)
NO_COLUMN = ("PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "CONSTRAINT")


@dataclass(frozen=True, slots=True)
class Table:
    """One `CREATE TABLE`: `node` is the string constant it stands in, `end` the offset behind it in its value."""

    name: str
    module: Module
    node: ast.Constant
    end: int
    columns: frozenset[str]
    indexed: frozenset[str]
    unique: frozenset[str]


def tables_of(index: Index) -> Mapping[str, Table]:
    """Tables by name in small letters; columns that lead an index, a primary key or a UNIQUE are `indexed`."""
    known = index.notes.get("tables")
    if known is None:
        known = index.notes["tables"] = _find_tables(index.tree)
    return cast("Mapping[str, Table]", known)


def _find_tables(tree: SourceTree) -> dict[str, Table]:
    found: dict[str, Table] = {}
    indexed: dict[str, set[str]] = {}
    for module in tree.modules.values():
        for node in module.nodes(ast.Constant):
            if not isinstance(node.value, str) or "create" not in node.value.lower():
                continue
            for match in CREATE_INDEX.finditer(node.value):
                indexed.setdefault(match["table"].lower(), set()).add(match["column"].lower())
            for match in CREATE_TABLE.finditer(node.value):
                table = _read_table(module, node, node.value, match)
                if table is not None:
                    found.setdefault(table.name, table)
    return {
        name: Table(
            name, table.module, table.node, table.end, table.columns,
            table.indexed | frozenset(indexed.get(name, ())), table.unique,
        )
        for name, table in found.items()
    }  # fmt: skip


def _read_table(module: Module, node: ast.Constant, text: str, match: re.Match[str]) -> Table | None:
    depth, parts, start, end = 1, [], match.end(), 0
    for position in range(match.end(), len(text)):
        character = text[position]
        depth += {"(": 1, ")": -1}.get(character, 0)
        if (character == "," and depth == 1) or depth == 0:
            parts.append(" ".join(text[start:position].split()))
            start = position + 1
        if depth == 0:
            end = position + 1
            break
    if not end:
        return None
    columns, indexed, unique = set(), set(), set()
    for part in parts:
        key = KEY.match(part)
        if key:
            indexed.add(key[1].lower())
            if "," not in part:
                unique.add(key[1].lower())
            continue
        words = part.split()
        if not words or words[0].upper() in NO_COLUMN:
            continue
        column = words[0].strip('"`[]').lower()
        columns.add(column)
        if "PRIMARY KEY" in part.upper() or "UNIQUE" in part.upper():
            indexed.add(column)
            unique.add(column)
    name = match["name"].lower()
    return Table(name, module, node, end, frozenset(columns), frozenset(indexed), frozenset(unique))

"""Queries per row over PostgreSQL's drivers, mended: the same rows in the same order, by two queries in all.

The drivers are played over SQLite: its rows are given as records, tuples or dicts, and `= ANY(…)` is said its way.
"""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.rules.mending import find, loaded, mend, write

TABLES = """
CREATE TABLE orders (id, buyer);
CREATE TABLE lines (order_id, sku, n, live);
INSERT INTO orders VALUES (1, 'ann'), (2, 'bob'), (3, 'ann'), (NULL, 'ann');
INSERT INTO lines VALUES (1, 'tea', 2, 1), (3, 'cup', 1, 1), (1, 'jam', 3, 1), (1, 'old', 9, 0), (9, 'x', 1, 1);
"""


class Driver:
    """Connection, cursor and pool of a driver in one; `asked` are the statements."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.asked: list[str] = []
        self.db = sqlite3.connect(":memory:")
        self.db.executescript(TABLES)
        self.rows: list[Any] = []

    def query(self, text: str, key: object) -> list[Any]:
        self.asked.append(text)
        if isinstance(key, list | tuple):
            key = json.dumps(list(key))
        text = re.sub(r"= ANY\((?:\$1|%s)\)|IN %s", "IN (SELECT value FROM json_each(?))", text)
        cursor = self.db.execute(re.sub(r"\$1|%s", "?", text), (key,))
        names = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
        return rows if self.kind == "tuples" else [dict(zip(names, row, strict=True)) for row in rows]

    async def fetch(self, text: str, key: object) -> list[Any]:
        return self.query(text, key)

    async def fetchrow(self, text: str, key: object) -> Any:
        return next(iter(self.query(text, key)), None)

    def execute(self, text: str, parameters: tuple[object]) -> Driver:
        self.rows = self.query(text, parameters[0])
        return self

    def fetchall(self) -> list[Any]:
        return self.rows

    def fetchone(self) -> Any:
        return next(iter(self.rows), None)


ASYNCPG = """import asyncpg

pool: asyncpg.Pool = None


async def carts(buyer):
    orders = await pool.fetch("SELECT id, buyer FROM orders WHERE buyer = $1 ORDER BY id", buyer)
    found = []
    for order in orders:
        lines = await pool.fetch(
            "SELECT sku, n FROM lines WHERE live = 1 AND order_id = $1 ORDER BY sku", order["id"]
        )
        first = await pool.fetchrow("SELECT * FROM lines WHERE order_id = $1 ORDER BY n", order["id"])
        found.append((order["id"], [(line["sku"], line["n"]) for line in lines], first and dict(first)))
    return found
"""
PSYCOPG = """import psycopg

pool: psycopg.Connection = None


def carts(buyer):
    orders = pool.execute("SELECT id, buyer FROM orders WHERE buyer = %s ORDER BY id", (buyer,)).fetchall()
    for order in orders:
        order["lines"] = pool.execute("SELECT sku, n FROM lines WHERE order_id = %s", (order["id"],)).fetchall()
    return orders
"""
PSYCOPG2 = """import psycopg2

pool: psycopg2.Cursor = None


def carts(buyer):
    pool.execute("SELECT id, buyer FROM orders WHERE buyer = %s ORDER BY id", (buyer,))
    orders = pool.fetchall()
    found = []
    for order in orders:
        pool.execute("SELECT sku FROM lines WHERE order_id = %s", [order[0]])
        first = pool.fetchone()
        found.append((order[0], first))
    return found
"""
CASES = {"records": (ASYNCPG, 3), "dicts": (PSYCOPG, 2), "tuples": (PSYCOPG2, 2)}


async def answered(carts: Any, buyer: str) -> Any:
    given = carts(buyer)
    return await given if hasattr(given, "__await__") else given


def as_library(root: Path) -> None:
    """Empty modules by the drivers' names, so that the code under test loads."""
    for name, classes in {"asyncpg": ("Pool",), "psycopg": ("Connection",), "psycopg2": ("Cursor",)}.items():
        folder = root / "libraries" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text("".join(f"class {one}: pass\n" for one in classes))


@pytest.mark.parametrize("kind", CASES)
async def test_two_queries_give_what_one_for_each_row_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    text, asked = CASES[kind]
    as_library(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "libraries"))
    seen: list[list[Any]] = []
    for stage in ("before", "after"):
        root = tmp_path / stage
        write(root, {f"{stage}.py": text})
        if stage == "after":
            mend(root, "n-plus-one")
        with loaded(root, stage) as module:
            answers = []
            for buyer in ("ann", "bob", "nobody"):
                module.pool = Driver(kind)
                answers.append(await answered(module.carts, buyer))
                if stage == "after":
                    assert len(module.pool.asked) <= asked
            seen.append(answers)
    assert seen[0] == seen[1]


def test_keys_that_python_may_compare_otherwise_are_left(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": ASYNCPG.replace("for order in orders:", "for order in buyer:")})
    assert [finding.mendable for finding in find(tmp_path, "n-plus-one")] == [False, False]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('[(line["sku"], line["n"]) for line in lines]', "lines"),
        ("ORDER BY sku", "ORDER BY sku LIMIT 2"),
        ("order_id = $1 ORDER BY sku", "order_id = $1 + 1 ORDER BY sku"),
        ('order["id"]\n        )', 'str(order["id"])\n        )'),
    ],
)
def test_what_one_query_cannot_give_is_only_told(tmp_path: Path, old: str, new: str) -> None:
    write(tmp_path, {"app.py": ASYNCPG.replace(old, new)})
    assert [finding.mendable for finding in find(tmp_path, "n-plus-one")] == [False, True]

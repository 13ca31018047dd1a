"""Examples of the rule n-plus-one."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import sqlite3

from flask import Flask

app = Flask(__name__)


@app.get("/orders")
def orders():
    conn = sqlite3.connect("shop.db")
    conn.row_factory = sqlite3.Row
    rows = conn.execute("SELECT id, customer FROM orders").fetchall()
    out = []
    for row in rows:
        items = conn.execute("SELECT sku FROM items WHERE order_id = ? ORDER BY sku", (row["id"],)).fetchall()
        out.append({"id": row["id"], "items": [item["sku"] for item in items]})
    return out
""",
        """import json
import sqlite3

from flask import Flask

app = Flask(__name__)


@app.get("/orders")
def orders():
    conn = sqlite3.connect("shop.db")
    conn.row_factory = sqlite3.Row
    rows = conn.execute("SELECT id, customer FROM orders").fetchall()
    out = []
    items_by_order_id = {}
    for fetched in conn.execute(
        "SELECT sku, order_id FROM items"
        " WHERE order_id IN (SELECT value FROM json_each(?)) ORDER BY sku",
        (json.dumps([row["id"] for row in rows]),),
    ):
        items_by_order_id.setdefault(fetched[-1], []).append(fetched)
    for row in rows:
        items = items_by_order_id.get(row["id"], [])
        out.append({"id": row["id"], "items": [item["sku"] for item in items]})
    return out
""",
        "flask",
    ),
    Example(
        """import aiosqlite
from fastapi import FastAPI

app = FastAPI()


@app.post("/names")
async def names(ids: list[int]) -> list[str]:
    found_names = []
    async with aiosqlite.connect("shop.db") as db:
        for number, key in enumerate(ids):
            cursor = await db.execute("SELECT name FROM people WHERE id = ?", [key])
            person = await cursor.fetchone()
            if person is not None:
                found_names.append(f"{number}: {person[0]}")
    return found_names
""",
        None,
        "fastapi",
    ),
    Example(
        """import aiosqlite
from fastapi import FastAPI

app = FastAPI()


@app.post("/names")
async def names(ids: list[int]) -> list[str]:
    names = []
    async with aiosqlite.connect("shop.db") as db:
        for number, key in enumerate(ids):
            person = await (await db.execute("SELECT name FROM people WHERE id = ?", [key])).fetchone()
            if person is not None:
                names.append(f"{number}: {person[0]}")
    return names
""",
        """import json

import aiosqlite
from fastapi import FastAPI

app = FastAPI()


@app.post("/names")
async def names(ids: list[int]) -> list[str]:
    names = []
    async with aiosqlite.connect("shop.db") as db:
        people_by_id: dict[object, aiosqlite.Row] = {}
        async with db.execute(
            "SELECT name, id FROM people WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps([key for number, key in enumerate(ids)]),),
        ) as every_fetched:
            async for fetched in every_fetched:
                people_by_id.setdefault(fetched[-1], fetched)
        for number, key in enumerate(ids):
            person = people_by_id.get(key)
            if person is not None:
                names.append(f"{number}: {person[0]}")
    return names
""",
        "fastapi",
    ),
)
GOOD = (
    """import sqlite3


def names(conn: sqlite3.Connection, keys):
    for row in conn.execute("SELECT id FROM people WHERE team = ?", (keys,)):
        yield row


def wait_for(conn: sqlite3.Connection, key):
    for _ in range(5):
        row = conn.execute("SELECT state FROM jobs WHERE id = ?", (key,)).fetchone()
        if row:
            return row
    return None


def add(conn: sqlite3.Connection, keys):
    for key in keys:
        conn.execute("INSERT INTO seen (id) VALUES (?)", (key,))
""",
)

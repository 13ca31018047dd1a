"""The ledger: SQLite, one connection a request, closed at its end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Optional

from flask import Flask, current_app, g

SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    event_id TEXT PRIMARY KEY,
    order_no TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    currency TEXT NOT NULL,
    told_shop INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS payments_of_order ON payments (order_no);
"""


def init_app(app: Flask) -> None:
    """Create the tables and close connections behind requests."""
    with closing(_connect(app.config["SETTINGS"].ledger_path)) as connection:
        connection.executescript(SCHEMA)
    app.teardown_appcontext(_close)


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.row_factory = sqlite3.Row
    return connection


def connection() -> sqlite3.Connection:
    """This request's connection."""
    if "ledger" not in g:
        g.ledger = _connect(current_app.config["SETTINGS"].ledger_path)
    found: sqlite3.Connection = g.ledger
    return found


def _close(error: Optional[BaseException]) -> None:
    opened = g.pop("ledger", None)
    if opened is not None:
        opened.close()


def book(event_id: str, order: str, amount_cents: int, currency: str) -> bool:
    """Book a payment; False where this event was booked before."""
    with connection() as ledger:
        added = ledger.execute(
            "INSERT INTO payments (event_id, order_no, amount_cents, currency) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (event_id) DO NOTHING",
            (event_id, order, amount_cents, currency),
        )
    return added.rowcount == 1


def paid_cents(order: str) -> int:
    """What was paid for an order."""
    row = connection().execute("SELECT SUM(amount_cents) AS paid FROM payments WHERE order_no = ?", (order,)).fetchone()
    return int(row["paid"] or 0)


def shop_knows(event_id: str) -> bool:
    """Whether the shop was told of this event."""
    row = connection().execute("SELECT told_shop FROM payments WHERE event_id = ?", (event_id,)).fetchone()
    return row is not None and bool(row["told_shop"])


def mark_told(event_id: str) -> None:
    """The shop knows of this event."""
    with connection() as ledger:
        ledger.execute("UPDATE payments SET told_shop = 1 WHERE event_id = ?", (event_id,))

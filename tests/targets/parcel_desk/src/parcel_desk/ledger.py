"""Orders and courier events, in SQLite."""

import sqlite3
from datetime import datetime, timezone

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, customer_id INTEGER, customer_name TEXT, email TEXT, status TEXT);
CREATE TABLE IF NOT EXISTS order_lines (order_id INTEGER, sku TEXT, quantity INTEGER);
CREATE TABLE IF NOT EXISTS products (sku TEXT PRIMARY KEY, title TEXT, weight_g INTEGER);
CREATE TABLE IF NOT EXISTS couriers (name TEXT PRIMARY KEY, last_event_at TEXT);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT, order_id INTEGER, courier TEXT,
    status TEXT, location TEXT, received_at TEXT);
"""

NAMES = ["Ada Brandt", "Bela Kovacs", "Chiara Moretti", "Dilan Aydin", "Emil Novak"]
GOODS = ["Teapot", "Reading lamp", "Wool blanket", "Chess set", "Garden shears", "Notebook"]


def connect(path):
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    return connection


def now():
    return datetime.now(timezone.utc).isoformat()


def create_tables(path):
    connection = connect(path)
    connection.executescript(SCHEMA)
    connection.commit()
    connection.close()


def add_demo_orders(path, count):
    connection = connect(path)
    if count and not connection.execute("SELECT COUNT(*) FROM orders").fetchone()[0]:
        for n in range(60):
            title = f"{GOODS[n % len(GOODS)]} no. {n}"
            connection.execute("INSERT INTO products VALUES (?, ?, ?)", (f"SKU-{n}", title, 150 + n * 35))
        for n in range(1, count + 1):
            name = NAMES[n % len(NAMES)]
            email = f"{name.split()[0].lower()}.{n}@customers.example"
            connection.execute("INSERT INTO orders VALUES (?, ?, ?, ?, 'packed')", (n, 1000 + n, name, email))
            for k in range(3 + n % 6):
                sku = f"SKU-{(n * 7 + k * 11) % 60}"
                connection.execute("INSERT INTO order_lines VALUES (?, ?, ?)", (n, sku, 1 + k % 3))
        connection.commit()
    connection.close()


def find_order(path, order_id):
    connection = connect(path)
    row = connection.execute("SELECT * FROM orders WHERE id = ?", (order_id,)).fetchone()
    if row is None:
        connection.close()
        return None
    lines = connection.execute(
        "SELECT sku, quantity FROM order_lines WHERE order_id = ? ORDER BY rowid", (order_id,)
    ).fetchall()
    items = []
    for line in lines:
        product = connection.execute(
            "SELECT title, weight_g FROM products WHERE sku = ?", (line["sku"],)
        ).fetchone()
        weight_g = product["weight_g"] * line["quantity"]
        items.append({"title": product["title"], "quantity": line["quantity"], "weight_g": weight_g})
    connection.close()
    return {**dict(row), "items": items}


def search_orders(path, text):
    connection = connect(path)
    rows = connection.execute(
        f"SELECT id, customer_name, email, status FROM orders WHERE customer_name LIKE '%{text}%' ORDER BY id"
    ).fetchall()
    connection.close()
    return [dict(row) for row in rows]


def record_event(path, event_id, order_id, courier, status, location):
    connection = connect(path)
    connection.execute(
        "INSERT INTO events (event_id, order_id, courier, status, location, received_at) VALUES (?, ?, ?, ?, ?, ?)",
        (event_id, order_id, courier, status, location, now()),
    )
    connection.execute("UPDATE orders SET status = ? WHERE id = ?", (status, order_id))
    connection.commit()
    connection.close()


def touch_courier(path, name):
    connection = connect(path)
    connection.execute("INSERT OR REPLACE INTO couriers VALUES (?, ?)", (name, now()))
    connection.commit()
    connection.close()


def events_of(path, order_id):
    connection = connect(path)
    rows = connection.execute(
        "SELECT event_id, courier, status, location FROM events WHERE order_id = ? ORDER BY id", (order_id,)
    ).fetchall()
    connection.close()
    return [dict(row) for row in rows]

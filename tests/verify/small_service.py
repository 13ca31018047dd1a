"""A small service written to a folder, with its tests and its configuration: what the gates are tried on."""

from __future__ import annotations

from pathlib import Path

from swarm.config.schema import Target

APP = """\
import hashlib
import hmac
import os
import sqlite3

import httpx
from fastapi import FastAPI, HTTPException, Request

from pricing import price

app = FastAPI()
PEOPLE = os.environ["PEOPLE_URL"]
LEDGER = os.environ["LEDGER_URL"]
DATABASE = os.environ["DATABASE"]
client = httpx.AsyncClient(timeout=5)


def connect():
    connection = sqlite3.connect(DATABASE)
    connection.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT, total INTEGER)")
    return connection


def signed(body, header):
    wanted = hmac.new(os.environ["HOOK_SECRET"].encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), header.encode())


async def person(name):
    answer = await client.get(f"{PEOPLE}/people/{name}")
    answer.raise_for_status()
    return answer.json()


async def rates():
    answer = await client.get(f"{PEOPLE}/rates")
    answer.raise_for_status()
    return answer.json()


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.post("/orders")
async def order(request: Request):
    body = await request.body()
    header = request.headers.get("X-Signature", "")
    if not signed(body, header):
        raise HTTPException(401, "bad signature")
    data = await request.json()
    who = await person(data["name"])
    rate = await rates()
    total = price(data["count"], rate["rate"])
    booked = await client.post(f"{LEDGER}/entries", json={"order": data["id"], "total": total})
    booked.raise_for_status()
    told = await client.put(f"{LEDGER}/balances/{data['name']}", json={"total": total})
    told.raise_for_status()
    connection = connect()
    connection.execute("INSERT INTO orders VALUES (?, ?)", (data["id"], total))
    connection.commit()
    connection.close()
    return {"order": data["id"], "city": who["city"], "total": total}
"""

PRICING = """\
def price(count, rate):
    if count > 100:
        return count * rate * 9 // 10
    return count * rate
"""

TESTS = """\
from pricing import price


def test_small_orders_cost_the_full_rate():
    assert price(3, 7) == 21


def test_large_orders_get_a_tenth_off():
    assert price(200, 10) == 1800
"""


def write_service(folder: Path) -> Target:
    """Write the service below `folder` and return its configuration."""
    (folder / "tests").mkdir(parents=True)
    (folder / "app.py").write_text(APP, encoding="utf-8")
    (folder / "pricing.py").write_text(PRICING, encoding="utf-8")
    (folder / "tests" / "test_pricing.py").write_text(TESTS, encoding="utf-8")
    return Target.model_validate(
        {
            "path": ".",
            "start": "uvicorn app:app --host 127.0.0.1 --port {port}",
            "health": "/health",
            "tests": "python -m pytest -q tests",
            "env": {"HOOK_SECRET": "hook-secret-for-tests", "DATABASE": "{tmp}/orders.db"},
            "load": {"rate": 12, "seconds": 3},
            "webhooks": [
                {
                    "path": "/orders",
                    "sign": {"scheme": "hmac-sha256", "header": "X-Signature", "secret_env": "HOOK_SECRET"},
                    "payloads": [
                        {"id": "{{uuid}}", "name": "{{choice:ada,grace,edsger}}", "count": "{{int:1:90}}"},
                    ],
                }
            ],
            "upstreams": [
                {
                    "name": "people",
                    "env": "PEOPLE_URL",
                    "routes": [
                        {"path": "/people/{name}", "latency_ms": 70, "json": {"name": "{name}", "city": "Oslo"}},
                        {"path": "/rates", "latency_ms": 70, "json": {"rate": 7}},
                    ],
                },
                {
                    "name": "ledger",
                    "env": "LEDGER_URL",
                    "routes": [
                        {"method": "POST", "path": "/entries", "latency_ms": 10, "status": 201, "json": {}},
                        {"method": "PUT", "path": "/balances/{name}", "latency_ms": 10, "json": {}},
                    ],
                },
            ],
        }
    )

"""A small FastAPI service, written to a folder, with all that replay looks at: reads, writes, rows, a signature."""

from __future__ import annotations

from pathlib import Path

from swarm.config.schema import Target

APP = """
import asyncio, hashlib, hmac, os, sqlite3, time, uuid
from datetime import datetime, timezone
import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

app = FastAPI()
SHOP, MAIL = os.environ["SHOP_URL"], os.environ["MAIL_URL"]
DB = os.environ["DB"]

with sqlite3.connect(DB) as db:
    db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price INTEGER, token TEXT, at TEXT)")

async def read(client, url):
    answer = await client.get(url)
    answer.raise_for_status()
    return answer.json()

async def write(client, url, body):
    answer = await client.post(url, json=body, headers={"X-Api-Key": "k"})
    answer.raise_for_status()

@app.get("/health")
async def health():
    return {}

@app.post("/hook")
async def hook(request: Request):
    raw = await request.body()
    expected = hmac.new(b"s3cret", raw, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("X-Sig", "")):
        return JSONResponse({"error": "signature"}, status_code=401)
    event = await request.json()
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            item = await read(client, f"{SHOP}/items/{event['item']}")
            stock = await read(client, f"{SHOP}/stock/{event['item']}")
            await write(client, f"{SHOP}/orders/{event['item']}", {"n": event["count"], "t": time.time()})
            await write(client, f"{MAIL}/send", {"to": "a@b.example", "subject": item["name"]})
    except httpx.HTTPError as error:
        return JSONResponse({"error": str(error)}, status_code=502)
    token, at = str(uuid.uuid4()), datetime.now(timezone.utc).isoformat()
    with sqlite3.connect(DB) as db:
        db.execute("INSERT INTO orders (item, price, token, at) VALUES (?, ?, ?, ?)",
                   (event["item"], item["price"] * event["count"], token, at))
    return {"token": token, "at": at, "count": event["count"], "price": item["price"] * event["count"]}
"""

READS = """            item = await read(client, f"{SHOP}/items/{event['item']}")
            stock = await read(client, f"{SHOP}/stock/{event['item']}")
"""
WRITES = """            await write(client, f"{SHOP}/orders/{event['item']}", {"n": event["count"], "t": time.time()})
            await write(client, f"{MAIL}/send", {"to": "a@b.example", "subject": item["name"]})
"""
WRITE = """async def write(client, url, body):
    answer = await client.post(url, json=body, headers={"X-Api-Key": "k"})
    answer.raise_for_status()
"""
ORDER, SEND = WRITES.splitlines(keepends=True)

TARGET = Target.model_validate(
    {
        "path": ".",
        "start": "python -m uvicorn app:app --host 127.0.0.1 --port {port} --log-level warning",
        "health": "/health",
        "env": {"DB": "{tmp}/orders.db", "SIGNING_SECRET": "s3cret"},
        "webhooks": [
            {
                "path": "/hook",
                "sign": {"scheme": "hmac-sha256", "header": "X-Sig", "secret_env": "SIGNING_SECRET"},
                "payloads": [{"item": "{{choice:tea,mug}}-{{int:10:99}}", "count": "{{int:1:5}}"}],
            }
        ],
        "upstreams": [
            {
                "name": "shop",
                "env": "SHOP_URL",
                "routes": [
                    {"method": "GET", "path": "/items/{id}", "latency_ms": 40, "json": {"name": "{id}", "price": 7}},
                    {"method": "GET", "path": "/stock/{id}", "latency_ms": 40, "json": {"left": 3}},
                    {"method": "POST", "path": "/orders/{id}", "status": 201, "json": {"id": "{id}"}},
                ],
            },
            {"name": "mail", "env": "MAIL_URL", "routes": [{"method": "POST", "path": "/send", "status": 202}]},
        ],
    }
)


def write_service(folder: Path, *changes: tuple[str, str]) -> Path:
    """The service in `folder`, with each (old, new) made; an old that is not there is a mistake."""
    text = APP
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(text, encoding="utf-8")
    return folder

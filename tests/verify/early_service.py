"""A service whose answer does not depend on its work, and mends of it that are tempting, right and wrong."""

from __future__ import annotations

from pathlib import Path

from swarm.config.schema import Target

APP = """\
import hashlib
import hmac
import json
import os

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from desk.flows import dispatch

app = FastAPI()


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.post("/hook")
async def hook(request: Request):
    body = await request.body()
    wanted = hmac.new(os.environ["HOOK_SECRET"].encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted.encode(), request.headers.get("X-Signature", "").encode()):
        return JSONResponse({"error": "bad signature"}, status_code=401)
    data = json.loads(body)
    try:
        await dispatch(data)
    except httpx.HTTPError as error:
        return JSONResponse({"error": str(error)}, status_code=502)
    return JSONResponse({"status": "processed", "event": data.get("type")})
"""

FLOWS = """\
import asyncio
import os
import sqlite3

import httpx

LEDGER = os.environ["LEDGER_URL"]
DATABASE = os.environ["DATABASE"]
client = httpx.AsyncClient(timeout=5, trust_env=False)


def connect():
    connection = sqlite3.connect(DATABASE)
    connection.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT, total INTEGER)")
    return connection


async def ordered(data):
    rates = await client.get(f"{LEDGER}/rates")
    rates.raise_for_status()
    total = data["count"] * rates.json()["rate"]
    await asyncio.sleep(0.1)
    booked = await client.post(f"{LEDGER}/entries", json={"order": data["id"], "total": total})
    booked.raise_for_status()
    told = await client.put(f"{LEDGER}/balances/{data['name']}", json={"total": total})
    told.raise_for_status()
    connection = connect()
    connection.execute("INSERT INTO orders VALUES (?, ?)", (data["id"], total))
    connection.commit()
    connection.close()


HANDLERS = {"order.created": ordered}


async def dispatch(data):
    await HANDLERS[data["type"]](data)
"""

AWAITED = "        await dispatch(data)\n"
TASK = "        import asyncio\n        asyncio.get_running_loop().create_task(dispatch(data))\n"
# keeps what failed, and loses what was under way when it is killed
TASK_WITH_OUTBOX = """        import asyncio
        import sqlite3

        async def work():
            try:
                await dispatch(data)
            except Exception:
                with sqlite3.connect(os.environ["DATABASE"] + ".outbox") as outbox:
                    outbox.execute("CREATE TABLE IF NOT EXISTS outbox (event TEXT)")
                    outbox.execute("INSERT INTO outbox VALUES (?)", (json.dumps(data),))

        asyncio.get_running_loop().create_task(work())
"""
BACKGROUND = """        from starlette.background import BackgroundTask
        return JSONResponse(
            {"status": "processed", "event": data.get("type")}, background=BackgroundTask(dispatch, data)
        )
"""


def write_service(folder: Path) -> Target:
    """Write the service below `folder` and return its configuration."""
    (folder / "desk").mkdir(parents=True)
    (folder / "desk" / "__init__.py").write_text("")
    (folder / "desk" / "app.py").write_text(APP, encoding="utf-8")
    (folder / "desk" / "flows.py").write_text(FLOWS, encoding="utf-8")
    return Target.model_validate(
        {
            "path": ".",
            "start": "uvicorn desk.app:app --host 127.0.0.1 --port {port} --log-level warning",
            "health": "/health",
            "env": {"HOOK_SECRET": "hook-secret-for-tests", "DATABASE": "{tmp}/orders.db"},
            "webhooks": [
                {
                    "path": "/hook",
                    "sign": {"scheme": "hmac-sha256", "header": "X-Signature", "secret_env": "HOOK_SECRET"},
                    "payloads": [
                        {"type": "order.created", "id": "{{uuid}}", "name": "{{choice:ada,grace}}", "count": 3},
                    ],
                }
            ],
            "upstreams": [
                {
                    "name": "ledger",
                    "env": "LEDGER_URL",
                    "routes": [
                        {"path": "/rates", "json": {"rate": 7}},
                        {"method": "POST", "path": "/entries", "status": 201, "json": {}},
                        {"method": "PUT", "path": "/balances/{name}", "json": {}},
                    ],
                },
            ],
        }
    )

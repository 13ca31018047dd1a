"""Services that look for a delivery's id themselves before they go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.mending import find, write

SERVICE = """import asyncpg
import hmac
import httpx
from fastapi import FastAPI, Header, HTTPException, Request

app = FastAPI()


@app.post("/hooks/orders")
async def hook(request: Request, x_delivery: str = Header(), x_signature: str = Header()):
    body = await request.body()
    if not hmac.compare_digest(hmac.new(b"k", body, "sha256").hexdigest().encode(), x_signature.encode()):
        raise HTTPException(401)
    event = await request.json()
    connection = app.state.connection
{look}
    async with httpx.AsyncClient(timeout=5) as client:
        await client.post("https://mail.example/send", json=event)
    await connection.execute("INSERT INTO deliveries (id) VALUES ($1)", x_delivery)
    return {{"status": "done"}}
"""


@pytest.mark.parametrize(
    "look",
    [
        "    if await connection.fetchval('select 1 from deliveries where id = $1', x_delivery):\n"
        "        return {'status': 'duplicate'}",
        "    known = await connection.fetchrow('SELECT id FROM events WHERE event_id = $1', event['id'])\n"
        "    if known:\n        return {'status': 'already done'}",
    ],
)
def test_a_look_into_a_table_of_deliveries_is_one(tmp_path: Path, look: str) -> None:
    write(tmp_path, {"app.py": SERVICE.format(look=look)})
    assert not find(tmp_path, "no-replay-protection")
    assert not find(tmp_path, "repeated-work")


@pytest.mark.parametrize(
    "look",
    [
        "    pass",
        "    if not await connection.fetchval('select 1 from shops where id = $1', event['shop']):\n"
        "        return {'status': 'unknown shop'}",
    ],
)
def test_other_looks_are_none(tmp_path: Path, look: str) -> None:
    write(tmp_path, {"app.py": SERVICE.format(look=look)})
    assert find(tmp_path, "no-replay-protection")

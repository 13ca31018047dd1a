"""Small services whose functions read, write and ask: what the rules repeated-read and repeated-question look at."""

from __future__ import annotations

from pathlib import Path

from swarm.core.findings import Finding
from tests.rules.mending import find

HOOK = """

@app.post("/hook")
async def hook(name: str):
    return {call}
"""
HEAD = """import random
import sqlite3
import time
from contextvars import ContextVar
from typing import Any

import aiosqlite
import asyncpg
import httpx
from fastapi import Depends, FastAPI, HTTPException, Request
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = FastAPI()
engine = create_engine("sqlite:///shop.db")
sessions = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///shop.db"))
request_id: ContextVar[str] = ContextVar("request_id")
overrides: dict[str, str] = {}
client = httpx.AsyncClient(base_url="https://crm.example")


class Base(DeclarativeBase):
    pass


class Plan(Base):
    __tablename__ = "plans"

    name: Mapped[str] = mapped_column(primary_key=True)
    price: Mapped[float]


def override(name: str, value: str) -> None:
    overrides[name] = value


"""


def found(tmp_path: Path, body: str, call: str, rule_id: str = "repeated-read") -> list[Finding]:
    (tmp_path / "app.py").write_text(HEAD + body + HOOK.format(call=call))
    return find(tmp_path, rule_id)


PLAN = """async def get_plan(name: str) -> dict:
    async with sessions() as session:
        plan = await session.get(Plan, name)
    {then}return {{"name": plan.name, "price": plan.price}}
"""
ASK = """async def ask(prompt: str, size: int = 100) -> str:
    body = {{"model": "m", "max_tokens": size, "messages": [{{"role": "user", "content": prompt}}]}}
    {then}answer = await client.post("/v1/chat/completions", json=body)
    answer.raise_for_status()
    return answer.json()["choices"][0]["message"]["content"]
"""

"""Examples of the rule commit-per-row."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import sqlite3


def save(conn: sqlite3.Connection, rows):
    for number, row in enumerate(rows):
        key = row["id"]
        conn.execute("INSERT INTO seen VALUES (?, ?)", (number, key))
        conn.commit()
    return len(rows)
""",
        """import sqlite3


def save(conn: sqlite3.Connection, rows):
    for number, row in enumerate(rows):
        key = row["id"]
        conn.execute("INSERT INTO seen VALUES (?, ?)", (number, key))
    conn.commit()
    return len(rows)
""",
    ),
    Example(
        """import aiosqlite


async def mark(db: aiosqlite.Connection, keys: list[int]) -> None:
    for key in keys:
        await db.execute(
            "UPDATE jobs SET done = 1 WHERE id = ?",
            (key,),
        )
        await db.commit()  # keep it
""",
        """import aiosqlite


async def mark(db: aiosqlite.Connection, keys: list[int]) -> None:
    for key in keys:
        await db.execute(
            "UPDATE jobs SET done = 1 WHERE id = ?",
            (key,),
        )
    await db.commit()  # keep it
""",
    ),
    Example(
        """from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Answer(Base):
    __tablename__ = "answers"
    id: Mapped[int] = mapped_column(primary_key=True)
    field: Mapped[str]
    text: Mapped[str]


async def save(session: AsyncSession, answers: dict[str, str]) -> None:
    for field, text in answers.items():
        result = await session.execute(select(Answer).where(Answer.field == field))
        known = result.scalars().first()
        if known is None:
            session.add(Answer(field=field, text=text))
        else:
            known.text = text
        await session.commit()
""",
        """from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Answer(Base):
    __tablename__ = "answers"
    id: Mapped[int] = mapped_column(primary_key=True)
    field: Mapped[str]
    text: Mapped[str]


async def save(session: AsyncSession, answers: dict[str, str]) -> None:
    for field, text in answers.items():
        result = await session.execute(select(Answer).where(Answer.field == field))
        known = result.scalars().first()
        if known is None:
            session.add(Answer(field=field, text=text))
        else:
            known.text = text
    await session.commit()
""",
    ),
    Example(
        """import sqlite3


def place(db: sqlite3.Connection, order):
    for line in order["lines"]:
        row = db.execute("SELECT label FROM bins WHERE sku = ?", (line["sku"],)).fetchone()
        db.execute("INSERT INTO picks VALUES (?, ?)", (line["sku"], row[0] if row else None))
        db.commit()
    db.close()
""",
        """import sqlite3


def place(db: sqlite3.Connection, order):
    for line in order["lines"]:
        row = db.execute("SELECT label FROM bins WHERE sku = ?", (line["sku"],)).fetchone()
        db.execute("INSERT INTO picks VALUES (?, ?)", (line["sku"], row[0] if row else None))
    db.commit()
    db.close()
""",
    ),
    Example(
        """import sqlite3

import requests


def deliver(conn: sqlite3.Connection, rows):
    for row in rows:
        requests.post("https://a.example", json=row, timeout=3)
        conn.execute("INSERT INTO sent VALUES (?)", (row["id"],))
        conn.commit()
""",
        None,
    ),
    Example(
        """import sqlite3
from contextlib import closing

from flask import Flask, request

app = Flask(__name__)


def write(sql, given):
    with closing(sqlite3.connect("stock.db")) as connection, connection:
        connection.execute(sql, given)


@app.post("/hook")
def hook():
    for item in request.json:
        write("UPDATE stock SET n = ? WHERE sku = ?", (item["n"], item["sku"]))
    return ""
""",
        None,
        "flask",
    ),
    Example(
        """from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

app = FastAPI()
sessions = async_sessionmaker(create_async_engine("postgresql+asyncpg:///shop"))


class Work:
    async def __aenter__(self):
        self.session = sessions()
        return self

    async def __aexit__(self, *failure):
        await self.session.commit()
        await self.session.close()

    async def book(self, line):
        await self.session.execute(text("UPDATE items SET stock = stock - :n WHERE code = :code"), line)


@app.post("/hook")
async def hook(event: dict):
    for line in event["lines"]:
        async with Work() as work:
            await work.book(line)
""",
        None,
        "fastapi",
    ),
)
GOOD = (
    """import sqlite3


def save(conn: sqlite3.Connection, rows):
    for row in rows:
        conn.execute("INSERT INTO seen VALUES (?)", (row,))
    conn.commit()


def save_in_parts(conn: sqlite3.Connection, rows):
    for number, row in enumerate(rows):
        conn.execute("INSERT INTO seen VALUES (?)", (row,))
        if number % 500 == 499:
            conn.commit()
    conn.commit()
""",
)

"""Examples of the rule blocking-in-async."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import asyncio

from fastapi import FastAPI, Request
from litellm import completion
from twilio.rest import Client

app = FastAPI()


def answer_to(text):
    return completion(model="m", messages=[{"role": "user", "content": text}]).choices[0].message.content


def say(number, text):
    Client("sid", "token").messages.create(to=number, from_="+15555550100", body=text)


@app.post("/sms")
async def sms(request: Request):
    form = await request.form()
    text = answer_to(form["Body"])
    say(form["From"], text)
    return {}
""",
        """import asyncio

from fastapi import FastAPI, Request
from litellm import completion
from twilio.rest import Client

app = FastAPI()


def answer_to(text):
    return completion(model="m", messages=[{"role": "user", "content": text}]).choices[0].message.content


def say(number, text):
    Client("sid", "token").messages.create(to=number, from_="+15555550100", body=text)


@app.post("/sms")
async def sms(request: Request):
    form = await request.form()
    text = await asyncio.to_thread(answer_to, form["Body"])
    await asyncio.to_thread(say, form["From"], text)
    return {}
""",
        "fastapi",
    ),
    Example(
        """import time

import requests
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook():
    time.sleep(0.5)
    answer = requests.get("https://a.example/x", timeout=5).json()
    return answer
""",
        """import asyncio
import time

import requests
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook():
    await asyncio.sleep(0.5)
    answer = (await asyncio.to_thread(requests.get, "https://a.example/x", timeout=5)).json()
    return answer
""",
        "fastapi",
    ),
    Example(
        """import asyncio
import sqlite3

from fastapi import APIRouter

router = APIRouter()


def load_orders(customer):
    conn = sqlite3.connect("shop.db")
    rows = conn.execute("SELECT * FROM orders WHERE customer = ?", (customer,)).fetchall()
    conn.close()
    return rows


@router.get("/orders/{customer}")
async def orders(customer: int):
    return [dict(row) for row in load_orders(customer)]


@router.get("/count")
async def count(table: str = "orders"):
    \"\"\"How many there are.\"\"\"
    conn = sqlite3.connect("shop.db")
    return conn.execute("SELECT COUNT(*) FROM orders").fetchone()[0]
""",
        """import asyncio
import sqlite3

from fastapi import APIRouter

router = APIRouter()


def load_orders(customer):
    conn = sqlite3.connect("shop.db")
    rows = conn.execute("SELECT * FROM orders WHERE customer = ?", (customer,)).fetchall()
    conn.close()
    return rows


@router.get("/orders/{customer}")
async def orders(customer: int):
    return [dict(row) for row in await asyncio.to_thread(load_orders, customer)]


def _count_blocking(table: str = "orders"):
    conn = sqlite3.connect("shop.db")
    return conn.execute("SELECT COUNT(*) FROM orders").fetchone()[0]


@router.get("/count")
async def count(table: str = "orders"):
    \"\"\"How many there are.\"\"\"
    return await asyncio.to_thread(_count_blocking, table)
""",
        "fastapi",
    ),
    Example(
        """from fastapi import APIRouter
from sqlmodel import Session, create_engine, select

from models import Order

router = APIRouter()
engine = create_engine("sqlite:///shop.db")


def keep(session: Session, order: Order) -> int:
    session.add(order)
    session.commit()
    return order.id


@router.post("/orders")
async def take(order: Order):
    with Session(engine) as session:
        known = session.scalar(select(Order.id).where(Order.number == order.number))
        return known or keep(session, order)
""",
        """import asyncio

from fastapi import APIRouter
from sqlmodel import Session, create_engine, select

from models import Order

router = APIRouter()
engine = create_engine("sqlite:///shop.db")


def keep(session: Session, order: Order) -> int:
    session.add(order)
    session.commit()
    return order.id


def _take_blocking(order: Order):
    with Session(engine) as session:
        known = session.scalar(select(Order.id).where(Order.number == order.number))
        return known or keep(session, order)


@router.post("/orders")
async def take(order: Order):
    return await asyncio.to_thread(_take_blocking, order)
""",
        "fastapi",
    ),
    Example(
        """from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from models import Order

app = FastAPI()
SessionLocal = sessionmaker(bind=create_engine("sqlite:///shop.db"))


def get_db():
    with SessionLocal() as db:
        yield db


@app.get("/orders")
async def orders(db: Session = Depends(get_db)):
    return db.scalars(select(Order)).all()
""",
        None,
        "fastapi",
    ),
    Example(
        """import sqlite3

from fastapi import FastAPI

app = FastAPI()
conn = sqlite3.connect("shop.db")


def newest():
    return conn.execute("SELECT MAX(id) FROM orders").fetchone()


@app.get("/newest")
async def read_newest():
    return newest()
""",
        None,
        "fastapi",
    ),
    Example(  # a file: low
        """import json
from pathlib import Path

from fastapi import FastAPI

app = FastAPI()


def prompts():
    return json.loads(Path("prompts.json").read_text())


@app.post("/hook")
async def hook(event: dict):
    return prompts()[event["kind"]]
""",
        None,
        "fastapi",
    ),
    Example(  # another thread made the session
        """from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

app = FastAPI()
engine = create_engine("postgresql:///shop")


def open_session():
    with Session(engine) as session:
        yield session


@app.post("/hook")
async def hook(event: dict, session=Depends(open_session)):
    session.execute(text("INSERT INTO events (id) VALUES (:id)"), {"id": event["id"]})
    session.commit()
""",
        None,
        "fastapi",
    ),
)
GOOD = (
    """import asyncio
import time

import requests
from fastapi import FastAPI

app = FastAPI()


@app.get("/sync")
def sync_handler():
    time.sleep(0.1)
    return requests.get("https://a.example", timeout=2).json()


@app.get("/async")
async def async_handler():
    await asyncio.sleep(0.1)
    answer = await asyncio.to_thread(requests.get, "https://a.example", timeout=2)
    later = await asyncio.to_thread(lambda: requests.get("https://b.example", timeout=2))
    return [answer.json(), later.json()]
""",
    """import time

from flask import Flask

app = Flask(__name__)


@app.post("/own-loop")
async def own_loop():
    time.sleep(0.1)
    return {}
""",
    """from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import sessionmaker

app = FastAPI()


class Store:
    def __init__(self):
        self.sessions = sessionmaker(create_async_engine("postgresql+asyncpg:///shop"), class_=AsyncSession)

    async def save(self, key):
        async with self.sessions() as session:
            await session.execute(text("INSERT INTO events (id) VALUES (:id)"), {"id": key})
            await session.commit()


store = Store()


@app.post("/hook")
async def hook(event: dict):
    await store.save(event["id"])
""",
    """from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from desk.models import Bot

make = async_sessionmaker(create_async_engine("postgresql+asyncpg://db/desk"))
app = FastAPI()


async def last_bot(session: Session):
    return (await session.scalars(select(Bot))).first()


@app.post("/hook")
async def hook():
    async with make() as session:
        bot = await last_bot(session)
        await session.commit()
    return {"bot": bot.name}
""",
)

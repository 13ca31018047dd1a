"""Examples of the rule check-then-insert."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import sqlite3

from flask import Flask, request

app = Flask(__name__)
db = sqlite3.connect("events.db")


@app.post("/hook")
def hook():
    key = request.get_json()["id"]
    if db.execute("SELECT 1 FROM events WHERE id = ?", (key,)).fetchone():
        return "again"
    db.execute("INSERT INTO events (id) VALUES (?)", (key,))
    db.commit()
    return "new"
""",
        None,
        "flask",
    ),
    Example(
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)
SEEN = set()


@app.post("/hook")
async def hook(event: dict):
    if event["id"] in SEEN:
        return {"status": "again"}
    await client.post("https://a.example", json=event)
    SEEN.add(event["id"])
    return {"status": "new"}
""",
        None,
        "fastapi",
    ),
    Example(
        """import redis.asyncio as redis
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def is_new(store, key):
    if await store.get(f"event:{key}"):
        return False
    await store.set(f"event:{key}", "1", ex=3600)
    return True


async def hook(request):
    event = await request.json()
    return JSONResponse({"new": await is_new(request.app.state.redis, event["id"])})


async def start():
    app.state.redis = redis.from_url("redis://cache")


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])], on_startup=[start])
""",
        None,
        "starlette",
    ),
    Example(
        """import httpx
from fastapi import APIRouter, FastAPI


class Hub:
    def __init__(self, client):
        self.client = client
        self.seen = {}
        self.router = APIRouter()

        @self.router.post("/hook")
        async def hook(event: dict):
            if event["id"] in self.seen:
                return {"status": "again"}
            await self.client.post("https://a.example", json=event)
            self.seen[event["id"]] = True
            return {"status": "new"}


app = FastAPI()
app.include_router(Hub(httpx.AsyncClient(timeout=5)).router)
""",
        None,
        "fastapi",
    ),
    Example(
        """import psycopg2
from flask import Flask, request

app = Flask(__name__)


def rows(sql, *given):
    with psycopg2.connect("dbname=shop") as connection, connection.cursor() as cursor:
        cursor.execute(sql, given)
        return cursor.fetchall()


def run(sql, *given):
    with psycopg2.connect("dbname=shop") as connection, connection.cursor() as cursor:
        cursor.execute(sql, given)


@app.post("/hook")
def hook():
    if rows("SELECT 1 FROM events WHERE id = %s", request.json["id"]):
        return "again"
    run("INSERT INTO events (id) VALUES (%s)", request.json["id"])
    return "new"
""",
        None,
        "flask",
    ),
)
GOOD = (
    """import sqlite3

from fastapi import FastAPI

app = FastAPI()
db = sqlite3.connect("events.db")
SEEN = set()


@app.post("/hook")
async def hook(event: dict):
    if event["id"] in SEEN:
        return {"status": "again"}
    SEEN.add(event["id"])
    new = db.execute("INSERT INTO events (id) VALUES (?) ON CONFLICT DO NOTHING", (event["id"],)).rowcount
    if db.execute("SELECT 1 FROM senders WHERE id = ?", (event["from"],)).fetchone() is None:
        return {"status": "unknown"}
    if not new:
        return {"status": "again"}
    try:
        known = db.execute("SELECT 1 FROM people WHERE id = ?", (event["from"],)).fetchone()
        if not known:
            db.execute("INSERT INTO people (id) VALUES (?)", (event["from"],))
    except sqlite3.IntegrityError:
        pass
    return {"status": "new"}
""",
    """from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
db = SQLAlchemy(app)


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    number = db.Column(db.String(30), unique=True)
    total = db.Column(db.Integer)


@app.post("/hook")
def hook():
    order = Order.query.filter_by(number=request.json["number"]).first()
    if order is None:
        order = Order(number=request.json["number"])
        db.session.add(order)
    order.total = request.json["total"]
    db.session.commit()
    return ""
""",
    """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)
CACHE = {}


class Rates:
    def __init__(self):
        self.kept = {}

    async def of(self, base):
        if base not in self.kept:
            self.kept[base] = (await client.get(f"https://rates.example/{base}")).json()
        return self.kept[base]


rates = Rates()


@app.post("/hook")
async def hook(event: dict):
    if event["base"] in CACHE:
        return CACHE[event["base"]]
    CACHE[event["base"]] = await rates.of(event["base"])
    return CACHE[event["base"]]
""",
)

"""Examples of the rule acknowledged-before-stored."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import asyncio

from fastapi import FastAPI

app = FastAPI()


async def handle(event):
    await asyncio.sleep(1)


@app.post("/hook")
async def hook(event: dict):
    asyncio.create_task(handle(event))
    return {"status": "taken"}
""",
        """import asyncio

from fastapi import FastAPI

from durable_work import DurableWork, submit

app = FastAPI()
app.add_middleware(DurableWork)


async def handle(event):
    await asyncio.sleep(1)


@app.post("/hook")
async def hook(event: dict):
    await submit(handle, event)
    return {"status": "taken"}
""",
        "fastapi",
    ),
    Example(
        """import threading

from flask import Flask, request

app = Flask(__name__)


def handle(event):
    print(event)


@app.post("/hook")
def hook():
    threading.Thread(target=handle, args=(request.get_json(),)).start()
    return "taken"
""",
        """import threading

from flask import Flask, request

from durable_work import DurableWork, submit_sync

app = Flask(__name__)
app.wsgi_app = DurableWork(app.wsgi_app)


def handle(event):
    print(event)


@app.post("/hook")
def hook():
    submit_sync(handle, request.get_json())
    return "taken"
""",
        "flask",
    ),
    Example(
        """import httpx
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()


class Ledger:
    def __init__(self, base: str) -> None:
        self.base = base

    async def book(self, data: dict, kind: str = "order") -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            await client.post(f"{self.base}/{kind}", json=data)


ledger = Ledger("https://ledger.example")


@app.post("/hook")
async def hook(data: dict, tasks: BackgroundTasks):
    tasks.add_task(ledger.book, data, kind="gift")
    return {"status": "taken"}
""",
        """import httpx
from fastapi import BackgroundTasks, FastAPI

from durable_work import DurableWork, submit

app = FastAPI()
app.add_middleware(DurableWork)


class Ledger:
    def __init__(self, base: str) -> None:
        self.base = base

    async def book(self, data: dict, kind: str = "order") -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            await client.post(f"{self.base}/{kind}", json=data)


ledger = Ledger("https://ledger.example")


async def work_of_hook(data):
    await ledger.book(data, "gift")


@app.post("/hook")
async def hook(data: dict, tasks: BackgroundTasks):
    await submit(work_of_hook, data)
    return {"status": "taken"}
""",
        "fastapi",
    ),
    Example(
        """import asyncio

from fastapi import FastAPI

app = FastAPI()
events: asyncio.Queue[dict] = asyncio.Queue()


@app.post("/hook")
async def hook(event: dict):
    await events.put(event)
    return {"status": "taken"}
""",
        None,
        "fastapi",
    ),
)
GOOD = (
    """import asyncio
import sqlite3

from fastapi import FastAPI

app = FastAPI()
db = sqlite3.connect("events.db")


async def handle(event):
    await asyncio.sleep(1)


@app.post("/hook")
async def hook(event: dict):
    db.execute("INSERT INTO events VALUES (?)", (event["id"],))
    db.commit()
    asyncio.create_task(handle(event))
    return {"status": "taken"}


@app.post("/both")
async def both(event: dict):
    first = asyncio.create_task(handle(event))
    second = asyncio.create_task(handle(event))
    await asyncio.gather(first, second)
    return {"status": "done"}


@app.get("/warm")
async def warm():
    asyncio.create_task(handle({}))
    return {}
""",
)

"""Examples of the rule unbounded-growth."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """from fastapi import FastAPI

app = FastAPI()
SEEN = set()


@app.post("/hook")
async def hook(event: dict):
    if event["id"] in SEEN:
        return {"status": "again"}
    SEEN.add(event["id"])
    return {"status": "new"}
""",
        None,
        "fastapi",
    ),
    Example(
        """import functools

from flask import Flask

app = Flask(__name__)


@functools.lru_cache(maxsize=None)
def label(name):
    return name.title()


@app.get("/label/<name>")
def show(name):
    return label(name)
""",
        None,
        "flask",
    ),
)
GOOD = (
    """import functools
from collections import deque

from fastapi import FastAPI

app = FastAPI()
LATEST = deque(maxlen=100)
COUNTS = {}
WAITING = []
HANDLERS = {}


def on(name):
    def register(function):
        HANDLERS[name] = function
        return function

    return register


@functools.cache
def settings():
    return {}


@functools.lru_cache(maxsize=500)
def label(name):
    return name.title()


@functools.cache
def key_for(purpose):
    return purpose.encode()


@app.post("/hook")
async def hook(event: dict):
    key_for("columns")
    key_for(purpose="lookup")
    LATEST.append(event)
    COUNTS["all"] = COUNTS.get("all", 0) + 1
    WAITING.append(label(event["id"]))
    return settings()


@app.post("/next")
async def take():
    return WAITING.pop()
""",
)

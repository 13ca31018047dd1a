"""Examples of the rule unchecked-status."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import requests
from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook():
    requests.post(
        "https://shop.example/orders",
        json={},
        timeout=3,
    )
    return "", 204
""",
        """import logging

import requests
from flask import Flask

logger = logging.getLogger(__name__)

app = Flask(__name__)


@app.post("/hook")
def hook():
    response = requests.post(
        "https://shop.example/orders",
        json={},
        timeout=3,
    )
    if response.status_code >= 400:
        logger.warning("hook: the POST was answered with %s", response.status_code)
    return "", 204
""",
        "flask",
    ),
    Example(
        """import logging

import httpx
from fastapi import FastAPI

log = logging.getLogger("mail")
app = FastAPI()


async def send(text: str):
    async with httpx.AsyncClient() as client:
        answer = await client.post("https://mail.example/send", json={"text": text})
        return answer.json().get("id")


@app.post("/hook")
async def hook():
    return await send("hello")
""",
        """import logging

import httpx
from fastapi import FastAPI

log = logging.getLogger("mail")
app = FastAPI()


async def send(text: str):
    async with httpx.AsyncClient() as client:
        answer = await client.post("https://mail.example/send", json={"text": text})
        if answer.status_code >= 400:
            log.warning("send: the POST was answered with %s", answer.status_code)
        return answer.json().get("id")


@app.post("/hook")
async def hook():
    return await send("hello")
""",
        "fastapi",
    ),
    Example(
        """import requests


def stock(item):
    return requests.get(f"https://a.example/{item}", timeout=2).json()
""",
        None,
    ),
    Example(
        """import logging

import aiohttp

log = logging.getLogger(__name__)


async def tell(session: aiohttp.ClientSession, order):
    async with session.post("https://a.example/orders", json=order):
        log.info("told")


async def stock(session: aiohttp.ClientSession, item):
    async with session.get(f"https://a.example/{item}") as answer:
        return await answer.json()
""",
        """import logging

import aiohttp

log = logging.getLogger(__name__)


async def tell(session: aiohttp.ClientSession, order):
    async with session.post("https://a.example/orders", json=order) as response:
        if response.status >= 400:
            log.warning("tell: the POST was answered with %s", response.status)
        log.info("told")


async def stock(session: aiohttp.ClientSession, item):
    async with session.get(f"https://a.example/{item}") as answer:
        if answer.status >= 400:
            log.warning("stock: the GET was answered with %s", answer.status)
        return await answer.json()
""",
    ),
)
GOOD = (
    """import httpx
import requests

client = httpx.AsyncClient()


def one(url):
    answer = requests.get(url, timeout=2)
    answer.raise_for_status()
    return answer.json()


def two(url):
    answer = requests.get(url, timeout=2)
    return answer.json() if answer.ok else None


async def three(url):
    return await client.get(url)


async def four(url, check):
    answer = await client.get(url)
    check(answer)
    return answer.json()


def five(url):
    requests.get(url, timeout=2).raise_for_status()
""",
    """import httpx


async def check(answer):
    answer.raise_for_status()


class Stock:
    def __init__(self):
        self.client = httpx.AsyncClient(event_hooks={"response": [check]})

    async def of(self, item):
        answer = await self.client.get(f"https://a.example/{item}")
        return answer.json()
""",
)

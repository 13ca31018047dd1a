"""Examples of the rule missing-retry."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()


@app.get("/stock")
async def stock():
    answer = await client.get(
        "https://a.example/stock",
        headers={"Accept": "application/json"},
    )
    return answer.json()
""",
        """import httpx
from fastapi import FastAPI

from http_retries import with_retries_async

app = FastAPI()
client = httpx.AsyncClient()


@app.get("/stock")
async def stock():
    answer = await with_retries_async(lambda: client.get(
        "https://a.example/stock",
        headers={"Accept": "application/json"},
    ))
    return answer.json()
""",
        "fastapi",
    ),
    Example(
        """import requests
from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook():
    requests.put("https://a.example/state", json={"open": True}, timeout=3)
    requests.post("https://a.example/orders", json={}, timeout=3)
    return "", 204
""",
        """import requests
from flask import Flask

from http_retries import with_retries

app = Flask(__name__)


@app.post("/hook")
def hook():
    with_retries(lambda: requests.put("https://a.example/state", json={"open": True}, timeout=3))
    requests.post("https://a.example/orders", json={}, timeout=3)
    return "", 204
""",
        "flask",
    ),
    Example(
        """import aiohttp
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook(event: dict):
    async with aiohttp.ClientSession() as session:
        async with session.get("https://a.example/state") as answer:
            return await answer.json()
""",
        """import aiohttp
from fastapi import FastAPI

from http_retries import with_retries_in

app = FastAPI()


@app.post("/hook")
async def hook(event: dict):
    async with aiohttp.ClientSession() as session:
        async with with_retries_in(lambda: session.get("https://a.example/state")) as answer:
            return await answer.json()
""",
        "fastapi",
    ),
    Example(  # its module's own way is the one to take
        """import httpx
from fastapi import FastAPI
from tenacity import retry, stop_after_attempt, wait_random_exponential

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@retry(stop=stop_after_attempt(3), wait=wait_random_exponential(max=2))
async def company(domain):
    return (await client.get(f"https://a.example/companies/{domain}")).raise_for_status().json()


async def person(email):
    return (await client.get("https://a.example/people", params={"email": email})).raise_for_status().json()


@app.post("/hook")
async def hook(event: dict):
    return await company(event["domain"]), await person(event["email"])
""",
        None,
        "fastapi",
    ),
)
GOOD = (
    """import httpx
import stamina
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient()
patient = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=3))


@stamina.retry(on=httpx.HTTPError, attempts=3)
async def stock():
    return (await client.get("https://a.example/stock")).json()


@app.post("/hook")
async def hook():
    await client.post("https://a.example/orders", json={})
    await client.post("https://a.example/v1/messages", json={"text": "hello"})
    await patient.get("https://a.example/orders")
    for attempt in range(3):
        try:
            return (await client.get("https://a.example/prices")).json()
        except httpx.HTTPError:
            continue
    return await stock()
""",
    """import httpx
from fastapi import FastAPI

app = FastAPI()


class Stock:
    def __init__(self):
        self.client = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=3))

    async def of(self, item):
        return (await self.client.get(f"https://a.example/{item}")).json()


@app.post("/hook")
async def hook():
    return await Stock().of("tea")
""",
    """import requests
from flask import Flask
from requests.adapters import HTTPAdapter

app = Flask(__name__)
http = requests.Session()
http.mount("https://", HTTPAdapter(max_retries=3))


@app.post("/hook")
def hook():
    return http.get("https://a.example/stock", timeout=3).json()
""",
)

"""Examples of the rule loop-of-awaits."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


async def price(sku: str) -> dict:
    answer = await client.get(f"https://prices.example/{sku}")
    return answer.json()


@app.post("/cart")
async def cart(skus: list[str]):
    prices = []
    for sku in skus:
        prices.append(await price(sku))
    return prices
""",
        """import asyncio
import os

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


async def price(sku: str) -> dict:
    answer = await client.get(f"https://prices.example/{sku}")
    return answer.json()


@app.post("/cart")
async def cart(skus: list[str]):
    at_once = asyncio.Semaphore(max(1, int(os.getenv("CALLS_AT_ONCE", "8"))))

    async def price_of(sku):
        async with at_once:
            return await price(sku)

    prices = await asyncio.gather(*[price_of(sku) for sku in skus])
    return prices
""",
        "fastapi",
    ),
    Example(
        """import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

client = httpx.AsyncClient(timeout=5)


async def hook(request):
    event = await request.json()
    found = [await client.get(f"https://people.example/{key}") for key in event["people"]]
    return JSONResponse([answer.json() for answer in found])


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
        """import asyncio
import os

import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

client = httpx.AsyncClient(timeout=5)


async def hook(request):
    event = await request.json()
    at_once = asyncio.Semaphore(max(1, int(os.getenv("CALLS_AT_ONCE", "8"))))

    async def get_of(key):
        async with at_once:
            return await client.get(f"https://people.example/{key}")

    found = await asyncio.gather(*[get_of(key) for key in event["people"]])
    return JSONResponse([answer.json() for answer in found])


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
        "starlette",
    ),
    Example(
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.post("/notify")
async def notify(people: list[str]):
    sent = []
    for person in people:
        answer = await client.get(f"https://people.example/{person}")
        if answer.status_code == 200:
            sent.append(answer.json())
    return sent


@app.post("/names")
async def names(people: list[str]):
    return {person: (await client.get(f"https://people.example/{person}")).json() for person in people}
""",
        """import asyncio
import os

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.post("/notify")
async def notify(people: list[str]):
    sent = []
    at_once = asyncio.Semaphore(max(1, int(os.getenv("CALLS_AT_ONCE", "8"))))

    async def get_of(person):
        async with at_once:
            return await client.get(f"https://people.example/{person}")

    turns = list(people)
    answers = await asyncio.gather(*[get_of(person) for person in turns])
    for person, answer in zip(turns, answers):
        if answer.status_code == 200:
            sent.append(answer.json())
    return sent


@app.post("/names")
async def names(people: list[str]):
    at_once = asyncio.Semaphore(max(1, int(os.getenv("CALLS_AT_ONCE", "8"))))

    async def get_of(person):
        async with at_once:
            return (await client.get(f"https://people.example/{person}")).json()

    turns = list(people)
    return dict(zip(turns, await asyncio.gather(*[get_of(person) for person in turns])))
""",
        "fastapi",
    ),
    Example(
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.post("/notify")
async def notify(people: list[str]):
    return {"people": [await client.get(f"https://people.example/{person}") for person in people]}
""",
        None,
        "fastapi",
    ),
    Example(  # writes are told, and left in their order
        """import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

client = httpx.AsyncClient(timeout=5)


async def forward(target, event):
    answer = await client.post(f"https://{target}.example/events", json=event)
    answer.raise_for_status()


async def hook(request):
    event = await request.json()
    for target in event["targets"]:
        await forward(target, event)
    return JSONResponse({"sent": len(event["targets"])})


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
        None,
        "starlette",
    ),
)
GOOD = (
    """import asyncio

import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.post("/pages")
async def pages(first: str, people: list[str]):
    found = []
    url = first
    while url:
        page = (await client.get(url)).json()
        found.append(page)
        url = page["next"]
    for person in people:
        await client.post("https://mail.example", json={"to": person})
    for person in people:
        found.append(await client.get(f"https://people.example/{person}", params={"after": found[-1]["id"]}))
    for _ in range(3):
        answer = await client.get("https://jobs.example/1")
        if answer.status_code == 200:
            break
        await asyncio.sleep(1)
    return found, await asyncio.gather(*[client.get(f"https://a.example/{p}") for p in people])
""",
)

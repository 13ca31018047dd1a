"""Examples of the rule retry-without-pause."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        """import requests


def stock(item):
    for attempt in range(3):
        try:
            return requests.get(f"https://a.example/{item}", timeout=2)
        except requests.RequestException:
            continue
    return None
""",
        """import random
import time

import requests


def stock(item):
    for attempt in range(3):
        try:
            return requests.get(f"https://a.example/{item}", timeout=2)
        except requests.RequestException:
            if attempt < 3 - 1:
                time.sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**attempt, 2.0))
            continue
    return None
""",
    ),
    Example(
        """import httpx
from fastapi import FastAPI

app = FastAPI()
TRIES = 4


@app.get("/stock")
async def stock():
    async with httpx.AsyncClient() as client:
        for _ in range(TRIES):
            try:
                return (await client.get("https://a.example/stock")).json()
            except httpx.HTTPError as error:
                last = error
    raise last
""",
        """import asyncio
import random

import httpx
from fastapi import FastAPI

app = FastAPI()
TRIES = 4


@app.get("/stock")
async def stock():
    async with httpx.AsyncClient() as client:
        for attempt in range(TRIES):
            try:
                return (await client.get("https://a.example/stock")).json()
            except httpx.HTTPError as error:
                if attempt < TRIES - 1:
                    await asyncio.sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**attempt, 2.0))
                last = error
    raise last
""",
        "fastapi",
    ),
    Example(
        """import requests
from tenacity import retry, stop_after_attempt


@retry(stop=stop_after_attempt(5))
def stock(item):
    return requests.get(f"https://a.example/{item}", timeout=2)
""",
        """import requests
from tenacity import retry, stop_after_attempt, wait_random_exponential


@retry(stop=stop_after_attempt(5), wait=wait_random_exponential(multiplier=0.1, max=2))
def stock(item):
    return requests.get(f"https://a.example/{item}", timeout=2)
""",
    ),
    Example(
        """import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

session = requests.Session()
session.mount("https://", HTTPAdapter(max_retries=Retry(total=3, status_forcelist=[502, 503])))
""",
        """import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

session = requests.Session()
session.mount(
    "https://",
    HTTPAdapter(max_retries=Retry(total=3, status_forcelist=[502, 503], backoff_factor=0.1)),
)
""",
    ),
    Example(
        """import requests


def stock(item):
    while True:
        try:
            return requests.get(f"https://a.example/{item}", timeout=2)
        except requests.ConnectionError:
            pass
""",
        None,
    ),
    Example(  # a state that is not there yet
        """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


@app.post("/hook")
async def hook(event: dict):
    while True:
        state = (await client.get(f"https://jobs.example/{event['id']}")).json()
        if state["done"]:
            return state
""",
        None,
        "fastapi",
    ),
    Example(  # a status instead of an error
        """import requests
from flask import Flask, request

app = Flask(__name__)
session = requests.Session()


@app.post("/hook")
def hook():
    for _ in range(5):
        answer = session.get(f"https://a.example/{request.json['id']}", timeout=2)
        if answer.status_code == 429:
            continue
        answer.raise_for_status()
        return answer.json()
    return "", 503
""",
        None,
        "flask",
    ),
)
GOOD = (
    """import time

import requests


def patient(item):
    for attempt in range(3):
        try:
            return requests.get(f"https://a.example/{item}", timeout=2)
        except requests.RequestException:
            time.sleep(attempt)
    return None


def each(items):
    for item in items:
        try:
            requests.get(f"https://a.example/{item}", timeout=2)
        except requests.RequestException:
            continue


def all_or_nothing(items):
    for number in range(3):
        try:
            requests.get(f"https://a.example/{number}", timeout=2)
        except requests.RequestException:
            raise
""",
    """import requests


def pages(first):
    found, url = [], first
    while True:
        page = requests.get(url, timeout=2).json()
        found.extend(page["items"])
        url = page["next"]
        if url is None:
            return found
""",
    """import requests


def next_job(session: requests.Session):
    while True:
        answer = session.get("https://jobs.example/next", params={"wait": 30}, timeout=40)
        if answer.status_code == 200:
            return answer.json()
""",
)

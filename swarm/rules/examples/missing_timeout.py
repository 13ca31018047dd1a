"""Examples of the rule missing-timeout."""

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
        "https://a.example/x",
        json={},
    )
    return requests.get("https://a.example/x").json()
""",
        """import os

import requests
from flask import Flask

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None

app = Flask(__name__)


@app.post("/hook")
def hook():
    requests.post(
        "https://a.example/x",
        json={},
        timeout=HTTP_TIMEOUT_S,
    )
    return requests.get("https://a.example/x", timeout=HTTP_TIMEOUT_S).json()
""",
        "flask",
    ),
    Example(
        """import requests


class Connection:
    def __init__(self):
        self.session = requests.Session()


class Orders(Connection):
    def newest(self):
        return self.session.get("https://a.example/newest").json()
""",
        """import os

import requests

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None


class Connection:
    def __init__(self):
        self.session = requests.Session()


class Orders(Connection):
    def newest(self):
        return self.session.get("https://a.example/newest", timeout=HTTP_TIMEOUT_S).json()
""",
    ),
    Example(
        """import requests


class Shop(requests.Session):
    def request(self, method, url, **kwargs):
        return super().request(method, "https://a.example" + url, **kwargs)


def stock(item):
    return Shop().get(f"/stock/{item}").json()
""",
        """import os

import requests

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None


class Shop(requests.Session):
    def request(self, method, url, **kwargs):
        return super().request(method, "https://a.example" + url, **kwargs)


def stock(item):
    return Shop().get(f"/stock/{item}", timeout=HTTP_TIMEOUT_S).json()
""",
    ),
    Example(
        """import asyncio
import smtplib

import requests


class Crm:
    def __init__(self):
        self.http = requests.Session()

    def ask(self, path, **options):
        return self.http.get("https://crm.example" + path, **options)

    def lead(self, key):
        return self.ask(f"/leads/{key}", headers={"Accept": "application/json"})


async def push(url):
    return await asyncio.to_thread(requests.post, url)


def mail(text):
    with smtplib.SMTP("mail.example", 587) as server:
        server.sendmail("a@a.example", ["b@b.example"], text)
""",
        """import asyncio
import os
import smtplib

import requests

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None


class Crm:
    def __init__(self):
        self.http = requests.Session()

    def ask(self, path, **options):
        return self.http.get("https://crm.example" + path, **{"timeout": HTTP_TIMEOUT_S, **options})

    def lead(self, key):
        return self.ask(f"/leads/{key}", headers={"Accept": "application/json"})


async def push(url):
    return await asyncio.to_thread(requests.post, url, timeout=HTTP_TIMEOUT_S)


def mail(text):
    with smtplib.SMTP("mail.example", 587, timeout=HTTP_TIMEOUT_S) as server:
        server.sendmail("a@a.example", ["b@b.example"], text)
""",
    ),
    Example(
        """import psycopg2


def rows(host):
    return psycopg2.connect(host=host)
""",
        """import os

import psycopg2

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None


def rows(host):
    return psycopg2.connect(
        host=host, connect_timeout=HTTP_TIMEOUT_S and max(1, round(HTTP_TIMEOUT_S))
    )
""",
    ),
    Example(
        """import socket

import redis


class Feed:
    def open(self):
        self.line = socket.socket()
        self.line.connect(("feed.example", 7000))
""",
        None,
    ),
    Example(
        """import aiohttp


async def listen(url):
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as events:
        async for event in events:
            yield event.json()
""",
        None,
    ),
    Example(
        """import argparse

import requests
from flask import Flask

app = Flask(__name__)


@app.post("/hook")
def hook():
    return {}


def main():
    requests.post(argparse.ArgumentParser().parse_args().url, json=[])
""",
        None,
        "flask",
    ),
    Example(
        """import os

import aiohttp
import httpx
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook():
    async with httpx.AsyncClient(timeout=None) as client:
        await client.get("https://a.example/x")
    async with aiohttp.ClientSession() as session:
        await session.get("https://a.example/x")
""",
        """import os

import aiohttp
import httpx
from fastapi import FastAPI

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "10")) or None

app = FastAPI()


@app.post("/hook")
async def hook():
    async with httpx.AsyncClient(timeout=HTTP_TIMEOUT_S) as client:
        await client.get("https://a.example/x")
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)
    ) as session:
        await session.get("https://a.example/x")
""",
        "fastapi",
    ),
    Example(
        """import os

import aiohttp

URL = os.environ["MODEL_URL"]


async def summary(text):
    async with aiohttp.ClientSession() as session:
        body = {"model": "large", "max_tokens": 4096, "messages": [{"role": "user", "content": text}]}
        async with session.post(URL, json=body) as answer:
            return await answer.json()
""",
        """import os

import aiohttp

# for one outgoing call, in seconds; 0: no limit
HTTP_TIMEOUT_S = float(os.getenv("HTTP_TIMEOUT_S", "120")) or None

URL = os.environ["MODEL_URL"]


async def summary(text):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HTTP_TIMEOUT_S)) as session:
        body = {"model": "large", "max_tokens": 4096, "messages": [{"role": "user", "content": text}]}
        async with session.post(URL, json=body) as answer:
            return await answer.json()
""",
    ),
)
GOOD = (
    """import os
import smtplib
import socket

import psycopg2
import redis
import requests

cache = redis.from_url(os.environ["REDIS_URL"])
base = psycopg2.connect("postgresql://db/crm?connect_timeout=5")


def ask(path, **options):
    return requests.get("https://crm.example" + path, **options)


def lead(key):
    return ask(f"/leads/{key}", timeout=3)


def mail():
    return smtplib.SMTP("mail.example", 25, None, 5)


def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect(("10.0.0.1", 1))
        return line.getsockname()[0]
""",
    """import aiohttp


class Processor:
    async def start(self) -> None:
        self._session = aiohttp.ClientSession()

    async def send(self, url, message):
        async with self._session.post(url, json=message, timeout=aiohttp.ClientTimeout(total=5)) as answer:
            return answer.status
""",
    """import httpx
import requests

client = httpx.AsyncClient()
slow = httpx.Client(timeout=30)


def read(url, **options):
    requests.get(url, timeout=3)
    requests.post(url, **options)
    slow.get(url)
    {}.get("timeout", None)


async def ask(url):
    return await client.get(url)
""",
    """import requests
from requests.adapters import HTTPAdapter


class PatientAdapter(HTTPAdapter):
    def send(self, request, **kwargs):
        kwargs["timeout"] = kwargs.get("timeout") or 5
        return super().send(request, **kwargs)


class Shop:
    def __init__(self):
        self._session = requests.Session()
        adapter = PatientAdapter(max_retries=3)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def orders(self):
        return self._session.get("https://shop.example/orders").json()
""",
    """import requests


class Patient(requests.Session):
    def request(self, *args, **kwargs):
        kwargs.setdefault("timeout", 10)
        return super().request(*args, **kwargs)


http = Patient()


def read(url):
    return http.get(url)
""",
)

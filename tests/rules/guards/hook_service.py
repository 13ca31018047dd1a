"""A small signed webhook service over FastAPI and over Flask, mended by chosen rules and run in process."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib
import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.rules import mending

SECRET = "of-tests-only"
FASTAPI = '''"""Lead hooks."""

import asyncio
import hashlib
import hmac
import json
import os

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

SECRET = os.environ["HOOK_SECRET"]
app = FastAPI()
effects = []
fails = []


def sign(body: bytes) -> str:
    return hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def is_good(body: bytes, sent: str) -> bool:
    expected = sign(body)
    return hmac.compare_digest(expected.encode(), sent.encode())


@app.post("/hook")
async def hook(request: Request) -> JSONResponse:
    body = await request.body()
    if not is_good(body, request.headers.get("X-GHL-Signature", "")):
        return JSONResponse({"error": "signature"}, status_code=401)
    event = json.loads(body)
    await asyncio.sleep(0.02)
    if fails:
        return JSONResponse({"error": fails.pop()}, status_code=502)
    effects.append(event.get("n"))
    return JSONResponse({"taken": event.get("n")}, status_code=202)


@app.get("/leads/{email}")
async def lead(email: str) -> dict[str, str]:
    return {"email": email}
'''
FLASK = '''"""Lead hooks."""

import hashlib
import hmac
import json
import os
import time

from flask import Flask, jsonify, request

SECRET = os.environ["HOOK_SECRET"]
app = Flask(__name__)
effects = []
fails = []


def is_good(body, sent):
    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), sent.encode())


@app.post("/hook")
def hook():
    if not is_good(request.get_data(), request.headers.get("X-GHL-Signature", "")):
        return jsonify(error="signature"), 401
    event = json.loads(request.get_data())
    time.sleep(0.02)
    if fails:
        return jsonify(error=fails.pop()), 502
    effects.append(event.get("n"))
    return jsonify(taken=event.get("n")), 202


@app.get("/leads/<email>")
def lead(email):
    return {"email": email}
'''


class Service:
    """A mended service that runs here; `send` speaks HTTP to it without a socket."""

    def __init__(self, root: Path, framework: str, rules: tuple[str, ...]) -> None:
        self.root, self.framework = root, framework
        mending.write(root, {"hooks.py": FASTAPI if framework == "fastapi" else FLASK})
        mending.mend(root, *rules)
        self.module: Any = None

    @contextmanager
    def running(self) -> Iterator[Service]:
        with mending.loaded(self.root, "hooks") as module:
            self.module = module
            yield self

    def of(self, name: str) -> Any:
        """A generated module as the service has it."""
        return importlib.import_module(name)

    def send(self, method: str, path: str, content: bytes = b"", headers: Any = (), peer: str = "10.0.0.1") -> Any:
        return self.many([(method, path, content, dict(headers))], peer)[0]

    def many(self, requests: list[tuple[str, str, bytes, dict[str, str]]], peer: str = "10.0.0.1") -> list[Any]:
        """All at once."""
        if self.framework == "fastapi":
            return asyncio.run(self._many_asgi(requests, peer))
        answers: list[Any] = [None] * len(requests)

        def one(place: int) -> None:
            method, path, content, headers = requests[place]
            transport = httpx.WSGITransport(app=self.module.app, remote_addr=peer)
            with httpx.Client(transport=transport, base_url="http://t") as client:
                answers[place] = client.request(method, path, content=content, headers=headers)

        threads = [threading.Thread(target=one, args=(place,)) for place in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    async def _many_asgi(self, requests: list[tuple[str, str, bytes, dict[str, str]]], peer: str) -> list[Any]:
        transport = httpx.ASGITransport(app=self.module.app, raise_app_exceptions=False, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            calls = [
                client.request(method, path, content=content, headers=headers)
                for method, path, content, headers in requests
            ]
            return list(await asyncio.gather(*calls))

    def deliver(self, body: bytes, secret: str = SECRET, **headers: str) -> Any:
        return self.send("POST", "/hook", body, signed(body, secret) | headers)


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-GHL-Signature": digest, "Content-Type": "application/json"}


def event(number: int, **more: Any) -> bytes:
    return json.dumps({"n": number, "webhookId": f"wh-{number}", **more}).encode()

"""Checks of signatures that were mended, run in process: right senders go on, what was open is closed."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.rules.mending import loaded, mend, write

KEY, OLD, BODY = "the-key-of-the-day", "the-key-before", b'{"id": 7}'

FASTAPI = """import hashlib
import hmac
import os

from fastapi import FastAPI, Header, HTTPException, Request

app = FastAPI()


@app.post("/lab")
async def lab(request: Request, x_lab: str = Header("")):
    mine = hmac.new(os.environ["LAB_SECRET"].encode(), await request.body(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(mine, x_lab):
        raise HTTPException(401)
    return {"ok": True}
"""

STARLETTE = """import hashlib
import hmac
import os

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SECRET = os.environ["LAB_SECRET"].encode()


async def lab(request):
    raw = await request.body()
    given = request.headers.get("x-lab")
    if given is not None and hmac.new(SECRET, raw, hashlib.sha256).hexdigest() != given:
        return Response(status_code=401)
    return JSONResponse({"ok": True})


app = Starlette(routes=[Route("/lab", lab, methods=["POST"])])
"""

FLASK = """import hashlib
import hmac
import os

from flask import Flask, abort, request

app = Flask(__name__)
SECRET = os.environ["LAB_SECRET"]


@app.before_request
def verify():
    signature = request.headers.get("X-Lab")
    if not signature:
        return None
    made = hmac.new(SECRET.encode(), request.get_data(), hashlib.sha256).hexdigest()
    if made != signature:
        abort(401)


@app.post("/lab")
def lab():
    return {"ok": True}
"""

SERVICES = {
    "fastapi": (FASTAPI, ("text-signature-compare", "empty-signing-key", "single-signing-key")),
    "starlette": (STARLETTE, ("skipped-signature-check", "unsafe-signature-compare", "empty-signing-key")),
    "flask": (FLASK, ("skipped-signature-check", "unsafe-signature-compare", "empty-signing-key")),
}


def signed(key: str, body: bytes = BODY) -> dict[str, bytes]:
    return {"X-Lab": hmac.new(key.encode(), body, hashlib.sha256).hexdigest().encode()}


def status(app: object, headers: dict[str, bytes]) -> int:
    if type(app).__module__.startswith("flask"):
        given = {name: value.decode("latin-1") for name, value in headers.items()}
        return int(app.test_client().post("/lab", data=BODY, headers=given).status_code)  # type: ignore[attr-defined]
    client = TestClient(app, raise_server_exceptions=False)  # type: ignore[arg-type]
    return client.post("/lab", content=BODY, headers=list(headers.items())).status_code


@pytest.mark.parametrize("name", SERVICES)
def test_right_senders_go_on_and_no_other_is_taken(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, rules = SERVICES[name]
    write(tmp_path, {f"lab_{name}.py": text})
    mend(tmp_path, *rules)
    monkeypatch.setenv("LAB_SECRET", KEY)
    with loaded(tmp_path, f"lab_{name}") as module:
        assert status(module.app, signed(KEY)) == 200
        assert status(module.app, {}) == 401
        assert status(module.app, signed(OLD)) == 401
        assert status(module.app, {"X-Lab": "é".encode()}) == 401


@pytest.mark.parametrize("name", SERVICES)
def test_a_key_that_is_set_to_nothing_opens_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, rules = SERVICES[name]
    write(tmp_path, {f"unset_{name}.py": text})
    mend(tmp_path, *rules)
    monkeypatch.setenv("LAB_SECRET", "")
    with loaded(tmp_path, f"unset_{name}") as module:
        assert status(module.app, signed("")) == 401
        assert status(module.app, {}) == 401


def test_both_keys_are_good_while_both_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, rules = SERVICES["fastapi"]
    write(tmp_path, {"rotated.py": text})
    mend(tmp_path, *rules)
    monkeypatch.setenv("LAB_SECRET", KEY)
    with loaded(tmp_path, "rotated") as module:
        assert status(module.app, signed(OLD)) == 401
        monkeypatch.setenv("LAB_SECRET_PREVIOUS", OLD)
        assert [status(module.app, signed(key)) for key in (KEY, OLD, "another")] == [200, 200, 401]

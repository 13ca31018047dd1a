"""A delivery that its sender signs anew at each attempt has one effect; a wrong signature is refused all the same."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.rules.mending import loaded, mend, write

CHECK = """import hashlib
import hmac
import os
import time


def is_good(body: bytes, header: str) -> bool:
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    stamp = parts.get("t", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > 300:
        return False
    made = hmac.new(os.environ["HOOK_SECRET"].encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(made.encode(), parts.get("v1", "").encode())
"""
IN_HANDLER = {
    "fastapi": """import json

from fastapi import FastAPI, HTTPException, Request

from check import is_good

app = FastAPI()
effects = []


@app.post("/hook")
async def hook(request: Request):
    body = await request.body()
    if not is_good(body, request.headers.get("Stripe-Signature", "")):
        raise HTTPException(400)
    effects.append(json.loads(body)["id"])
    return {"taken": len(effects)}
""",
    "flask": """from flask import Flask, abort, request

from check import is_good

app = Flask(__name__)
effects = []


@app.post("/hook")
def hook():
    if not is_good(request.get_data(), request.headers.get("Stripe-Signature", "")):
        abort(400)
    effects.append(request.get_json()["id"])
    return {"taken": len(effects)}
""",
    "starlette": """import json

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from check import is_good

effects = []


async def hook(request):
    body = await request.body()
    good = is_good(body, request.headers.get("Stripe-Signature", ""))
    if not good:
        return JSONResponse({}, status_code=400)
    effects.append(json.loads(body)["id"])
    return JSONResponse({"taken": len(effects)})


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
""",
}
BEFORE_HANDLER = {
    "fastapi dependency": """import json

from fastapi import Depends, FastAPI, HTTPException, Request

from check import is_good


async def signed(request: Request) -> bytes:
    body = await request.body()
    if not is_good(body, request.headers.get("Stripe-Signature", "")):
        raise HTTPException(400)
    return body


app = FastAPI()
effects = []


@app.post("/hook")
def hook(body: bytes = Depends(signed)):
    effects.append(json.loads(body)["id"])
    return {"taken": len(effects)}
""",
    "flask decorator": """from functools import wraps

from flask import Flask, abort, request

from check import is_good

app = Flask(__name__)
effects = []


def signed(view):
    @wraps(view)
    def inner(*args, **kwargs):
        if not is_good(request.get_data(), request.headers.get("Stripe-Signature", "")):
            abort(400)
        return view(*args, **kwargs)

    return inner


@app.post("/hook")
@signed
def hook():
    effects.append(request.get_json()["id"])
    return {"taken": len(effects)}
""",
}
CASES = {**IN_HANDLER, **BEFORE_HANDLER}


def stripe(body: bytes, key: str = "a-key", at_s: float | None = None) -> dict[str, str]:
    stamp = str(int(at_s or time.time()))
    made = hmac.new(key.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={stamp},v1={made}", "Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOOK_SECRET", "a-key")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def posts(app: Any, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    if hasattr(app, "wsgi_app"):
        given = app.test_client().post("/hook", data=body, headers=headers)
        return given.status_code, given.get_json(silent=True)
    answer = TestClient(app).post("/hook", content=body, headers=headers)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("name", CASES)
def test_signed_anew_it_acts_once_and_signed_wrongly_it_is_refused(name: str, tmp_path: Path) -> None:
    write(tmp_path, {"app.py": CASES[name], "check.py": CHECK})
    mend(tmp_path, "no-replay-protection")
    body = json.dumps({"id": "evt_1"}).encode()
    now_s = time.time()
    with loaded(tmp_path, "app") as module:
        first = posts(module.app, body, stripe(body, at_s=now_s))
        assert first == (200, {"taken": 1})
        assert posts(module.app, body, stripe(body, at_s=now_s)) == first, "the same bytes once more"
        assert posts(module.app, body, stripe(body, at_s=now_s - 30)) == first, "signed anew"
        assert posts(module.app, body, stripe(body, at_s=now_s - 30)) == first
        assert posts(module.app, body, stripe(body, key="another"))[0] == 400
        assert posts(module.app, body, {"Stripe-Signature": "t=1,v1=aa"})[0] == 400
        assert posts(module.app, body, {})[0] == 400
        assert posts(module.app, body, stripe(body, at_s=now_s - 10)) == first, "after what was refused, too"
        other = json.dumps({"id": "evt_2"}).encode()
        assert posts(module.app, other, stripe(other)) == (200, {"taken": 2})
        assert module.effects == ["evt_1", "evt_2"]


def test_where_the_place_is_not_shown_handlers_stay_as_they_are(tmp_path: Path) -> None:
    start, _, work = IN_HANDLER["flask"].partition("    if not is_good(")
    code = f"{start}    if is_good({work}".replace("        abort(400)\n    effects", "        effects").replace(
        "    return {", "        return {"
    )
    write(tmp_path, {"app.py": code, "check.py": CHECK})
    mend(tmp_path, "no-replay-protection")
    assert "repeated" not in (tmp_path / "app.py").read_text()
    assert "FENCED = False" in (tmp_path / "replay_guard.py").read_text()

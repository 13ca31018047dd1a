"""Secrets that are compared with what was sent: unset they match nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.rules.mending import find, loaded, mend, write


def test_an_unset_shared_secret_does_not_match_a_missing_header(tmp_path: Path) -> None:
    text = (
        "import os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
        'HOOK_TOKEN = os.getenv("HOOK_TOKEN_OF_TESTS", "")\napp = FastAPI()\n\n\n@app.post("/hook")\n'
        'async def hook(request: Request):\n    token = request.headers.get("X-Token")\n'
        "    if token != HOOK_TOKEN:\n        raise HTTPException(401)\n    return {}\n"
    )
    write(tmp_path, {"tokens.py": text})
    mend(tmp_path, "unsafe-signature-compare")
    with loaded(tmp_path, "tokens") as module:
        assert TestClient(module.app).post("/hook").status_code == 401


VERIFY = """import os

from flask import Flask, request

app = Flask(__name__)
app.config["VERIFY_TOKEN"] = os.getenv("VERIFY_TOKEN_OF_TESTS")


def sent_secret():
    return request.headers.get("X-Secret")


@app.get("/hook")
def verify():
    mode = request.args.get("hub.mode")
    token = request.args.get("hub.verify_token")
    if mode and token:
        if mode == "subscribe" and token == app.config["VERIFY_TOKEN"]:
            return request.args.get("hub.challenge", "")
        return "", 403
    return "", 400


@app.post("/hook")
def hook():
    secret = sent_secret()
    if secret != os.environ["SHARED_SECRET_OF_TESTS"]:
        return "", 401
    return ""
"""


def test_a_secret_that_may_not_be_set_matches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"verify.py": VERIFY})
    found = find(tmp_path, "unsafe-signature-compare")
    assert [(one.title, one.severity) for one in found] == [
        ("A secret is compared with ==", "medium"), ("A secret is compared with !=", "medium"),
    ]  # fmt: skip
    mend(tmp_path, "unsafe-signature-compare")
    monkeypatch.setenv("SHARED_SECRET_OF_TESTS", "right")
    with loaded(tmp_path, "verify") as module:
        client = module.app.test_client()
        asked = {"hub.mode": "subscribe", "hub.verify_token": "é", "hub.challenge": "7"}
        assert client.get("/hook", query_string=asked).status_code == 403
        module.app.config["VERIFY_TOKEN"] = "é"
        assert client.get("/hook", query_string=asked).text == "7"
        codes = [
            client.post("/hook", headers=one).status_code for one in ({}, {"X-Secret": "right"}, {"X-Secret": "no"})
        ]
        assert codes == [401, 200, 401]
    assert max(len(line) for line in (tmp_path / "verify.py").read_text().splitlines()) <= 118


def test_a_guard_is_a_guard_after_its_comparison_is_mended(tmp_path: Path) -> None:
    text = (
        "import os\nfrom functools import wraps\n\nfrom flask import Flask, abort, request\n"
        "from slack_bolt import App\nfrom slack_bolt.adapter.flask import SlackRequestHandler\n\n"
        "app = Flask(__name__)\nhandler = SlackRequestHandler(App())\n\n\n"
        '@app.post("/slack")\ndef slack():\n    return handler.handle(request)\n\n\n'
        'def sent():\n    return request.headers.get("X-Shared-Secret")\n\n\n'
        "def checked(function):\n    @wraps(function)\n    def inner(*args, **kwargs):\n        secret = sent()\n"
        '        if secret != os.environ["API_SHARED_SECRET"]:\n            abort(401)\n'
        "        return function(*args, **kwargs)\n\n    return inner\n\n\n"
        '@app.post("/hook")\n@checked\ndef hook():\n    return {"id": request.get_json()["id"]}\n'
    )
    write(tmp_path, {"app.py": text})
    assert not find(tmp_path, "unauthenticated-webhook")
    mend(tmp_path, "unsafe-signature-compare")
    assert not find(tmp_path, "unauthenticated-webhook")

"""Services that were mended for security, run in process: what was refused is refused, what leaked does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from wsgiref.util import is_hop_by_hop, setup_testing_defaults

import httpx
import pytest
from starlette.testclient import TestClient

from swarm.rules.security.secrets.secret_words import is_secret, opens
from tests.rules.mending import find, loaded, mend, write

HOOK = '''"""Lead hooks."""

import hashlib
import hmac
import json
import logging
import os
import sqlite3
import traceback

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

SECRET = os.getenv("HOOK_SECRET", "known-to-all-2024")
log = logging.getLogger(__name__)
app = FastAPI(debug=True)
conn = sqlite3.connect(":memory:", check_same_thread=False)
conn.execute("CREATE TABLE leads (id TEXT, email TEXT)")


def sign(stamp: str, body: bytes) -> str:
    return hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def is_valid(timestamp: str, signature: str | None, body: bytes) -> bool:
    digest = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return digest == signature


@app.post("/hook")
async def hook(request: Request) -> JSONResponse:
    body = await request.body()
    if not is_valid(request.headers.get("X-Time", ""), request.headers.get("X-Sig"), body):
        return JSONResponse({"error": "signature"}, status_code=401)
    try:
        lead = json.loads(body)
        log.warning("lead %s", lead)
        log.warning(f"lead {lead['id']} {lead['email']}")
        conn.execute("INSERT INTO leads VALUES (?, ?)", (lead["id"], lead["email"]))
        return JSONResponse({"ok": True})
    except Exception as exc:
        return JSONResponse({"error": str(exc), "trace": traceback.format_exc()}, status_code=500)


@app.get("/leads")
async def leads(q: str, id: str = "") -> list[list[str]]:
    query = f"SELECT id, email FROM leads WHERE email LIKE '%{q}%' OR id = '{id}'"
    return [list(row) for row in conn.execute(query).fetchall()]
'''
ALL = (
    "unsafe-signature-compare", "sql-from-strings", "error-details-leak", "secret-in-code", "missing-freshness",
    "personal-data-in-logs", "body-size-limit", "debug-enabled",
)  # fmt: skip


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("HOOK_SECRET", "from-the-environment")
    write(tmp_path, {"hooks.py": HOOK})
    mend(tmp_path, *ALL)
    with loaded(tmp_path, "hooks") as module:
        yield TestClient(module.app, raise_server_exceptions=False)


def deliver(
    client: TestClient, body: bytes, secret: str = "from-the-environment", age_s: float = 0
) -> httpx.Response:
    stamp = str(int(time.time() - age_s))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return client.post("/hook", content=body, headers={"X-Time": stamp, "X-Sig": digest})


LEAD = json.dumps({"id": "7", "email": "person@example.org"}).encode()


def test_good_deliveries_pass_and_bad_ones_are_refused(client: TestClient) -> None:
    assert deliver(client, LEAD).json() == {"ok": True}
    assert deliver(client, LEAD, secret="other").status_code == 401
    assert deliver(client, LEAD, secret="known-to-all-2024").status_code == 401
    assert deliver(client, LEAD, age_s=3600).status_code == 401
    assert deliver(client, LEAD, age_s=-3600).status_code == 401
    assert client.post("/hook", content=LEAD).status_code == 401
    odd = {"X-Time": "nan", "X-Sig": "é".encode("latin-1")}
    assert client.post("/hook", content=LEAD, headers=odd).status_code == 401  # type: ignore[arg-type]


def test_errors_say_nothing_and_are_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = deliver(client, b'{"id": 1}')
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal server error"}
    failed = [record for record in caplog.records if record.exc_info]
    assert failed and "KeyError" in str(failed[0].exc_info)


def test_the_log_knows_no_person(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert deliver(client, LEAD).status_code == 200
    assert "person@example.org" not in caplog.text
    assert "fields id, email" in caplog.text
    assert "lead 7 p***@example.org" in caplog.text


def test_text_stays_text_in_sql(client: TestClient) -> None:
    deliver(client, LEAD)
    assert client.get("/leads", params={"q": "person@"}).json() == [["7", "person@example.org"]]
    assert client.get("/leads", params={"q": "nobody", "id": "7"}).json() == [["7", "person@example.org"]]
    assert client.get("/leads", params={"q": "x' OR 1=1 -- "}).json() == []
    assert client.get("/leads", params={"q": "x'"}).json() == []


def test_large_bodies_are_refused_before_they_are_read(client: TestClient) -> None:
    assert deliver(client, LEAD + b" " * 1_100_000).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield LEAD
        for _ in range(20):
            yield b" " * 100_000

    assert client.post("/hook", content=chunks()).status_code == 413

    def few() -> Iterator[bytes]:
        yield LEAD[:5]
        yield LEAD[5:]

    stamp = str(int(time.time()))
    digest = hmac.new(b"from-the-environment", stamp.encode() + b"." + LEAD, hashlib.sha256).hexdigest()
    assert client.post("/hook", content=few(), headers={"X-Time": stamp, "X-Sig": digest}).json() == {"ok": True}


@pytest.mark.parametrize(("variable", "value"), [("SIGNATURE_TOLERANCE_S", "0"), ("MAX_BODY_BYTES", "0")])
def test_limits_can_be_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv("HOOK_SECRET", "from-the-environment")
    monkeypatch.setenv(variable, value)
    write(tmp_path, {"hooks.py": HOOK})
    mend(tmp_path, *ALL)
    with loaded(tmp_path, "hooks") as module:
        client = TestClient(module.app)
        age_s = 3600 if variable == "SIGNATURE_TOLERANCE_S" else 0
        body = LEAD + b" " * 1_100_000 if variable == "MAX_BODY_BYTES" else LEAD
        assert deliver(client, body, age_s=age_s).status_code == 200


def test_without_a_secret_everything_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "")
    write(tmp_path, {"hooks.py": HOOK})
    mend(tmp_path, "secret-in-code")
    with loaded(tmp_path, "hooks") as module:
        client = TestClient(module.app)
        for secret in ("", "known-to-all-2024"):
            assert deliver(client, LEAD, secret=secret).status_code == 401


def test_a_secret_never_stands_in_the_evidence(tmp_path: Path) -> None:
    write(tmp_path, {"hooks.py": HOOK})
    [finding] = find(tmp_path, "secret-in-code")
    assert "known-to-all-2024" not in repr(finding)


FLASK = """import base64
import hashlib
import hmac

from flask import Flask, current_app, jsonify, request

app = Flask(__name__)
app.config["SECRET"] = "s"


def ok(header, body):
    digest = base64.b64encode(hmac.new(current_app.config["SECRET"].encode(), body, hashlib.sha256).digest())
    return header == digest.decode()


@app.post("/hook")
def hook():
    if not ok(request.headers.get("X-Sig"), request.get_data()):
        return jsonify(error="signature"), 401
    return jsonify(ok=True)
"""


def test_a_body_of_two_lengths_is_refused(tmp_path: Path) -> None:
    text = (
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.post('/x')\nasync def x(n: dict):\n    return n\n"
    )
    write(tmp_path, {"svc.py": text})
    mend(tmp_path, "body-size-limit", "two-body-lengths", "no-metrics")
    with loaded(tmp_path, "svc") as module:
        client = TestClient(module.app)
        both = {"Content-Length": "7", "Transfer-Encoding": "chunked"}
        refused = client.post("/x", content=b'{"a":1}', headers=both)
        assert (refused.status_code, refused.headers["connection"]) == (400, "close")
        assert client.post("/x", json={"a": 1}).json() == {"a": 1}
        parts = (part for part in (b'{"a":', b"1}"))
        assert client.post("/x", content=parts, headers={"Content-Type": "application/json"}).json() == {"a": 1}


def test_flask_refuses_what_it_refused(tmp_path: Path) -> None:
    write(tmp_path, {"desk.py": FLASK})
    mend(tmp_path, "unsafe-signature-compare", "body-size-limit")
    good = base64.b64encode(hmac.new(b"s", b"{}", hashlib.sha256).digest()).decode()
    with loaded(tmp_path, "desk") as module:
        client = module.app.test_client()
        assert client.post("/hook", data=b"{}", headers={"X-Sig": good}).status_code == 200
        for sent in ({}, {"X-Sig": ""}, {"X-Sig": "é"}, {"X-Sig": good[:-1]}):
            assert client.post("/hook", data=b"{}", headers=sent).status_code == 401
        assert client.post("/hook", data=b" " * 1_100_000).status_code == 413


async def test_streams_pass_the_limit_untouched(tmp_path: Path) -> None:
    text = (
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.post('/x')\nasync def x(n: dict):\n    return n\n"
    )
    write(tmp_path, {"svc.py": text})
    mend(tmp_path, "body-size-limit")
    with loaded(tmp_path, "svc") as module:

        async def body() -> AsyncIterator[bytes]:
            yield b'{"a":'
            yield b" 1}"

        transport = httpx.ASGITransport(app=module.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            answer = await client.post("/x", content=body(), headers={"content-type": "application/json"})
        assert answer.json() == {"a": 1}


def test_a_strict_wsgi_server_takes_the_refusal(tmp_path: Path) -> None:
    """Servers such as waitress refuse an application's hop-by-hop headers (PEP 3333) and answer 500."""
    text = "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.post('/x')\ndef x():\n    return {}\n"
    write(tmp_path, {"svc.py": text})
    mend(tmp_path, "body-size-limit")
    seen: list[tuple[str, list[tuple[str, str]]]] = []
    environ: dict[str, object] = {"CONTENT_LENGTH": str(10**8), "wsgi.input": BytesIO()}
    setup_testing_defaults(environ)
    with loaded(tmp_path, "svc") as module:
        list(module.app.wsgi_app(environ, lambda status, headers: seen.append((status, headers))))
    ((status, headers),) = seen
    assert status.startswith("413")
    assert not any(is_hop_by_hop(name) for name, _ in headers)


@pytest.mark.parametrize("name", ["secret_key.pem", "keys/app_secret_key.pem", "./jwt.key", "token_secret.json"])
def test_the_name_of_a_key_s_file_is_no_key(name: str) -> None:
    for setting in ("github_app_secret_key", "jwt_secret", "signing_key"):
        assert not opens(setting, name)
        assert not is_secret(setting, name)
    assert opens("jwt_secret", "swordfish")


def test_a_setting_that_names_a_key_s_file_is_left_alone(tmp_path: Path) -> None:
    text = """from pydantic import FilePath
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    app_secret_key: FilePath = "app_secret_key.pem"
    webhook_secret: str = "hunter2"
"""
    write(tmp_path, {"app.py": text})
    assert [finding.line for finding in find(tmp_path, "secret-in-code")] == [7]

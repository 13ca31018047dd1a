"""Services that were mended for security, run in process: what was refused is refused, what leaked does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import json
import logging
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType
from wsgiref.util import is_hop_by_hop, setup_testing_defaults

import httpx
import pytest
from starlette.testclient import TestClient

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


@pytest.fixture
def tools() -> ModuleType:
    name = "rules_mending"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("mending.py"))
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


ALL = (
    "unsafe-signature-compare", "sql-from-strings", "error-details-leak", "secret-in-code", "missing-freshness",
    "personal-data-in-logs", "body-size-limit", "debug-enabled",
)  # fmt: skip


@pytest.fixture
def client(tmp_path: Path, tools: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("HOOK_SECRET", "from-the-environment")
    tools.write(tmp_path, {"hooks.py": HOOK})
    tools.mend(tmp_path, *ALL)
    with tools.loaded(tmp_path, "hooks") as module:
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
def test_limits_can_be_turned_off(
    tmp_path: Path, tools: ModuleType, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "from-the-environment")
    monkeypatch.setenv(variable, value)
    tools.write(tmp_path, {"hooks.py": HOOK})
    tools.mend(tmp_path, *ALL)
    with tools.loaded(tmp_path, "hooks") as module:
        client = TestClient(module.app)
        age_s = 3600 if variable == "SIGNATURE_TOLERANCE_S" else 0
        body = LEAD + b" " * 1_100_000 if variable == "MAX_BODY_BYTES" else LEAD
        assert deliver(client, body, age_s=age_s).status_code == 200


def test_without_a_secret_everything_is_refused(
    tmp_path: Path, tools: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "")
    tools.write(tmp_path, {"hooks.py": HOOK})
    tools.mend(tmp_path, "secret-in-code")
    with tools.loaded(tmp_path, "hooks") as module:
        client = TestClient(module.app)
        for secret in ("", "known-to-all-2024"):
            assert deliver(client, LEAD, secret=secret).status_code == 401


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


def test_a_body_of_two_lengths_is_refused(tmp_path: Path, tools: ModuleType) -> None:
    text = (
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.post('/x')\nasync def x(n: dict):\n    return n\n"
    )
    tools.write(tmp_path, {"svc.py": text})
    tools.mend(tmp_path, "body-size-limit", "two-body-lengths", "no-metrics")
    with tools.loaded(tmp_path, "svc") as module:
        client = TestClient(module.app)
        both = {"Content-Length": "7", "Transfer-Encoding": "chunked"}
        refused = client.post("/x", content=b'{"a":1}', headers=both)
        assert (refused.status_code, refused.headers["connection"]) == (400, "close")
        assert client.post("/x", json={"a": 1}).json() == {"a": 1}
        parts = (part for part in (b'{"a":', b"1}"))
        assert client.post("/x", content=parts, headers={"Content-Type": "application/json"}).json() == {"a": 1}


def test_flask_refuses_what_it_refused(tmp_path: Path, tools: ModuleType) -> None:
    tools.write(tmp_path, {"desk.py": FLASK})
    tools.mend(tmp_path, "unsafe-signature-compare", "body-size-limit")
    good = base64.b64encode(hmac.new(b"s", b"{}", hashlib.sha256).digest()).decode()
    with tools.loaded(tmp_path, "desk") as module:
        client = module.app.test_client()
        assert client.post("/hook", data=b"{}", headers={"X-Sig": good}).status_code == 200
        for sent in ({}, {"X-Sig": ""}, {"X-Sig": "é"}, {"X-Sig": good[:-1]}):
            assert client.post("/hook", data=b"{}", headers=sent).status_code == 401
        assert client.post("/hook", data=b" " * 1_100_000).status_code == 413


def test_an_unset_shared_secret_does_not_match_a_missing_header(tmp_path: Path, tools: ModuleType) -> None:
    text = (
        "import os\n\nfrom fastapi import FastAPI, HTTPException, Request\n\n"
        'HOOK_TOKEN = os.getenv("HOOK_TOKEN_OF_TESTS", "")\napp = FastAPI()\n\n\n@app.post("/hook")\n'
        'async def hook(request: Request):\n    token = request.headers.get("X-Token")\n'
        "    if token != HOOK_TOKEN:\n        raise HTTPException(401)\n    return {}\n"
    )
    tools.write(tmp_path, {"tokens.py": text})
    tools.mend(tmp_path, "unsafe-signature-compare")
    with tools.loaded(tmp_path, "tokens") as module:
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


def test_a_secret_that_may_not_be_set_matches_nothing(
    tmp_path: Path, tools: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.write(tmp_path, {"verify.py": VERIFY})
    found = tools.find(tmp_path, "unsafe-signature-compare")
    assert [(one.title, one.severity) for one in found] == [
        ("A secret is compared with ==", "medium"), ("A secret is compared with !=", "medium"),
    ]  # fmt: skip
    tools.mend(tmp_path, "unsafe-signature-compare")
    monkeypatch.setenv("SHARED_SECRET_OF_TESTS", "right")
    with tools.loaded(tmp_path, "verify") as module:
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


def test_a_secret_never_stands_in_the_evidence(tmp_path: Path, tools: ModuleType) -> None:
    tools.write(tmp_path, {"hooks.py": HOOK})
    [finding] = tools.find(tmp_path, "secret-in-code")
    assert "known-to-all-2024" not in repr(finding)


@pytest.mark.parametrize(
    ("query", "mended"),
    [
        (
            "conn.execute(\"SELECT * FROM t WHERE a = '%s' AND b = %d\" % (a, b))",
            '"SELECT * FROM t WHERE a = ? AND b = ?", (a, b)',
        ),
        ('conn.execute(f"SELECT * FROM t WHERE a = {a!r}")', '"SELECT * FROM t WHERE a = ?", (a,)'),
        ('conn.execute(f"SELECT * FROM t WHERE a IN ({a}, {b})")', '"SELECT * FROM t WHERE a IN (?, ?)", (a, b)'),
        ('conn.execute(f"UPDATE t SET a = {a} WHERE b = ?", [b])', '"UPDATE t SET a = ? WHERE b = ?", [a, b]'),
        ('conn.execute("SELECT * FROM t WHERE a = " + a)', '"SELECT * FROM t WHERE a = ?", (a,)'),
        # what cannot be bound, or not by a splice, is left as it is
        ('conn.execute(f"SELECT * FROM {a}")', ""),
        ("conn.execute(f\"SELECT * FROM t WHERE a LIKE '{a}{b}'\")", ""),
        ('conn.execute(f"SELECT * FROM t WHERE a = {a:.2f}")', ""),
        ('conn.execute(f"SELECT * FROM t WHERE a = {a}", given)', ""),
        ('conn.execute("SELECT * FROM t WHERE a = \'" + a + "\'\'")', ""),
    ],
)
def test_sql_of_many_forms(tmp_path: Path, tools: ModuleType, query: str, mended: str) -> None:
    tools.write(tmp_path, {"store.py": f"import sqlite3\n\n\ndef find(conn, a, b, given):\n    return {query}\n"})
    findings = tools.find(tmp_path, "sql-from-strings")
    assert len(findings) == 1
    assert findings[0].mendable == bool(mended)
    if mended:
        tools.mend(tmp_path, "sql-from-strings")
        text = (tmp_path / "store.py").read_text()
        assert mended in text
        with tools.loaded(tmp_path, "store") as module:
            conn = sqlite3.connect(":memory:")
            conn.execute("CREATE TABLE t (a, b)")
            module.find(conn, "x' OR 1=1 -- ", 5, [])


def test_psycopg_keeps_a_percent_sign_of_its_own(tmp_path: Path, tools: ModuleType) -> None:
    text = (
        "import psycopg\n\n\ndef find(cur, a):\n    cur.execute(f\"SELECT 1 FROM t WHERE a = {a} AND b LIKE 'x%'\")\n"
    )
    tools.write(tmp_path, {"store.py": text})
    [finding] = tools.find(tmp_path, "sql-from-strings")
    assert not finding.mendable


async def test_streams_pass_the_limit_untouched(tmp_path: Path, tools: ModuleType) -> None:
    text = (
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.post('/x')\nasync def x(n: dict):\n    return n\n"
    )
    tools.write(tmp_path, {"svc.py": text})
    tools.mend(tmp_path, "body-size-limit")
    with tools.loaded(tmp_path, "svc") as module:

        async def body() -> AsyncIterator[bytes]:
            yield b'{"a":'
            yield b" 1}"

        transport = httpx.ASGITransport(app=module.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            answer = await client.post("/x", content=body(), headers={"content-type": "application/json"})
        assert answer.json() == {"a": 1}


def test_a_strict_wsgi_server_takes_the_refusal(tmp_path: Path, tools: ModuleType) -> None:
    """Servers such as waitress refuse an application's hop-by-hop headers (PEP 3333) and answer 500."""
    text = "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.post('/x')\ndef x():\n    return {}\n"
    tools.write(tmp_path, {"svc.py": text})
    tools.mend(tmp_path, "body-size-limit")
    seen: list[tuple[str, list[tuple[str, str]]]] = []
    environ: dict[str, object] = {"CONTENT_LENGTH": str(10**8), "wsgi.input": BytesIO()}
    setup_testing_defaults(environ)
    with tools.loaded(tmp_path, "svc") as module:
        list(module.app.wsgi_app(environ, lambda status, headers: seen.append((status, headers))))
    ((status, headers),) = seen
    assert status.startswith("413")
    assert not any(is_hop_by_hop(name) for name, _ in headers)


def test_two_alike_in_one_function_are_two(tmp_path: Path, tools: ModuleType) -> None:
    text = (
        "import sqlite3\n\n\ndef find(conn, a):\n    one = conn.execute(f\"SELECT 1 FROM t WHERE a = '{a}'\")\n"
        "    two = conn.execute(f\"SELECT 1 FROM t WHERE a = '{a}'\")\n    return one, two\n"
    )
    tools.write(tmp_path, {"store.py": text})
    assert len({finding.id for finding in tools.find(tmp_path, "sql-from-strings")}) == 2
    tools.mend(tmp_path, "sql-from-strings")


def test_a_guard_is_a_guard_after_its_comparison_is_mended(tmp_path: Path, tools: ModuleType) -> None:
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
    tools.write(tmp_path, {"app.py": text})
    assert not tools.find(tmp_path, "unauthenticated-webhook")
    tools.mend(tmp_path, "unsafe-signature-compare")
    assert not tools.find(tmp_path, "unauthenticated-webhook")

"""Services that were mended for monitoring, run in process: metrics, health, request ids, logged errors."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from swarm.rules.api.missing_retry import TEXT
from tests.rules.mending import find, loaded, mend, write

FASTAPI = '''"""Orders."""

import logging

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

from shop import stock

logging.basicConfig(level=logging.INFO)
app = FastAPI()


@app.post("/orders/{number}")
async def take(number: int) -> dict[str, int]:
    print(f"order {number} of {stock.LEFT}")
    try:
        stock.reserve(number)
    except Exception:
        pass
    return {"number": number}


@app.get("/broken")
async def broken() -> None:
    raise RuntimeError("no")


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(iter(["a", "b"]))


@app.websocket("/live")
async def live(socket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()
'''
FASTAPI = FASTAPI.replace("async def live(socket)", "async def live(socket: WebSocket)").replace(
    "import FastAPI, HTTPException", "import FastAPI, WebSocket"
)
STOCK = 'LEFT = 3\n\n\ndef reserve(number):\n    raise ValueError(f"none left of {number}")\n'
FLASK = """from flask import Flask


def create_app():
    app = Flask(__name__)

    @app.get("/items/<int:number>")
    def item(number):
        return {"number": number}

    @app.get("/broken")
    def broken():
        raise RuntimeError("no")

    return app
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write(tmp_path, {"shop/__init__.py": "", "shop/app.py": FASTAPI, "shop/stock.py": STOCK})
    return tmp_path


ALL = ("no-metrics", "no-request-id", "no-health-check", "swallowed-exception", "print-in-request", "body-size-limit")


def test_all_mends_compose_in_fastapi(shop: Path, caplog: pytest.LogCaptureFixture) -> None:
    mend(shop, *ALL)
    with loaded(shop, "shop.app") as module, caplog.at_level(logging.INFO):
        client = TestClient(module.app, raise_server_exceptions=False)
        assert client.get("/health").json() == {"status": "ok"}
        answer = client.post("/orders/17", headers={"X-Request-ID": "abc-1"})
        assert answer.json() == {"number": 17}
        assert answer.headers["x-request-id"] == "abc-1"
        assert client.get("/broken").status_code == 500
        assert client.get("/stream").text == "ab"
        assert client.get("/nowhere/1").status_code == 404
        with client.websocket_connect("/live") as socket:
            assert socket.receive_text() == "hello"
        text = client.get("/metrics").text
    name = "http_server_request_duration_seconds"
    assert f'{name}_count{{method="POST",route="/orders/{{number}}",status="200"}} 1' in text
    assert f'{name}_count{{method="GET",route="/broken",status="500"}} 1' in text
    assert f'{name}_count{{method="GET",route="unmatched",status="404"}} 1' in text
    assert 'le="+Inf"' in text and 'le="7.5"' in text and "/orders/17" not in text
    swallowed = next(record for record in caplog.records if "stock.reserve failed" in record.message)
    assert swallowed.exc_info and swallowed.request_id == "abc-1"  # type: ignore[attr-defined]
    assert any(record.message == "order 17 of 3" for record in caplog.records)


def test_all_mends_compose_in_a_flask_factory(tmp_path: Path) -> None:
    write(tmp_path, {"desk.py": FLASK})
    mend(tmp_path, "no-metrics", "no-request-id", "no-health-check")
    with loaded(tmp_path, "desk") as module:
        client = module.create_app().test_client()
        assert client.get("/health").json == {"status": "ok"}
        answer = client.get("/items/4", headers={"X-Request-ID": "bad id\t"})
        assert len(answer.headers["X-Request-ID"]) == 32
        assert client.get("/broken").status_code == 500
        text = client.get("/metrics").text
    assert 'route="/items/<int:number>",status="200"} 1' in text
    assert 'route="/broken",status="500"} 1' in text


@pytest.mark.parametrize("value", ["", "0"])
def test_metrics_can_be_turned_off(shop: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("METRICS_PATH", value)
    mend(shop, "no-metrics")
    with loaded(shop, "shop.app") as module:
        assert TestClient(module.app).get("/metrics").status_code == 404


def test_a_request_id_cannot_carry_lines_into_the_log(shop: Path) -> None:
    mend(shop, "no-request-id")
    with loaded(shop, "shop.app") as module:
        client = TestClient(module.app)
        for sent in ("a" * 129, "x;y", "é"):
            answer = client.get("/stream", headers={"X-Request-ID": sent.encode("latin-1")})  # type: ignore[dict-item]
            assert answer.headers["x-request-id"] != sent
            assert len(answer.headers["x-request-id"]) == 32


async def test_metrics_cost_little(shop: Path) -> None:
    mend(shop, "no-metrics", "no-request-id")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        return

    scope = {"type": "http", "path": "/x", "method": "GET", "headers": []}
    with loaded(shop, "shop.request_metrics") as metrics, loaded(shop, "shop.request_id") as ids:
        wrapped = metrics.MetricsMiddleware(ids.RequestIdMiddleware(app))
        best_s = 1.0
        for _ in range(5):
            began_s = time.perf_counter()
            for _ in range(300):
                await wrapped(dict(scope), None, send)
            best_s = min(best_s, (time.perf_counter() - began_s) / 300)
    assert best_s < 100e-6  # both together; the machine may be busy


def test_emulators_and_other_small_apps_are_not_the_main_one(tmp_path: Path) -> None:
    files = {
        "svc/__init__.py": "",
        "svc/a_fake.py": "from fastapi import FastAPI\n\nfake = FastAPI()\n",
        "svc/main.py": "from fastapi import FastAPI\n\nfrom svc import one, two\n\napp = FastAPI()\n",
        "svc/one.py": "X = 1\n",
        "svc/two.py": "Y = 2\n",
    }
    write(tmp_path, files)
    assert [finding.file for finding in find(tmp_path, "no-metrics")] == ["svc/main.py"]


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ("from svc import one", "from svc.request_metrics import MetricsMiddleware"),
        ("from . import one", "from .request_metrics import MetricsMiddleware"),
        ("import one", "from request_metrics import MetricsMiddleware"),
    ],
)
def test_imports_follow_the_style_of_the_module(tmp_path: Path, imports: str, expected: str) -> None:
    text = f"from flask import Flask\n\n{imports}\n\napp = Flask(__name__)\n"
    write(tmp_path, {"svc/main.py": text, "svc/one.py": "X = 1\n", "svc/request_metrics_other.py": ""})
    mend(tmp_path, "no-metrics")
    assert expected in (tmp_path / "svc/main.py").read_text().splitlines()


def test_a_taken_file_name_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": "from flask import Flask\n\napp = Flask(__name__)\n", "request_metrics.py": "A = 1\n"})
    mend(tmp_path, "no-metrics")
    assert (tmp_path / "request_metrics.py").read_text() == "A = 1\n"
    assert "from request_metrics_2 import MetricsMiddleware" in (tmp_path / "app.py").read_text()


def test_metrics_of_a_manifest_count(tmp_path: Path) -> None:
    text = "from flask import Flask\n\napp = Flask(__name__)\n"
    write(tmp_path, {"app.py": text, "requirements.txt": "flask\nprometheus-client\n"})
    assert find(tmp_path, "no-metrics") == []


def test_routes_of_mounted_routers_are_whole_templates(tmp_path: Path) -> None:
    text = (
        "from fastapi import APIRouter, FastAPI\n\nrouter = APIRouter(prefix='/v1')\n\n\n@router.get('/things/{n}')\n"
        "async def thing(n: int) -> int:\n    return n\n\n\n"
        "app = FastAPI()\napp.include_router(router, prefix='/api')\n"
        "inner = FastAPI()\n\n\n@inner.get('/s/{k}')\nasync def s(k: str) -> str:\n    return k\n\n\n"
        "app.mount('/sub', inner)\n"
        "\n\n@app.get('/files/{name:path}')\nasync def file(name: str) -> str:\n    return name\n"
    )
    write(tmp_path, {"routed.py": text})
    mend(tmp_path, "no-metrics")
    with loaded(tmp_path, "routed") as module:
        client = TestClient(module.app)
        for path in ("/api/v1/things/007", "/sub/s/abc", "/files/a/b/c"):
            assert client.get(path).status_code == 200
        text = client.get("/metrics").text
    for route in ("/api/v1/things/{n}", "/sub/s/{k}", "/files/{name:path}"):
        assert f'_count{{method="GET",route="{route}",status="200"}} 1' in text


def test_a_health_check_stands_apart_from_what_follows(tmp_path: Path) -> None:
    text = "from fastapi import FastAPI\n\napp = FastAPI()\n\nlimits = {}\n"
    write(tmp_path, {"app.py": text})
    mend(tmp_path, "no-health-check")
    assert '    return {"status": "ok"}\n\n\nlimits = {}\n' in (tmp_path / "app.py").read_text()


def test_an_error_is_named_by_what_an_earlier_mend_went_around(tmp_path: Path) -> None:
    text = """import requests
from flask import Flask

from http_retries import with_retries

app = Flask(__name__)


@app.post("/book")
def book():
    try:
        with_retries(lambda: requests.put("https://books.example/1", timeout=3))
    except requests.RequestException:
        pass
    return ""
"""
    retries = TEXT.read_text(encoding="utf-8")
    write(tmp_path, {"app.py": text, "http_retries.py": retries})
    mend(tmp_path, "swallowed-exception")
    assert '"requests.put failed, going on without it"' in (tmp_path / "app.py").read_text()


def test_texts_that_were_printed_stand_in_the_message(tmp_path: Path) -> None:
    text = """import logging

from flask import Flask

logging.basicConfig(level=logging.INFO)
app = Flask(__name__)


@app.post("/cancel/<name>")
def cancel(name):
    print("cancelled", name, "at 100%", 7)
    print("all", "good: 100%")
    try:
        print(f"at 100%")
    except OSError as exc:
        print(f"ERROR: {exc}")
    return ""
"""
    write(tmp_path, {"app.py": text})
    mend(tmp_path, "print-in-request")
    mended = (tmp_path / "app.py").read_text()
    assert 'logger.info("cancelled %s at 100%% %s", name, 7)\n    logger.info("all good: 100%")\n' in mended
    assert 'logger.info("at 100%")\n' in mended
    assert 'logger.error("ERROR: %s", exc)\n' in mended


def test_a_log_line_beside_a_call_does_not_hear_its_errors(tmp_path: Path) -> None:
    text = """import logging

import httpx
from fastapi import FastAPI

log = logging.getLogger(__name__)
app = FastAPI()


@app.post("/tell")
async def tell():
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            answer = await client.post("https://chat.example", json={})
            if answer.status_code >= 400:
                log.warning("chat answered %s", answer.status_code)
    except Exception:
        pass
    return {}
"""
    write(tmp_path, {"app.py": text})
    mend(tmp_path, "swallowed-exception")
    assert "failed, going on without it" in (tmp_path / "app.py").read_text()


@pytest.mark.parametrize(
    ("comment", "severity"),
    [
        ("# Silently ignore caching failures", "info"),
        ("# best-effort", "info"),
        ("# errors here are ignored", "info"),
        ("# ignore what the mailer said", "medium"),
        ("# TODO", "medium"),
    ],
)
def test_a_comment_that_says_so_keeps_a_handler_silent(tmp_path: Path, comment: str, severity: str) -> None:
    text = "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.post('/hook')\ndef hook():\n    try:\n"
    text += (
        f"        app.cache.set('a', 1)\n    except Exception:\n        {comment}\n        pass\n    return 'ok'\n"
    )
    write(tmp_path, {"app.py": text})
    (found,) = find(tmp_path, "swallowed-exception")
    assert (found.severity, found.mendable) == (severity, severity != "info")

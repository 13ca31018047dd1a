"""The generated webhook guards, run in process around a FastAPI and a Flask service: what they stop, what passes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib
import importlib.util
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.rules.security.signatures.webhook_shapes import takes_objects_only

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
    event = request.get_json(force=True)
    time.sleep(0.02)
    if fails:
        return jsonify(error=fails.pop()), 502
    effects.append(event.get("n"))
    return jsonify(taken=event.get("n")), 202


@app.get("/leads/<email>")
def lead(email):
    return {"email": email}
'''
ALL = (
    "no-replay-protection", "unchecked-delivery-age", "unchecked-json", "unchecked-content-type", "body-size-limit",
    "refused-rate-limit", "no-security-audit", "single-signing-key",
)  # fmt: skip


def load_tools() -> ModuleType:
    """tests/rules/mending.py, whatever the import mode."""
    name = "rules_mending"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("mending.py"))
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


class Service:
    """A mended service that runs here; `send` speaks HTTP to it without a socket."""

    def __init__(self, root: Path, framework: str, rules: tuple[str, ...]) -> None:
        self.root, self.framework = root, framework
        tools = load_tools()
        tools.write(root, {"hooks.py": FASTAPI if framework == "fastapi" else FLASK})
        tools.mend(root, *rules)
        self.module: Any = None

    @contextmanager
    def running(self) -> Iterator[Service]:
        with load_tools().loaded(self.root, "hooks") as module:
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


@pytest.fixture(params=["fastapi", "flask"])
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_all_guards_together_leave_a_good_sender_alone(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ALL)
    text = (tmp_path / "hooks.py").read_text()
    order = [text.index(f"{name}(" if framework == "flask" else f"({name})") for name in (
        "ReplayGuardMiddleware", "DeliveryAgeMiddleware", "CheckedJsonMiddleware", "ContentTypeMiddleware",
        "BodyLimitMiddleware", "RateLimitMiddleware", "SecurityAuditMiddleware",
    )]  # fmt: skip
    assert order == sorted(order)
    now = datetime.now(UTC).isoformat()
    with service.running():
        for number in range(5):
            answer = service.deliver(event(number, timestamp=now, name="Zoë — 中\n", deep=[[[[1.5, None, True]]]]))
            assert (answer.status_code, answer.json()) == (202, {"taken": number})
        assert service.module.effects == [0, 1, 2, 3, 4]
        assert service.send("GET", "/leads/a@example.org").json() == {"email": "a@example.org"}
        assert service.deliver(event(9), secret="wrong").status_code == 401


def test_a_delivery_acts_once(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ("no-replay-protection",))
    body = event(1)
    with service.running():
        answers = service.many([("POST", "/hook", body, signed(body))] * 20)
        assert {(a.status_code, a.text) for a in answers} == {(202, answers[0].text)}
        assert service.deliver(body).json() == {"taken": 1}
        assert service.module.effects == [1]
        # the same id for another body has no effect
        assert service.deliver(event(1, more=2)).status_code == 409
        assert service.module.effects == [1]
        # who has a body that was taken, and no key, learns nothing by it
        for sent in ({}, {"X-GHL-Signature": "0" * 64}):
            assert service.send("POST", "/hook", body, sent).status_code == 401
        assert 'kind="repeated"} 20' in "\n".join(service.of("replay_guard").prometheus_lines())
    # a new process knows what the last one took
    with service.running():
        assert service.deliver(body).json() == {"status": "already processed"}
        assert service.module.effects == []
    stored = (tmp_path / "state" / "replay_guard.sqlite").read_bytes()
    stored += (tmp_path / "state" / "replay_guard.sqlite-wal").read_bytes()
    assert b"wh-1" not in stored and b"taken" not in stored


def test_what_was_refused_or_failed_may_come_again(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ("no-replay-protection",))
    body = event(1)
    with service.running():
        # an id cannot be used up by who has no key, neither before nor at the same moment
        assert service.deliver(event(1, other=True), secret="wrong").status_code == 401
        forged = ("POST", "/hook", event(1, other=True), signed(event(1, other=True), "wrong"))
        copied = ("POST", "/hook", body, signed(body, "wrong"))
        answers = service.many([forged, copied, ("POST", "/hook", body, signed(body)), copied, forged])
        assert [answer.status_code for answer in answers] == [401, 401, 202, 401, 401]
        assert service.module.effects == [1]
        service.module.fails.append("upstream")
        assert service.deliver(event(2)).status_code == 502
        assert service.deliver(event(2)).status_code == 202
        assert service.module.effects == [1, 2]
        # without an id nothing is remembered
        for _ in range(2):
            assert service.deliver(b'{"n": 3}').status_code == 202
        assert service.module.effects == [1, 2, 3, 3]


def test_replay_protection_by_header_and_off(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELIVERY_ID_HEADERS", "X-Delivery-Id")
    monkeypatch.setenv("DELIVERY_ID_FIELDS", "")
    service = Service(tmp_path, framework, ("no-replay-protection",))
    with service.running():
        for _ in range(2):
            assert service.deliver(event(1), **{"X-Delivery-Id": "a"}).status_code == 202
        assert service.deliver(event(1), **{"X-Delivery-Id": "b"}).status_code == 202
        assert service.deliver(event(2), **{"X-Delivery-Id": "b"}).status_code == 409
        assert service.module.effects == [1, 1]
    monkeypatch.setenv("DELIVERY_ID_KEEP_S", "0")
    with service.running():
        assert [service.deliver(event(1), **{"X-Delivery-Id": "a"}).status_code for _ in range(2)] == [202, 202]
        assert service.module.effects == [1, 1]


def test_a_signature_over_the_time_changes_with_every_attempt(tmp_path: Path) -> None:
    """Stripe signs each attempt anew: a repetition is the same body with another signature."""
    service = Service(tmp_path, "fastapi", ("no-replay-protection",))
    with service.running():
        guard = service.of("replay_guard")
        one = guard.Delivery("/hook", "id", b"body", {"x-signature": "t=1700000000,v1=aa"})
        other = guard.Delivery("/hook", "id", b"body", {"x-signature": "t=1700000060,v1=bb"})
        guard.deliveries.done(one, guard.Answer(200, "text/plain", b"ok"))
        assert guard.deliveries.known(other).body == b"ok"
        fixed = guard.Delivery("/hook", "id2", b"body", {"x-signature": "aa"})
        guard.deliveries.done(fixed, guard.Answer(200, "text/plain", b"ok"))
        assert guard.deliveries.known(guard.Delivery("/hook", "id2", b"body", {"x-signature": "bb"})) is None


def test_old_ids_are_forgotten_and_a_bad_file_is_no_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path, "fastapi", ("no-replay-protection",))
    monkeypatch.setenv("DELIVERY_ID_KEEP_S", "0.1")
    with service.running():
        service.deliver(event(1))
        time.sleep(0.15)
        assert service.deliver(event(1)).status_code == 202
        assert service.module.effects == [1, 1]
    monkeypatch.setenv("DELIVERY_ID_KEEP_S", "60")
    monkeypatch.setenv("REPLAY_STORE_PATH", str(tmp_path / "hooks.py" / "no" / "store.sqlite"))
    with service.running():
        assert [service.deliver(event(2)).status_code for _ in range(3)] == [202, 202, 202]
        assert len(service.module.effects) <= 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 20_000, 400),
        (b'{"n":' * 201 + b"1" + b"}" * 201, 400),
        (b'{"n": ' + b"9" * 5000 + b"}", 400),
        (b'{"n": -' + b"9" * 101 + b"}", 400),
        (b'{"n": 1e999}', 400),
        (b'{"n": NaN}', 400),
        (b'{"n": "\xff\xfe"}', 400),
        (b"[]", 422),
        (b"17", 422),
        (b"null", 422),
        (b'{"n": "a\\u0000b"}', 422),
        (b'{"n": ["\\ud800"]}', 422),
        (b'{"a\\u0000": 1}', 422),
    ],
    ids=lambda value: str(value[:20]) if isinstance(value, bytes) else str(value),
)
def test_hostile_json_is_refused(framework: str, tmp_path: Path, body: bytes, status: int) -> None:
    service = Service(tmp_path, framework, ("unchecked-json",))
    with service.running():
        assert service.deliver(body).status_code == status
        assert service.module.effects == []


def test_unusual_but_good_json_passes_byte_for_byte(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ("unchecked-json", "unchecked-content-type"))
    bodies = [
        b'{"n": "\\ud83d\\ude00 [[[[ {{{{ \\" \\\\"}',
        b'\xef\xbb\xbf{"n": 1}',
        b' {"n": -12.5e-3, "e": [], "o": {}, "t": "a\\tb\\r\\nc", "id": 9223372036854775807}\n',
        ('{"n": "' + "[" * 300 + '"}').encode(),
        # texts as people paste them, long ones, and numbers of other worlds
        b'{"n": "a\\u001b[31mb\\u0003\\u0008\\u007f\x7f\\u2028"}',
        b'{"n": "' + b"a" * 200_000 + b'"}',
        b'{"n": ' + b"9" * 78 + b"}",
        b'{"n": 1, "n": 2}',
        b'{"n":' * 150 + b"1" + b"}" * 150,
    ]
    with service.running():
        for body in bodies:
            assert service.deliver(body).status_code == 202, body
        assert service.send("POST", "/hook", b'{"n": 1}', {"X-GHL-Signature": signed(b'{"n": 1}')["X-GHL-Signature"]})
        assert len(service.module.effects) == len(bodies) + 1


def test_content_types(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ("unchecked-content-type",))
    with service.running():
        for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data"):
            assert service.deliver(b'{"n": 1}', **{"Content-Type": kind}).status_code == 415
        for kind in ("application/json; charset=utf-8", "application/cloudevents+json", "Application/JSON"):
            assert service.deliver(b'{"n": 1}', **{"Content-Type": kind}).status_code == 202


def test_only_fresh_deliveries_are_taken(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path, framework, ("unchecked-delivery-age",))
    now = datetime.now(UTC)
    fresh = [
        now.isoformat(), now.isoformat().replace("+00:00", "Z"), now.strftime("%Y-%m-%dT%H:%M:%S.123456789Z"),
        time.time(), int(time.time() * 1000), str(int(time.time())), (now - timedelta(seconds=280)).isoformat(),
        now.astimezone(timezone(timedelta(hours=-7))).isoformat(), None, "",
    ]  # fmt: skip
    stale = [
        (now - timedelta(minutes=10)).isoformat(), (now + timedelta(minutes=10)).isoformat(), time.time() - 600,
        int(time.time() * 1000) + 600_000, "yesterday", True, [1], "nan",
    ]  # fmt: skip
    with service.running():
        for value in fresh:
            assert service.deliver(event(1, timestamp=value)).status_code == 202, value
        for value in stale:
            assert service.deliver(event(1, timestamp=value)).status_code == 401, value
        assert service.deliver(event(1)).status_code == 202
        assert len(service.module.effects) == len(fresh) + 1
    monkeypatch.setenv("WEBHOOK_TOLERANCE_S", "0")
    with service.running():
        assert service.deliver(event(1, timestamp=0)).status_code == 202


def test_refused_requests_are_slowed_down_and_good_ones_pass(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ("refused-rate-limit",))
    with service.running():
        answers = [service.deliver(event(1), secret="wrong", **{"X-Forwarded-For": f"10.9.9.{n}"}) for n in range(80)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:60] == [401] * 60 and set(statuses[62:]) == {429}
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert "signature" not in answers[-1].text
        assert service.deliver(event(1)).status_code == 202
        # another sender has its own budget
        other = service.send("POST", "/hook", event(1), signed(event(1), "wrong"), peer="10.0.0.2")
        assert other.status_code == 401
        lines = service.of("rate_limit").prometheus_lines()
        assert f'rate_limited_total{{reason="refused"}} {statuses.count(429)}' in lines


def test_a_flood_is_turned_away_and_may_bring_its_deliveries_later(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATE_LIMIT_PER_SENDER", "5")
    service = Service(tmp_path, framework, ("unchecked-delivery-age", "refused-rate-limit"))
    old = event(1, timestamp=time.time() - 1200)
    with service.running():
        assert service.deliver(old).status_code == 401
        answers = service.many([("POST", "/hook", event(n), signed(event(n))) for n in range(30)])
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(202) in range(3, 9) and statuses.count(429) == 30 - statuses.count(202)
        time.sleep(0.4)
        assert service.deliver(old).status_code == 202
        assert service.send("POST", "/hook", old, signed(old), peer="10.0.0.2").status_code == 401
    monkeypatch.setenv("RATE_LIMIT_PER_SENDER", "0")
    with service.running():
        answers = service.many([("POST", "/hook", event(n), signed(event(n))) for n in range(30)])
        assert {answer.status_code for answer in answers} == {202}


def test_senders_behind_trusted_proxies_and_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path, "fastapi", ("refused-rate-limit",))
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.1")
    with service.running():
        limit = service.of("rate_limit")
        assert limit.sender_of("10.0.0.1", "1.1.1.1, 203.0.113.9, 192.168.1.1") == "203.0.113.9"
        assert limit.sender_of("203.0.113.9", "1.1.1.1") == "203.0.113.9"
        assert limit.sender_of("10.0.0.1", "") == "10.0.0.1"
        assert limit.sender_of("10.0.0.1", "<script>") == "10.0.0.1"
        allowance = limit.Allowance(1.0, 2.0)
        assert [allowance.take("a", 0.0), allowance.take("a", 0.0)] == [0.0, 0.0]
        assert 0 < allowance.take("a", 0.0) <= 1.0
        assert allowance.take("a", 1.0) == 0.0
        for number in range(limit.MAX_SENDERS + 50):
            allowance.take(str(number), 2.0)
        assert len(allowance._left) == limit.MAX_SENDERS


def test_the_audit_trail(framework: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(tmp_path, framework, ("no-security-audit", "refused-rate-limit"))
    trail = tmp_path / "state" / "security_audit.jsonl"
    with service.running(), caplog.at_level(logging.INFO, "security.audit"):
        audit = service.of("security_audit")
        service.deliver(event(1, email="person@example.org"), **{"X-Request-ID": "tie-1"})
        service.deliver(event(1), secret="wrong")
        service.send("GET", "/leads/person@example.org?q=person@example.org")
        service.send("GET", "/nowhere/person@example.org")
        audit.trail.flush()
        lines = [json.loads(line) for line in trail.read_text().splitlines()]
        assert [line["event"] for line in lines] == ["delivery_accepted", "refused_unauthorized", "data_used"]
        assert lines[0]["tie"] == "tie-1" and lines[0]["peer"] == "10.0.0.1" and lines[0]["status"] == 202
        assert lines[0]["time"].endswith("+00:00") and lines[0]["route"] == "/hook"
        assert lines[0]["key"] and lines[0]["key"] != lines[1]["key"]
        whole = trail.read_text() + caplog.text
        assert "person" not in whole and SECRET not in whole and signed(event(1))["X-GHL-Signature"] not in whole
        assert len([r for r in caplog.records if r.name == "security.audit"]) == 3
        assert 'security_events_total{event="data_used"} 1' in audit.prometheus_lines()
        for _ in range(70):
            service.deliver(event(1), secret="wrong")
        audit.trail.flush()
        assert "refused_too_many_requests" in trail.read_text()
        assert audit.verify(str(trail)) == 0
        changed = trail.read_text().replace("refused_unauthorized", "delivery_accepted", 1)
        (tmp_path / "changed").write_text(changed)
        assert audit.verify(str(tmp_path / "changed")) == 2
        (tmp_path / "gap").write_text(
            "".join(line + "\n" for n, line in enumerate(trail.read_text().splitlines()) if n != 1)
        )
        assert audit.verify(str(tmp_path / "gap")) == 2


def test_the_key_before_is_good_while_keys_change(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(tmp_path, framework, ("single-signing-key",))
    for previous, status in (("the-old-one", 202), ("", 401)):
        monkeypatch.setenv("HOOK_SECRET_PREVIOUS", previous)
        with service.running():
            assert service.deliver(event(1)).status_code == 202
            assert service.deliver(event(1), secret="the-old-one").status_code == status
            assert service.deliver(event(1), secret="another").status_code == 401
            assert service.deliver(event(1), secret="").status_code == 401


def test_the_description_is_closed_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path, "fastapi", ("open-api-docs",))
    for value, status in (("0", 404), ("1", 200)):
        monkeypatch.setenv("API_DOCS", value)
        with service.running():
            assert {service.send("GET", path).status_code for path in ("/docs", "/openapi.json")} == {status}


def test_a_payload_handed_on_with_its_work_is_known_to_be_an_object(tmp_path: Path) -> None:
    load_tools().write(
        tmp_path,
        {
            "app.py": "import json\n\nfrom fastapi import FastAPI, Request\n\n"
            "from queueing import submit\nfrom work import handle\n\n"
            'app = FastAPI()\n\n\n@app.post("/hook")\nasync def hook(request: Request):\n'
            "    data = json.loads(await request.body())\n    await submit(handle, data)\n    return {}\n",
            "settings.py": "from fastapi import APIRouter\nfrom pydantic import BaseModel\n\n"
            "router = APIRouter()\n\n\n"
            "class Changes(BaseModel):\n    name: str\n\n\n"
            '@router.put("/flows/{flow_id}")\nasync def change(flow_id: str, changes: Changes):\n    return {}\n',
            "queueing.py": "async def submit(work, *args):\n    await work(*args)\n",
            "work.py": 'async def handle(event):\n    print(event.get("type"))\n',
        },
    )
    assert takes_objects_only(build_index(SourceTree.load(tmp_path)))


@pytest.mark.parametrize(("note", "is_known"), [(": dict", True), ("", False)])
def test_a_payload_that_a_class_keeps_is_known_to_be_an_object_where_the_class_asks_it(
    tmp_path: Path, note: str, is_known: bool
) -> None:
    load_tools().write(
        tmp_path,
        {
            "app.py": "from flask import Flask, request\n\nfrom parsing import Parser\n\napp = Flask(__name__)\n"
            'parser = Parser()\n\n\n@app.post("/hook")\ndef hook():\n'
            '    event: object = parser.parse(kind="push", raw=request.json)\n    return {"event": str(event)}\n',
            "parsing.py": f"class Payload:\n    def __init__(self, inner{note}):\n        self.inner = inner\n\n"
            "    def __getitem__(self, key):\n        return self.inner[key]\n\n\n"
            "class Parser:\n    def parse(self, kind, raw):\n        payload = Payload(raw)\n"
            "        return kind, payload\n",
        },
    )
    assert takes_objects_only(build_index(SourceTree.load(tmp_path))) is is_known


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ('request.headers["X-Courier-Delivery-Id"]', ("x-courier-delivery-id",)),
        ('request.headers.get("X-Event-Id", "")', ("x-event-id",)),
        # written to others, or read from their answers
        ('headers.update({}); headers["X-Delivery-Id"] = "1"', ()),
        ('requests.post("https://crm.example", timeout=3).headers["X-Delivery-Id"]', ()),
        # the subscription's, in many senders' words: each delivery would look like a repetition of the first
        ('request.headers["X-Webhook-Id"]', ()),
    ],
)
def test_only_headers_of_senders_number_deliveries(tmp_path: Path, line: str, headers: tuple[str, ...]) -> None:
    from swarm.analysis.index import build_index
    from swarm.analysis.source import SourceTree
    from swarm.rules.security.signatures.webhook_shapes import read_id_headers

    text = FLASK.replace(
        "    event = request.get_json", f"    headers = {{}}\n    {line}\n    event = request.get_json"
    )
    (tmp_path / "hooks.py").write_text(text.replace("import os\n", "import os\n\nimport requests\n"))
    assert read_id_headers(build_index(SourceTree.load(tmp_path))) == headers


@pytest.mark.parametrize(("more", "name"), [("", "GitHub"), ('request.args.get("hub.challenge")', "Meta")])
def test_meta_signs_as_github_does_and_has_other_ids(tmp_path: Path, more: str, name: str) -> None:
    from swarm.rules.security.signatures.webhook_shapes import senders

    text = "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.post('/hook')\ndef hook():\n"
    (tmp_path / "hooks.py").write_text(
        f"{text}    {more or 'pass'}\n    return request.headers['X-Hub-Signature-256']\n"
    )
    assert [sender.name for sender in senders(build_index(SourceTree.load(tmp_path)))] == [name]

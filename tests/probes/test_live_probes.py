"""All probes against two services that listen: one careless in every way, one that is not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import sqlite3
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from swarm.config.schema import Sign, Target, Webhook
from swarm.probes.hostile_input.sql_injection import places
from swarm.probes.probe import Answer, ProbeContext, ProbeResult
from swarm.probes.run import all_probes, findings_from, run_probes
from swarm.target.traffic import Traffic
from swarm.target.upstream.calls import UpstreamCall

SECRET = "probe-secret-4711"
# What these services have no place for: tests of their own ask it (test_people.py, test_upstream_trouble.py).
ELSEWHERE = {
    "C02-failed",
    "W05",
    "W26",
    "S10",
    "W15",
    "W17",
    "W18",
    "W19",
    "W20",
    "W21",
    "W24",
    *(f"C{number:02d}" for number in range(2, 18)),
}


class Shared:
    """What both services write: a log, upstream writes, a database."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.base_url = ""
        self.log: list[str] = []
        self.calls: list[UpstreamCall] = []
        self.database = tmp / "leads.db"
        with sqlite3.connect(self.database) as connection:
            connection.execute("CREATE TABLE leads (id TEXT, email TEXT)")
            connection.execute("INSERT INTO leads VALUES ('1', 'a@example.com')")

    def log_text(self) -> str:
        return "\n".join(self.log)

    def snapshot(self) -> tuple[Any, ...]:
        return tuple(self.calls)

    async def quiet(self, calm_s: float = 0.06, limit_s: float = 3.0) -> bool:
        return True

    def fail(self, point: Any, status: int = 500) -> None:
        pass

    def write_upstream(self) -> None:
        self.calls.append(UpstreamCall("crm", "PUT", "/contacts/1", "", b"{}", 200, 0.0, 0.1, "write", {}))


def expected(timestamp: str, body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def careless(shared: Shared) -> Starlette:
    async def hook(request: Request) -> JSONResponse:
        body = await request.body()
        shared.log.append(f"{SECRET} {body[:2000]!r}")
        if request.method != "POST":
            return JSONResponse({"ok": True})
        try:
            shared.write_upstream()
            event = json.loads(body)
            shared.log.append("note " + event["note"].replace("{{7*7}}", str(7 * 7)))
            with sqlite3.connect(shared.database) as connection:
                connection.execute(f"INSERT INTO leads VALUES ('x', '{event['email']}')")
            return JSONResponse({"ok": True})
        except Exception:  # noqa: BLE001 - the careless service catches all
            return JSONResponse({"error": traceback.format_exc()}, status_code=500)

    async def search(request: Request) -> JSONResponse:
        text = request.query_params.get("q", "")
        with sqlite3.connect(shared.database) as connection:
            rows = connection.execute(f"SELECT * FROM leads WHERE email LIKE '%{text}%'").fetchall()
        return JSONResponse({"rows": rows})

    async def env(request: Request) -> JSONResponse:
        return JSONResponse({"SECRET": SECRET})

    methods = ["GET", "POST", "PUT", "DELETE"]
    app = Starlette(routes=[Route("/hook", hook, methods=methods), Route("/search", search), Route("/.env", env)])
    app.add_middleware(CORSMiddleware, allow_origin_regex=".*", allow_credentials=True)
    return app


class Unguessed(JSONResponse):
    """An answer whose type no browser guesses."""

    def init_headers(self, headers: Any = None) -> None:
        super().init_headers({"X-Content-Type-Options": "nosniff", **(headers or {})})


def careful(shared: Shared, previous: str = "") -> Starlette:
    seen: dict[str, bytes] = {}
    refused = itertools.count(1)

    def refuse() -> JSONResponse:
        late = next(refused) > 40
        return Unguessed({"error": "signature"}, status_code=429 if late else 401)

    async def hook(request: Request) -> JSONResponse:
        if int(request.headers.get("content-length") or 2_000_000) > 1_000_000:
            return Unguessed({"error": "too large"}, status_code=413)
        body = await request.body()
        stamp, sent = request.headers.get("x-time", ""), request.headers.get("x-sig", "")
        keys = [SECRET, previous] if previous else [SECRET]
        if sum(hmac.compare_digest(expected(stamp, body, key).encode(), sent.encode()) for key in keys) == 0:
            return refuse()
        if not stamp.isdigit() or abs(time.time() - int(stamp)) > 300:
            return refuse()
        if request.headers.get("content-type") != "application/json":
            return Unguessed({"error": "content type"}, status_code=415)
        try:
            event = json.loads(body)
            email, event_id = str(event["email"]), str(event["event_id"])
            email.encode()
        except (ValueError, KeyError, TypeError, RecursionError):
            return Unguessed({"error": "payload"}, status_code=422)
        digest = hashlib.sha256(body).digest()
        if seen.get(event_id, digest) != digest:
            return Unguessed({"error": "id"}, status_code=409)
        if event_id not in seen:
            seen[event_id] = digest
            shared.write_upstream()
            with sqlite3.connect(shared.database) as connection:
                connection.execute("INSERT INTO leads VALUES (?, ?)", ("x", email))
        shared.log.append(f"hook taken: {event.get('note')!r}")
        return Unguessed({"ok": True})

    async def search(request: Request) -> JSONResponse:
        text = request.query_params.get("q", "")
        with sqlite3.connect(shared.database) as connection:
            rows = connection.execute("SELECT * FROM leads WHERE email = ?", (text,)).fetchall()
        return Unguessed({"rows": rows, "q": text})

    return Starlette(routes=[Route("/hook", hook, methods=["POST"]), Route("/search", search)])


@pytest.fixture
def serve() -> Iterator[Any]:
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: Any) -> str:
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        running.append((server, thread))
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(5)


def target() -> Target:
    sign = Sign(
        scheme="hmac-sha256",
        header="X-Sig",
        secret_env="HOOK_SECRET",
        format="{hex}",
        signed="{timestamp}.{body}",
        timestamp_header="X-Time",
    )
    payload = {"id": "{{uuid}}", "event_id": "{{uuid}}", "email": "someone@example.org", "note": "hello"}
    webhook = Webhook(path="/hook", sign=sign, payloads=[payload])
    return Target(path=".", start="x", env={"HOOK_SECRET": SECRET}, webhooks=[webhook])


async def probe(url: str, shared: Shared, start_again: Any = None) -> dict[str, ProbeResult]:
    async with httpx.AsyncClient(trust_env=False) as client:
        context = ProbeContext(
            base_url=url,
            target=target(),
            traffic=Traffic(target(), shared.tmp, 7),
            client=client,
            server=shared,  # type: ignore[arg-type]
            upstreams=shared,  # type: ignore[arg-type]
            number=itertools.count(),
            routes=(("POST", "/hook"), ("GET", "/search?q=")),
            start_again=start_again,
        )
        only = [one.id for one in all_probes() if one.id not in ELSEWHERE]
        return {result.probe: result for result in await run_probes(context, only)}


async def test_careless_service_fails_every_probe(serve: Any, tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    began_s = time.monotonic()
    results = await probe(serve(careless(shared)), shared)
    assert time.monotonic() - began_s < 15
    passed = {name for name, result in results.items() if result.outcome != "failed"}
    assert passed == {"W16-docs"}
    assert SECRET not in " ".join(result.evidence for result in results.values())
    findings = findings_from(tuple(results.values()))
    assert len(findings) == len(results) - 1
    assert {finding.confidence for finding in findings} == {"proven"}
    assert {"missing-freshness", "sql-from-strings", "body-size-limit", "error-details-leak"} <= {
        finding.rule for finding in findings
    }
    assert len({finding.id for finding in findings}) == len(findings)


async def test_careful_service_passes_every_probe(serve: Any, tmp_path: Path) -> None:
    shared = Shared(tmp_path)

    @asynccontextmanager
    async def start_again(env: dict[str, str]) -> AsyncIterator[Any]:
        shared.base_url = serve(careful(shared, env.get("HOOK_SECRET_PREVIOUS", "")))
        yield shared

    results = await probe(serve(careful(shared)), shared, start_again)
    assert {name: result.evidence for name, result in results.items() if result.outcome != "passed"} == {}
    assert findings_from(tuple(results.values())) == ()


async def test_two_keys_in_one_setting_are_a_way_to_change_them(serve: Any, tmp_path: Path) -> None:
    shared, starts = Shared(tmp_path), []

    @asynccontextmanager
    async def start_again(env: dict[str, str]) -> AsyncIterator[Any]:
        starts.append(sorted(env))
        shared.base_url = serve(careful(shared, env.get("HOOK_SECRET", "").partition(",")[2]))
        yield shared

    results = await probe(serve(careful(shared)), shared, start_again)
    assert results["W27"].outcome == "passed", results["W27"].evidence
    assert ["HOOK_SECRET_PREVIOUS"] in starts and ["HOOK_SECRET"] in starts


async def test_a_signature_that_breaks_the_service_is_less_than_one_that_is_taken(serve: Any, tmp_path: Path) -> None:
    async def hook(request: Request) -> JSONResponse:
        made = expected(request.headers.get("x-time", ""), await request.body())
        good = hmac.compare_digest(made, request.headers.get("x-sig", ""))
        return JSONResponse({}, status_code=200 if good else 401)

    shared = Shared(tmp_path)
    results = await probe(serve(Starlette(routes=[Route("/hook", hook, methods=["POST"])])), shared)
    (finding,) = findings_from((results["W02"],))
    assert "not ASCII" in finding.evidence
    assert (finding.rule, finding.severity) == ("text-signature-compare", "medium")


async def test_nothing_is_said_of_a_service_that_refuses_everything(serve: Any, tmp_path: Path) -> None:
    async def refuse(request: Request) -> JSONResponse:
        return JSONResponse({}, status_code=401)

    shared = Shared(tmp_path)
    results = await probe(serve(Starlette(routes=[Route("/hook", refuse, methods=["POST"])])), shared)
    assert {result.outcome for result in results.values()} == {"skipped"}
    assert "401" in results["W01"].evidence


def test_every_probe_is_documented_and_unique() -> None:
    probes = all_probes()
    assert len({p.id for p in probes}) == len(probes) >= 13
    assert all(p.__doc__ and p.title and p.recommendation and p.severity for p in probes)


def test_places_of_parameters() -> None:
    found = places((("GET", "/a/{id}/b?q=&n="), ("POST", "/a?x=")))
    assert found == [("/a/\0/b?q=zq7k&n=zq7k", "id"), ("/a/zq7k/b?n=zq7k&q=\0", "q"), ("/a/zq7k/b?q=zq7k&n=\0", "n")]


def test_what_errors_may_say() -> None:
    from swarm.probes.surface.error_details import what_leaks

    def leak(text: str) -> str:
        return what_leaks(Answer("POST", "/hook", 500, text, {}, 0.0), {"KEY": "s3cr3t-value"})

    assert not leak('{"error": "internal server error"}')
    assert not leak('{"detail": "Internal Server Error"}')
    assert not leak('{"detail": [{"type": "missing", "loc": ["body", "email"], "msg": "Field required"}]}')
    assert "traceback" in leak("Traceback (most recent call last)")
    assert "KEY" in leak("token s3cr3t-value was refused")
    assert leak('{"error": "near \\"x\\": syntax error"}')
    assert leak('{"error": "\'event_id\'"}')
    assert leak('{"error": "Client error 404 for url http://127.0.0.1:8123/x"}')


async def test_deadline_of_one_probe_is_a_result(monkeypatch: pytest.MonkeyPatch, serve: Any, tmp_path: Path) -> None:
    from swarm.probes import run

    async def slow(self: Any, context: ProbeContext) -> ProbeResult:
        await asyncio.sleep(5)
        return self.passed("never")

    probe_kind = type(all_probes()[0])
    monkeypatch.setattr(probe_kind, "run", slow)
    monkeypatch.setattr(probe_kind, "deadline_s", 0.2)
    monkeypatch.setattr(run, "all_probes", lambda: (probe_kind(),))
    shared = Shared(tmp_path)
    results = await probe(serve(careful(shared)), shared)
    assert "not done within" in results[probe_kind.id].evidence

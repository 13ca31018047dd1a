"""A person's rights and what is stored of them, asked of small services that honour them and of ones that don't."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.config.schema import Sign, Target, Webhook
from swarm.core.errors import TargetError
from swarm.probes.probe import ProbeContext, ProbeResult
from swarm.probes.routes import headers_of
from swarm.probes.run import run_probes
from swarm.target.traffic import Traffic

ADMIN = "admin-token-for-tests"
ROUTES = (
    ("GET", "/contacts/{contact_id}/export"),
    ("DELETE", "/contacts/{contact_id}"),
    ("POST", "/privacy/purge"),
    ("POST", "/hook"),
)
IDS = ("C02", "C03", "C04", "C05", "C06", "C07", "C11", "C12", "C13", "C16", "C17", "W18", "W19", "W20")


class World:
    """The database of one service, its log, and the upstream that it writes to."""

    def __init__(self, tmp: Path, *flaws: str) -> None:
        self.tmp, self.flaws = tmp, set(flaws)
        self.log: list[str] = []
        self.calls: list[Any] = []
        self.refused: list[str] = []
        self.gone: set[str] = set()
        self.silent: set[str] = set()
        self.database = tmp / "people.db"
        with self.connect() as connection:
            connection.execute(
                "CREATE TABLE people (id TEXT PRIMARY KEY, email TEXT, name TEXT, more TEXT, seen_at TEXT)"
            )

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.database)
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    def log_text(self) -> str:
        return "\n".join(self.log)

    async def quiet(self, calm_s: float = 0.06, limit_s: float = 3.0) -> bool:
        return True

    def snapshot(self) -> tuple[Any, ...]:
        return tuple(self.calls)

    def call(self, method: str, path: str, body: dict[str, Any], effect: str = "write") -> None:
        self.calls.append(
            SimpleNamespace(
                upstream="crm",
                method=method,
                path=path,
                query="",
                body=json.dumps(body).encode(),
                effect=effect,
                status=200,
            )
        )


def service(world: World) -> Starlette:
    def hidden(text: str) -> str:
        return text[::-1] if "plain" not in world.flaws else text

    def take(event: dict[str, Any]) -> None:
        who = event.get("contactId") or event["id"]
        if event["type"] == "message":
            if event["body"].lower() == "stop":
                world.silent.add(who)
            elif who not in world.silent or "deaf" in world.flaws:
                world.call("POST", "/conversations/messages", {"contactId": who, "text": "hello"})
            return
        if who in world.gone and "undo" not in world.flaws:
            return
        more = json.dumps(event)[::-1] if "keeps" not in world.flaws else json.dumps(event)
        with world.connect() as connection:
            connection.execute(
                "INSERT INTO people VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET email = excluded.email",
                (who, hidden(event["email"]), hidden(event["firstName"]), "" if "keeps" not in world.flaws else more,
                 time.strftime("%Y-%m-%dT%H:%M:%S")),
            )  # fmt: skip
        score = 50 + (len(event["firstName"]) % 7 if "biased" in world.flaws else 0)
        if "asks" in world.flaws:
            question = {"messages": [{"role": "user", "content": f"Score {event['firstName']}"}]}
            world.call("POST", "/v1/messages", question, "read")
        world.call("PUT", f"/contacts/{who}", {"ai_score": score})
        if "address" in world.flaws:
            world.call("GET", f"/search/{event['email']}", {}, "read")

    async def hook(request: Request) -> JSONResponse:
        event = json.loads(await request.body())
        take(event)
        if "fetches" in world.flaws and "callback_url" in event:
            async with httpx.AsyncClient(trust_env=False) as client:
                with contextlib.suppress(httpx.HTTPError):
                    await client.get(event["callback_url"], timeout=0.3)
        return JSONResponse({})

    def allowed(request: Request) -> bool:
        return "open" in world.flaws or request.headers.get("X-Admin-Token") == ADMIN

    async def contact(request: Request) -> Response:
        if not allowed(request):
            return JSONResponse({}, status_code=403)
        who = request.path_params["contact_id"]
        with world.connect() as connection:
            if request.method == "DELETE":
                world.gone.add(who)
                if "lazy" not in world.flaws:
                    connection.execute("DELETE FROM people WHERE id = ?", (who,))
                return JSONResponse({})
            row = connection.execute("SELECT id, email, name FROM people WHERE id = ?", (who,)).fetchone()
        if row is None:
            return JSONResponse({}, status_code=404)
        told = {"id": row[0], "email": hidden(row[1])}
        return JSONResponse(told if "half" in world.flaws else {**told, "name": hidden(row[2])})

    async def purge(request: Request) -> JSONResponse:
        if not allowed(request):
            return JSONResponse({}, status_code=401)
        with world.connect() as connection:
            if "hoards" not in world.flaws:
                connection.execute("DELETE FROM people WHERE seen_at < '2020'")
        return JSONResponse({})

    return Starlette(
        routes=[
            Route("/hook", hook, methods=["POST"]),
            Route("/contacts/{contact_id}/export", contact),
            Route("/contacts/{contact_id}", contact, methods=["DELETE"]),
            Route("/privacy/purge", purge, methods=["POST"]),
        ]
    )


def target() -> Target:
    lead = {"type": "lead", "id": "{{uuid}}", "email": "a@example.org", "firstName": "Ada"}
    message = {"type": "message", "contactId": "{{uuid}}", "body": "hi"}
    webhook = Webhook(path="/hook", sign=Sign(scheme="none"), payloads=[lead, message])
    return Target(path=".", start="x", env={"ADMIN_TOKEN": ADMIN}, webhooks=[webhook])


@pytest.fixture
def serve() -> Iterator[Any]:
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: Any) -> str:
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
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


async def probe(url: str, world: World, only: tuple[str, ...] = IDS, **more: Any) -> dict[str, ProbeResult]:
    async with httpx.AsyncClient(trust_env=False) as client:
        context = ProbeContext(
            base_url=url,
            target=more.pop("target", target()),
            traffic=Traffic(target(), world.tmp, 7),
            client=client,
            server=world,  # type: ignore[arg-type]
            upstreams=world,  # type: ignore[arg-type]
            number=itertools.count(),
            **{"routes": ROUTES, "header_names": ("X-Admin-Token",), **more},
        )
        return {result.probe: result for result in await run_probes(context, only)}


async def test_a_service_that_honours_all_of_it(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path)
    results = await probe(serve(service(world)), world)
    told = {name: result.outcome for name, result in results.items()}
    # nothing in plain text in a file: what is stored cannot be seen there, so C11 and C05 say nothing
    assert {name for name, outcome in told.items() if outcome not in ("passed", "inapplicable")} == {"C05", "C11"}, (
        results
    )
    assert told["C07"] == "inapplicable"


@pytest.mark.parametrize(
    ("flaw", "probe_id", "words"),
    [
        ("plain", "C11", "plain text"),
        ("lazy", "C02", "export still shows"),
        ("undo", "C02", "brought a deleted person back"),
        ("half", "C03", "not in the export: firstName"),
        ("hoards", "C05", "after the purge"),
        ("deaf", "C06", "messages after STOP"),
        ("keeps", "C12", "stored as sent"),
        ("keeps", "W19", "is_admin"),
        ("biased", "C13", "alike but for the name"),
        ("asks", "C13", "part of the question"),
        ("address", "C17", "email stands in the address"),
        ("open", "W18", "gives email to anybody"),
        ("fetches", "W20", "called the address"),
    ],
)
async def test_each_flaw_is_seen(flaw: str, probe_id: str, words: str, serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path, flaw, "plain")
    results = await probe(serve(service(world)), world, (probe_id,))
    assert results[probe_id].outcome == "failed", results
    assert words in results[probe_id].evidence


async def test_rights_are_seen_where_files_hold_plain_text(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path, "plain")
    results = await probe(serve(service(world)), world, ("C02", "C03", "C04", "C05"))
    assert {result.outcome for result in results.values()} == {"passed"}, results


async def test_without_routes_nothing_is_claimed(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path, "plain")
    results = await probe(serve(service(world)), world, ("C02", "C03", "C05", "W18"), routes=(("POST", "/hook"),))
    outcomes = {name: result.outcome for name, result in results.items()}
    assert outcomes == {"C02": "failed", "C03": "failed", "C05": "skipped", "W18": "inapplicable"}


async def test_hosts_that_nobody_declared(serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path)
    world.refused.append("POST tracker.example/collect")
    results = await probe(serve(service(world)), world, ("C16",))
    assert "tracker.example" in results["C16"].evidence and results["C16"].outcome == "failed"


@pytest.mark.parametrize("case", ["open", "closed", "does not start"])
async def test_a_service_without_its_secret(case: str, serve: Any, tmp_path: Path) -> None:
    world = World(tmp_path)
    sign = Sign(scheme="hmac-sha256", header="X-Sig", secret_env="HOOK_SECRET")
    signed = target().model_copy(
        update={
            "env": {"HOOK_SECRET": "abcdefgh"},
            "webhooks": [Webhook(path="/hook", sign=sign, payloads=[{"a": 1}])],
        }
    )

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse({}, status_code=200 if case == "open" else 401)

    async def taken(request: Request) -> JSONResponse:
        return JSONResponse({})

    other = serve(Starlette(routes=[Route("/hook", answer, methods=["POST"])]))

    @asynccontextmanager
    async def start_again(env: Any) -> Any:
        assert env == {"HOOK_SECRET": ""}
        if case == "does not start":
            raise TargetError("no secret")
        yield SimpleNamespace(base_url=other)

    url = serve(Starlette(routes=[Route("/hook", taken, methods=["POST"])]))
    async with httpx.AsyncClient(trust_env=False) as client:
        context = ProbeContext(
            base_url=url, target=signed, traffic=Traffic(signed, tmp_path, 7), client=client,
            server=world, upstreams=world, number=itertools.count(), start_again=start_again,  # type: ignore[arg-type]
        )  # fmt: skip
        (result,) = await run_probes(context, ("W05",))
    assert result.outcome == ("failed" if case == "open" else "passed"), result


def test_headers_that_the_code_reads(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from typing import Annotated\nfrom fastapi import Header\n\nSIGNATURE = 'X-Sig'\n\n\n"
        "async def a(x_admin_token: str = Header(default='')):\n    pass\n\n\n"
        "async def b(key: Annotated[str, Header()], other=Header(alias='X-Other')):\n    pass\n\n\n"
        "def c(request, table):\n    table.get('no')\n    request.headers.get(SIGNATURE)\n"
        "    return request.headers['Authorization']\n",
        encoding="utf-8",
    )
    found = set(headers_of(build_index(SourceTree.load(tmp_path))))
    assert found == {"X-Admin-Token", "Key", "X-Other", "X-Sig", "Authorization"}

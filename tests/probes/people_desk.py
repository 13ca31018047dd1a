"""A small service that keeps people, with any of the flaws that probes of people's rights look for."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from swarm.config.schema import Sign, Target, Webhook
from swarm.probes.probe import ProbeContext, ProbeResult
from swarm.probes.run import run_probes
from swarm.target.traffic import Traffic

ADMIN = "admin-token-for-tests"
ROUTES = (
    ("GET", "/contacts/{contact_id}/export"),
    ("DELETE", "/contacts/{contact_id}"),
    ("POST", "/privacy/purge"),
    ("POST", "/contacts/{contact_id}/review"),
    ("POST", "/hook"),
)
IDS = (
    *(f"C{number:02d}" for number in range(2, 18)), "W18", "W19", "W20",
)  # fmt: skip


class World:
    """The database of one service, its log, and the upstream that it writes to."""

    def __init__(self, tmp: Path, *flaws: str) -> None:
        tmp.mkdir(exist_ok=True)
        self.tmp, self.flaws = tmp, set(flaws)
        self.log: list[str] = []
        self.calls: list[Any] = []
        self.refused: list[str] = []
        self.gone: set[str] = set()
        self.silent: set[str] = set()
        self.jobs = itertools.count(1)
        self.digest = ""
        self.in_trouble_now = False
        self.database = tmp / "people.db"
        with self.connect() as connection:
            connection.execute(
                "CREATE TABLE people (id TEXT PRIMARY KEY, email TEXT, name TEXT, more TEXT, seen_at TEXT)"
            )
            connection.execute("CREATE TABLE jobs (number INTEGER PRIMARY KEY, event TEXT)")

    def note(self, what: str, why: str) -> None:
        """An entry of the trail, with the digest of the one before; a loose trail has none."""
        if "untraced" in self.flaws:
            return
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = {"time": moment, "what": what, "who": "hook", "why": why}
        if "loose" not in self.flaws:
            entry["before"] = self.digest
            made = hashlib.sha256(json.dumps(entry).encode()).hexdigest()
            self.digest = entry["digest"] = made[::-1] if "forged" in self.flaws else made
        with (self.tmp / "trail.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.database)
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    def log_text(self) -> str:
        return "\n".join(self.log)

    async def quiet(self, calm_s: float = 0.06, limit_s: float = 3.0) -> bool:
        await asyncio.sleep(calm_s / 4)  # whoever asks again and again must not do so without a pause
        return True

    @contextlib.contextmanager
    def in_trouble(self, answer: str = "", wait_s: float = 0.0) -> Iterator[None]:
        self.in_trouble_now = True
        yield

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
                start_s=time.monotonic(),
                end_s=time.monotonic(),
            )
        )


def service(world: World) -> Starlette:
    def hidden(text: str) -> str:
        if "encoded" in world.flaws:
            return base64.b64encode(b"{ " + text.encode() + b" }").decode()
        return text[::-1] if "plain" not in world.flaws else text

    def readable(stored: str) -> str:
        return base64.b64decode(stored)[2:-2].decode() if "encoded" in world.flaws else hidden(stored)

    def take(event: dict[str, Any]) -> None:
        who = event.get("contactId") or event["id"]
        if event["type"] == "message":
            if event["body"].lower() == "stop":
                world.silent.add(who)
            elif who not in world.silent or "deaf" in world.flaws:
                guard = "" if "steers" in world.flaws else " Say nothing on who lives there: fair housing."
                asked = [{"role": "user", "content": event["body"]}]
                question = {"model": "m", "system": f"You answer for a realtor.{guard}", "messages": asked}
                world.call("POST", "/v1/messages", question, "read")
                reply = "It is a good area for families." if "prefers" in world.flaws else "hello"
                world.call("POST", "/conversations/messages", {"contactId": who, "text": reply})
            return
        if event["type"] == "campaign" and "discreet" not in world.flaws:
            local = datetime.now(ZoneInfo(event["timezone"])).hour
            is_fine = (8 <= local < 21 or "nightly" in world.flaws) and (event["consent"] or "pushy" in world.flaws)
            if who not in world.silent and is_fine:
                world.call("POST", "/conversations/messages", {"contactId": who, "text": "Buy!"})
        if event["type"] == "campaign":
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
        world.note("person stored", event["type"])
        if "undecided" not in world.flaws:
            world.note("lead scored", event["type"])
        if "address" in world.flaws:
            world.call("GET", f"/search/{event['email']}", {}, "read")

    def work(number: int, event: dict[str, Any]) -> None:
        """A job: its row goes when it is done; two of the first few fail and are kept."""
        if world.in_trouble_now:
            world.call("PUT", "/contacts/somebody", {})
            world.calls[-1].status = 500
        elif number not in (2, 5):
            take(event)
            with world.connect() as connection:
                connection.execute("DELETE FROM jobs WHERE number = ?", (number,))

    async def hook(request: Request) -> JSONResponse:
        event = json.loads(await request.body())
        if "queue" in world.flaws:
            number = next(world.jobs)
            with world.connect() as connection:
                connection.execute("INSERT INTO jobs VALUES (?, ?)", (number, json.dumps(event)))
            threading.Timer(0.4, work, (number, event)).start()
        else:
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
                world.note("person erased", "asked for")
                if "keeps_jobs" not in world.flaws:
                    connection.execute("DELETE FROM jobs WHERE instr(event, ?)", (who,))
                if not world.flaws & {"lazy", "orphans"}:
                    connection.execute("DELETE FROM people WHERE id = ?", (who,))
                return JSONResponse({})
            row = connection.execute("SELECT id, email, name FROM people WHERE id = ?", (who,)).fetchone()
        if row is None or ("orphans" in world.flaws and who in world.gone):
            return JSONResponse({}, status_code=404)
        told = {"id": row[0], "email": readable(row[1]), "score": 50}
        if "unreasoned" not in world.flaws:
            told["reasons"] = ["budget"]
        return JSONResponse(told if "half" in world.flaws else {**told, "name": readable(row[2])})

    async def purge(request: Request) -> JSONResponse:
        if not allowed(request):
            return JSONResponse({}, status_code=401)
        with world.connect() as connection:
            if "hoards" not in world.flaws:
                connection.execute("DELETE FROM people WHERE seen_at < '2020'")
        return JSONResponse({})

    async def review(request: Request) -> JSONResponse:
        return JSONResponse({"status": "somebody will look"}, status_code=202 if allowed(request) else 403)

    return Starlette(
        routes=[
            Route("/contacts/{contact_id}/review", review, methods=["POST"]),
            Route("/hook", hook, methods=["POST"]),
            Route("/contacts/{contact_id}/export", contact),
            Route("/contacts/{contact_id}", contact, methods=["DELETE"]),
            Route("/privacy/purge", purge, methods=["POST"]),
        ]
    )


def noon() -> str:
    """A zone where it is about noon."""
    ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def target() -> Target:
    lead = {"type": "lead", "id": "{{uuid}}", "email": "a@example.org", "firstName": "Ada"}
    message = {"type": "message", "contactId": "{{uuid}}", "body": "hi"}
    campaign = {"type": "campaign", "contactId": "{{uuid}}", "timezone": noon(), "consent": True}
    webhook = Webhook(path="/hook", sign=Sign(scheme="none"), payloads=[lead, message, campaign])
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

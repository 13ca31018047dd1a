"""Upstreams as processes see them: played and started ones, records, tapes, failures on demand, cleaning up."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from swarm.config.schema import Target
from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace
from swarm.target.tree.copies import Copy, make_copy
from swarm.target.tree.place import resolve_place
from swarm.target.upstream.calls import FaultPoint
from swarm.target.upstream.tape import Tape
from swarm.target.upstream.upstreams import Upstreams

# counts its calls, so that an answer tells whether it came from here or from a tape; fails each fourth
EMULATOR = """
import http.server, json, sys
calls = 0
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        global calls
        calls += 1
        size = int(self.headers.get("Content-Length") or 0)
        said = self.rfile.read(size).decode()
        body = json.dumps({"call": calls, "path": self.path, "said": said, "key": self.headers.get("X-Key")}).encode()
        self.send_response(500 if calls % 4 == 0 else 201)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Served-By", "emulator")
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
Place = tuple[TargetPlace, Copy]


def target(*upstreams: dict[str, Any]) -> Target:
    return Target.model_validate({"path": ".", "start": "python x.py {port}", "upstreams": list(upstreams)})


STARTED = {
    "name": "crm",
    "env": "CRM_URL",
    "start": "python emulator.py {port}",
    "url": "http://127.0.0.1:{port}/api",
}
PLAYED = {"name": "shop", "env": "SHOP_URL", "routes": [{"path": "/a/{id}", "json": {"id": "{id}"}, "latency_ms": 5}]}


@pytest.fixture
def where(tmp_path: Path) -> Place:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "emulator.py").write_text(EMULATOR, encoding="utf-8")
    place = resolve_place("small", target(), tmp_path / "tree")
    return place, make_copy(place, tmp_path / "copy")


async def post(client: aiohttp.ClientSession, url: str, said: str = "hello") -> tuple[int, dict[str, Any]]:
    async with client.post(url, data=said, headers={"X-Key": "k1"}) as answer:
        assert answer.headers.get("X-Served-By") == "emulator" or answer.status >= 500
        return answer.status, json.loads(await answer.read())


async def test_a_started_program_is_behind_a_recording_proxy(where: Place, tmp_path: Path) -> None:
    ups = await Upstreams.start(*where, target(STARTED, PLAYED), tmp=tmp_path / "u")
    try:
        assert ups.env["CRM_URL"].endswith("/api")
        async with aiohttp.ClientSession() as client:
            ups.mark("first")
            status, body = await post(client, ups.env["CRM_URL"] + "/c%2Fd/x?q=a%20b&r=1", "x" * 3_000_000)
            async with client.get(ups.env["SHOP_URL"] + "/a/5") as answer:
                assert await answer.json() == {"id": "5"}
        assert (status, body["path"], body["key"]) == (201, "/api/c%2Fd/x?q=a%20b&r=1", "k1")
        assert body["said"] == "x" * 3_000_000
        crm, shop = ups.snapshot()
        assert (crm.upstream, crm.method, crm.path, crm.query) == ("crm", "POST", "/api/c%2Fd/x", "q=a%20b&r=1")
        assert (crm.status, crm.effect, crm.request, crm.tape) == (201, "write", "first", "")
        assert crm.start_s < crm.end_s <= shop.start_s
    finally:
        await ups.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as client:
            await post(client, ups.env["CRM_URL"])


async def test_a_tape_answers_without_the_program(where: Place, tmp_path: Path) -> None:
    tape = Tape()
    said = ["one", "two", "one", "three", "four"]

    async def round_of(ups: Upstreams, words: list[str]) -> list[tuple[int, int]]:
        async with aiohttp.ClientSession() as client:
            ups.mark("request 1")
            answers = [await post(client, ups.env["CRM_URL"] + "/x", word) for word in words]
        return [(status, body["call"]) for status, body in answers]

    ups = await Upstreams.start(*where, target(STARTED), tmp=tmp_path / "u1", tape=tape, recording=True)
    first = await round_of(ups, said)
    await ups.stop()
    # the fourth call failed by chance and was made again
    assert first == [(201, 1), (201, 2), (201, 3), (201, 5), (201, 6)]

    ups = await Upstreams.start(*where, target(STARTED), tmp=tmp_path / "u2", tape=tape, latency="fixed")
    try:
        shuffled = ["two", "four", "one", "three", "one"]
        assert await round_of(ups, shuffled) == [(201, 2), (201, 6), (201, 1), (201, 5), (201, 3)]
        assert {call.tape for call in ups.calls} == {"played"}
        assert not (tmp_path / "u2" / "upstream-crm.log").exists()  # it was not even started
        assert await round_of(ups, ["something else"]) == [(201, 1)]
        assert ups.calls[-1].tape == "missed"
        assert ups.ports == tape.ports
    finally:
        await ups.stop()


async def test_calls_fail_on_demand_at_one_point_alone(where: Place, tmp_path: Path) -> None:
    routes = [{"path": "/a/{id}"}, {"path": "/b"}, {"method": "POST", "path": "/a/{id}"}]
    ups = await Upstreams.start(
        *where, target({"name": "shop", "env": "SHOP_URL", "routes": routes}), tmp=tmp_path / "u"
    )
    try:
        async with aiohttp.ClientSession() as client:

            async def statuses() -> list[int]:
                asked = [("GET", "/a/77"), ("GET", "/b"), ("POST", "/a/77")]
                return [(await client.request(m, ups.env["SHOP_URL"] + path)).status for m, path in asked]

            ups.fail(FaultPoint("shop", "GET", "/a/*"), 503)
            assert await statuses() == [503, 200, 200]
            ups.fail(None)
            assert await statuses() == [200, 200, 200]
    finally:
        await ups.stop()


async def test_quiet_waits_for_calls_that_began_after_the_answer(where: Place, tmp_path: Path) -> None:
    slow = {"name": "slow", "env": "SLOW_URL", "routes": [{"path": "/", "latency_ms": 250}]}
    ups = await Upstreams.start(*where, target(slow), tmp=tmp_path / "u")
    try:
        async with aiohttp.ClientSession() as client:

            async def later() -> None:
                await asyncio.sleep(0.01)
                await (await client.get(ups.env["SLOW_URL"])).read()

            task = asyncio.create_task(later())
            started = time.monotonic()
            assert await ups.quiet()
            assert time.monotonic() - started >= 0.28
            assert len(ups.calls) == 1
            await task
            again = asyncio.create_task(later())
            await asyncio.sleep(0.05)
            assert not await ups.quiet(limit_s=0.1)
            await again
    finally:
        await ups.stop()


async def test_quiet_takes_a_pause_between_two_calls_for_no_end(where: Place, tmp_path: Path) -> None:
    slow = {"name": "slow", "env": "SLOW_URL", "routes": [{"path": "/", "latency_ms": 100}]}
    ups = await Upstreams.start(*where, target(slow), tmp=tmp_path / "u")
    try:
        async with aiohttp.ClientSession() as client:

            async def one_after_another() -> None:
                for _ in range(3):
                    await (await client.get(ups.env["SLOW_URL"])).read()
                    await asyncio.sleep(0.03)

            task = asyncio.create_task(one_after_another())
            assert await ups.quiet()
            assert len(ups.calls) == 3
            await task
    finally:
        await ups.stop()


async def test_a_program_that_does_not_come_up_is_an_error_with_its_reason(where: Place, tmp_path: Path) -> None:
    broken = {**STARTED, "start": "python -c 'import no_such_thing' {port}"}
    with pytest.raises(TargetError, match=r"upstream 'crm' did not start.*no_such_thing"):
        await Upstreams.start(*where, target(PLAYED, broken), tmp=tmp_path / "u")


async def test_a_program_that_does_not_speak_http_just_runs(where: Place, tmp_path: Path) -> None:
    cache = {"name": "cache", "env": "CACHE_URL", "url": "redis://127.0.0.1:{port}/0",
             "start": "python emulator.py {port}"}  # fmt: skip
    ups = await Upstreams.start(*where, target(cache), tmp=tmp_path / "u")
    try:
        port = int(ups.env["CACHE_URL"].removeprefix("redis://127.0.0.1:").removesuffix("/0"))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        assert "cache" not in ups.names
    finally:
        await ups.stop()


@pytest.mark.alone
async def test_the_record_costs_little_at_200_calls_a_second(where: Place, tmp_path: Path) -> None:
    """Overhead over the declared latency; the median, since this machine is shared."""
    ups = await Upstreams.start(*where, target(PLAYED), tmp=tmp_path / "u")
    try:
        async with aiohttp.ClientSession() as client:

            async def once(delay_s: float) -> None:
                await asyncio.sleep(delay_s)
                async with client.get(ups.env["SHOP_URL"] + "/a/5") as answer:
                    await answer.read()

            await asyncio.gather(*(once(number / 200) for number in range(200)))
        spent_ms = sorted((call.end_s - call.start_s) * 1000 for call in ups.calls)
        assert len(spent_ms) == 200
        assert spent_ms[100] - 5 < 3
    finally:
        await ups.stop()


async def test_a_connection_to_the_proxy_is_one_to_the_program(where: Place, tmp_path: Path) -> None:
    (where[1].path / "emulator.py").write_text(CONNECTIONS, encoding="utf-8")
    ups = await Upstreams.start(*where, target(STARTED), tmp=tmp_path / "u")
    url = ups.env["CRM_URL"] + "/x"

    async def seen(client: aiohttp.ClientSession, path: str = "") -> tuple[str, int]:
        async with client.get(url + path) as answer:
            told = json.loads(await answer.read())
            return told["peer"], told["open"]

    try:
        async with aiohttp.ClientSession() as kept:
            first = await seen(kept)
            assert [await seen(kept) for _ in range(3)] == [first] * 3
            async with aiohttp.ClientSession() as other:
                assert (await seen(other))[0] != first[0]
            for _ in range(50):  # the other's end is passed on, the kept one stays
                if await seen(kept) == first:
                    break
                await asyncio.sleep(0.02)
            assert await seen(kept) == first
            assert (await seen(kept, "?close"))[0] == first[0]
            assert (await seen(kept))[0] != first[0]  # the program closed it, and so was the target's own
    finally:
        await ups.stop()


# tells each answer by which connection it goes, and how many are open
CONNECTIONS = """
import http.server, json, sys
living = set()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def setup(self):
        super().setup()
        living.add(self.client_address)
    def finish(self):
        living.discard(self.client_address)
        super().finish()
    def do_GET(self):
        body = json.dumps({"peer": str(self.client_address), "open": len(living)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.path.endswith("?close"):
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

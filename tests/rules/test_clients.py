"""HTTP clients that calls share: closed with their loop, and none where the target's tests replace them."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from swarm.rules.scan import scan
from tests.intake.strangers import index_of
from tests.rules.mending import loaded, mend, write

_SHOP = """
    import httpx
    import requests
    from fastapi import FastAPI

    app = FastAPI()


    @app.post("/hook")
    def hook(event: dict):
        return requests.get("https://api.shop.example/orders/" + event["number"], timeout=5).json()
    """


@pytest.mark.parametrize(
    ("test", "mendable"),
    [
        ("@patch('desk.shop.requests.get')\ndef test(get): ...\n", False),
        ("def test(mocker):\n    mocker.patch('requests.get')\n", False),
        (
            "def test(monkeypatch):\n    monkeypatch.setattr(requests, 'get', print)  # not unittest.mock.patch\n",
            False,
        ),
        ("@patch('desk.other.requests.get')\ndef test(get): ...\n", True),
        ("@patch('desk.shop.requests.post')\ndef test(post): ...\n", True),
        ("import responses\n\n\n@responses.activate\ndef test(): ...\n", True),
    ],
)
def test_client_that_tests_replace_stays_as_it_is(tmp_path: Path, test: str, mendable: bool) -> None:
    files = {"desk/__init__.py": "", "desk/shop.py": _SHOP, "tests/test_shop.py": test}
    (finding,) = (one for one in scan(index_of(tmp_path, files)) if one.rule == "client-per-call")
    assert finding.mendable is mendable
    assert ("double" in finding.recommendation) is not mendable


_ASYNC = """
import {library}
from fastapi import FastAPI

app = FastAPI()
address = ""


@app.post("/hook")
async def hook():
    async with {client}() as client:
        await client.get(address)
    return {{}}
"""


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Good answers over one connection until the client closes it."""
    with suppress(asyncio.IncompleteReadError, asyncio.CancelledError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(("library", "client", "closed"), [
    ("httpx", "httpx.AsyncClient", "is_closed"), ("aiohttp", "aiohttp.ClientSession", "closed"),
])  # fmt: skip
def test_a_shared_client_is_closed_with_its_event_loop(
    tmp_path: Path, library: str, client: str, closed: str, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip(library)
    write(tmp_path, {"desk.py": _ASYNC.format(library=library, client=client)})
    mend(tmp_path, "client-per-call")

    async def serve_two(desk: Any) -> list[Any]:
        server = await asyncio.start_server(_answer, "127.0.0.1", 0)
        desk.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        used = []
        for _ in range(2):
            await desk.hook()
            used.append(desk._http_client())
        server.close()
        return used

    with loaded(tmp_path, "desk") as desk:
        (one, same), (other, same_as_other) = asyncio.run(serve_two(desk)), asyncio.run(serve_two(desk))
        assert one is same and other is same_as_other and one is not other, "one for each loop"
        assert getattr(one, closed) and getattr(other, closed)
        assert not desk._http_clients, "nothing is left of a loop that has ended"
        del one, same, other, same_as_other
        gc.collect()
    assert not [record for record in caplog.records if "Unclosed" in record.getMessage()]

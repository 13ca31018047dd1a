"""The lean HTTP client: every way in which a body ends, kept connections, and answers that never come whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from swarm.target.wire import Client, WireError

ANSWERS = {
    "/length": b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello",
    "/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=1\r\nlo\r\n0\r\n\r\n",
    "/until-end": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "/nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/continue": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
    "/error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno",
    "/garbage": b"220 smtp ready\r\n\r\n",
}


class Peer:
    """A server that plays back bytes in small pieces."""

    def __init__(self) -> None:
        self.connections = 0
        self.heads: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                path = head.split(b" ")[1].decode()
                if path == "/silent":
                    await asyncio.sleep(5)
                answer = ANSWERS[path]
                for at in range(0, len(answer), 7):
                    writer.write(answer[at : at + 7])
                    await writer.drain()
                    await asyncio.sleep(0)
                if path in ("/until-end", "/cut", "/garbage"):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    own = Peer()
    server = await asyncio.start_server(own.serve, "127.0.0.1", 0)
    own.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield own
    server.close()


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [("/length", 201, b"hello"), ("/chunks", 200, b"hello"), ("/until-end", 200, b"hello"), ("/nothing", 204, b""),
     ("/continue", 200, b"ok")],
)  # fmt: skip
async def test_answers_are_read_whole(peer: Peer, path: str, status: int, body: bytes) -> None:
    client = Client(peer.url)
    answer = await client.send("GET", client.encode("GET", path, {}, b""))
    assert (answer.status, answer.body) == (status, body)
    client.close()


async def test_connections_are_kept_and_grow_with_need(peer: Peer) -> None:
    client = Client(peer.url)
    message = client.encode("GET", "/length", {"Connection": "x", "X-Own": "1"}, b"")
    for _ in range(5):
        await client.send("GET", message)
    assert peer.connections == 1
    assert b"X-Own: 1" in peer.heads[0] and b"Connection" not in peer.heads[0]
    await asyncio.gather(*(client.send("GET", message) for _ in range(4)))
    assert 2 <= peer.connections <= 4
    client.close()


async def test_a_connection_is_not_used_again_after_a_servers_error(peer: Peer) -> None:
    # uvicorn closes it without a word, and the next request would die with it
    client = Client(peer.url)
    for _ in range(2):
        await client.send("GET", client.encode("GET", "/error", {}, b""))
    assert peer.connections == 2
    client.close()


@pytest.mark.parametrize(
    ("path", "reason"), [("/cut", "closed before"), ("/garbage", "not HTTP"), ("/silent", "no answer within")]
)
async def test_what_is_no_answer_is_an_error(peer: Peer, path: str, reason: str) -> None:
    client = Client(peer.url)
    with pytest.raises(WireError, match=reason):
        await client.send("GET", client.encode("GET", path, {}, b""), timeout_s=0.3)


async def test_nobody_there_is_an_error() -> None:
    client = Client("http://127.0.0.1:9")
    with pytest.raises(WireError, match="cannot connect"):
        await client.send("GET", client.encode("GET", "/", {}, b""))

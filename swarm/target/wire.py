"""A lean HTTP/1.1 client on raw asyncio protocols: neither load nor proxy may eat the CPU that is measured.

Only what these need: one request at a time on a connection, keep-alive, bodies by length, by chunks or until
the end. httpx costs 2.4 to 3.1 ms of CPU a request, this some 0.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

IDLE_S = 2.0  # servers close idle connections (uvicorn after 5 s): don't be caught on one that is just closing
MAX_CONNECTIONS = 512


class WireError(Exception):
    """No usable answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `closes` says that its connection takes no further request."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False


class _Connection(asyncio.Protocol):
    """One connection that carries one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.idle_since_s = 0.0
        self.reusable = True
        self._waiter: asyncio.Future[Answer] | None = None
        self._buffer = bytearray()
        self._method = "GET"
        self._head: tuple[int, int | None, bool] | None = None  # status, length, chunked
        self._headers: tuple[tuple[str, str], ...] = ()
        self._body_at = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, method: str, message: bytes) -> asyncio.Future[Answer]:
        assert self.transport is not None
        self._method, self._head = method, None
        self._buffer.clear()
        self._waiter = asyncio.get_running_loop().create_future()
        self.transport.write(message)
        return self._waiter

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._waiter is None or self._waiter.done():
            self.close()
            return
        try:
            body = self._parse()
        except (ValueError, IndexError) as error:
            self._fail(f"not HTTP: {error}")
            return
        if body is not None:
            self._finish(body)

    def _parse(self) -> bytes | None:
        if self._head is None and not self._parse_head():
            return None
        assert self._head is not None
        status, length, chunked = self._head
        if self._method == "HEAD" or status in (204, 304):
            return b""
        if chunked:
            return _chunks(self._buffer, self._body_at)
        if length is None:
            return None
        end = self._body_at + length
        return bytes(self._buffer[self._body_at : end]) if len(self._buffer) >= end else None

    def _parse_head(self) -> bool:
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            version, code, *_ = lines[0].split(" ", 2)
            if not version.startswith("HTTP/1."):
                raise ValueError(lines[0][:40])
            if int(code) >= 200:
                break
            del self._buffer[: end + 4]  # 100 Continue and its like come before the answer
        fields = [x.partition(":") for x in lines[1:]]
        self._headers = tuple((name.strip(), value.strip()) for name, _, value in fields)
        headers = {name.lower(): value for name, value in self._headers}
        connection = headers.get("connection", "").lower()
        length = int(headers["content-length"]) if "content-length" in headers else None
        chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        if version == "HTTP/1.0":
            self.reusable = "keep-alive" in connection
        elif "close" in connection:
            self.reusable = False
        self._head, self._body_at = (int(code), length, chunked), end + 4
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if self._waiter is None or self._waiter.done():
            return
        head = self._head
        if head is not None and head[1] is None and not head[2] and exc is None:
            self._finish(bytes(self._buffer[self._body_at :]))
        else:
            self._fail("connection closed before the answer was complete")

    def _finish(self, body: bytes) -> None:
        assert self._waiter is not None and self._head is not None
        if self._head[1] is None and not self._head[2] and body:
            self.reusable = False
        self._waiter.set_result(Answer(self._head[0], body, self._headers, not self.reusable))

    def _fail(self, reason: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(WireError(reason))
        self.close()

    @property
    def silent(self) -> bool:
        """Whether nothing came back for the last request."""
        return self._head is None and not self._buffer

    def close(self) -> None:
        self.reusable = False
        if self.transport is not None:
            self.transport.abort()


class Line:
    """One connection that is kept: opened when first used, and anew where the other side has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._connection: _Connection | None = None
        self._turn = asyncio.Lock()
        self._given_up = False

    async def ask(self, method: str, message: bytes, timeout_s: float) -> Answer:
        """Send an encoded request. Raises WireError where no complete answer comes in time."""
        try:
            async with self._turn, asyncio.timeout(timeout_s):
                return await self._ask(method, message)
        except TimeoutError:
            self._drop()
            raise WireError(f"no answer within {timeout_s:g} s") from None
        except OSError as error:
            raise WireError(f"cannot connect: {error.strerror or error}") from None
        finally:
            if self._given_up and not self._turn.locked():
                self._drop()

    async def _ask(self, method: str, message: bytes) -> Answer:
        kept = self._connection
        if kept is not None and kept.reusable:
            try:
                return await kept.ask(method, message)
            except WireError:
                if not kept.silent:
                    raise
                # it was closed for its age just as we wrote: nobody has read the request
        _, opened = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        self._connection = opened
        return await opened.ask(method, message)

    def give_up(self) -> None:
        """Close it, after the answer that is under way."""
        self._given_up = True
        if not self._turn.locked():
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _chunks(buffer: bytearray, at: int) -> bytes | None:
    """The body of complete chunks from `at` on, or None while some are still to come."""
    body = bytearray()
    while True:
        line_end = buffer.find(b"\r\n", at)
        if line_end < 0:
            return None
        size = int(bytes(buffer[at:line_end]).split(b";")[0], 16)
        start = line_end + 2
        if size == 0:
            return bytes(body) if buffer.find(b"\r\n", start) >= 0 else None
        if len(buffer) < start + size + 2:
            return None
        body += buffer[start : start + size]
        at = start + size + 2


class Client:
    """A pool of connections to one base URL that grows as needed, up to MAX_CONNECTIONS."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"load is sent over http:// to a loopback server, not to {base_url!r}")
        self._authority = parts.netloc.rpartition("@")[2]
        self._host, self._port = parts.hostname, parts.port or 80
        self._prefix = parts.path.rstrip("/")
        self._idle: list[_Connection] = []
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)

    def encode(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The bytes of a request, ready to send."""
        host = next((value for name, value in headers.items() if name.lower() == "host"), self._authority)
        lines = [f"{method} {self._prefix}{path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in _OWN_HEADERS]
        if body or method not in ("GET", "HEAD", "DELETE", "OPTIONS"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body

    async def send(self, method: str, message: bytes, timeout_s: float = 10.0) -> Answer:
        """Send an encoded request. Raises WireError where no complete answer comes in time."""
        try:
            async with asyncio.timeout(timeout_s):
                async with self._free:
                    return await self._on_a_connection(method, message)
        except TimeoutError:
            raise WireError(f"no answer within {timeout_s:g} s") from None
        except OSError as error:
            raise WireError(f"cannot connect: {error.strerror or error}") from None

    async def _on_a_connection(self, method: str, message: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        connection = self._reuse(loop.time())
        if connection is None:
            _, connection = await loop.create_connection(_Connection, self._host, self._port)
        try:
            answer = await connection.ask(method, message)
        except BaseException:
            connection.close()
            raise
        # servers may close without a word after an error of theirs: the next request would die with the connection
        if connection.reusable and answer.status < 500:
            connection.idle_since_s = loop.time()
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _reuse(self, now_s: float) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()  # the latest first, so that a few connections stay warm
            if connection.reusable and now_s - connection.idle_since_s < IDLE_S:
                return connection
            connection.close()
        return None

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


_OWN_HEADERS = ("host", "content-length", "connection", "transfer-encoding")

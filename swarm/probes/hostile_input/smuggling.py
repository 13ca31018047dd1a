"""W24: no smuggled request is answered, and slow senders hold nobody up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from urllib.parse import urlsplit

from swarm.probes.probe import Probe, ProbeContext, ProbeResult

_SLOW_SENDERS = 50
_HEALTH_S = 1.0
_ANSWER_S = 2.0


class Smuggling(Probe):
    """Sends a request with a length and chunks as well, which two servers in a row may read differently, and a
    request inside of it; then asks for health while fifty senders have begun a body and do not go on.

    Whether such senders are cut off in the end is not waited for.
    """

    id = "W24"
    title = "Requests can be smuggled, or slow senders hold others up"
    severity = "medium"
    cwe = ("CWE-444", "CWE-400")
    sources = ("OWASP ASVS 5.0 4.2.1", "OWASP API4:2023")
    proves = ("two-body-lengths",)
    recommendation = (
        "Refuse requests with both Content-Length and Transfer-Encoding; run a server that bounds slow ones."
    )
    order = 61

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One connection, then fifty that are cut after a second at most."""
        address = urlsplit(context.base_url)
        host, port = address.hostname or "127.0.0.1", address.port or 80
        path, kind = context.webhooks()[0].path, context.webhooks()[0].content_type
        said = await _smuggle(host, port, path)
        if said.count(b"HTTP/1.") > 1 and b"400" not in said.split(b"\r\n", 1)[0]:
            return self.failed("a request inside of another with two lengths was answered as well")
        slow = await asyncio.gather(*(_begin(host, port, path, kind) for _ in range(_SLOW_SENDERS)))
        try:
            began_s = time.monotonic()
            answer = await context.call("GET", context.target.health or "/", timeout_s=_HEALTH_S * 3)
            took_s = time.monotonic() - began_s
        finally:
            for writer in slow:
                if writer is not None:
                    writer.close()
        if answer.broken or took_s > _HEALTH_S:
            return self.failed(f"with {_SLOW_SENDERS} slow senders health takes {took_s:.1f} s")
        return self.passed(
            f"two lengths give one answer at most; health in {took_s * 1000:.0f} ms beside slow senders"
        )


async def _smuggle(host: str, port: int, path: str) -> bytes:
    inner = f"GET {path}-inner HTTP/1.1\r\nHost: {host}\r\n\r\n"
    outer = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(inner) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
    )
    said = b""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(outer.encode())
            while data := await reader.read(65_536):
                said += data
                if said.count(b"HTTP/1.") > 1:
                    break
    except (OSError, TimeoutError):
        pass
    finally:
        if writer is not None:
            writer.close()
    return said


async def _begin(host: str, port: int, path: str, kind: str) -> asyncio.StreamWriter | None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            _, writer = await asyncio.open_connection(host, port)
        # of the kind that the service reads: a body of no kind is refused unread, and holds nobody up
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: 10000"
        writer.write(f"{head}\r\n\r\n{{".encode())
        return writer
    return None

"""W20: the service fetches no address that a sender names."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from swarm.probes.payloads import changed, extended, name_of, read, strings, write
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.probes.traces import settled

_NAMES = ("url", "uri", "link", "href", "callback", "image", "avatar", "photo", "picture", "attachment", "website",
          "redirect", "feed")  # fmt: skip
_HOSTS = ("127.0.0.1", "localhost", "2130706433")
_MOST_KINDS = 4
_MORE = ("url", "callback_url", "callbackUrl", "image_url", "avatarUrl", "attachments", "website", "redirect_uri")


class FetchedAddress(Probe):
    """Puts the address of a listener on loopback into every field that holds or may hold one, written as a name, as a
    number and as IPv6, and waits for a connection.
    """

    id = "W20"
    title = "The service calls an address that a sender chose"
    severity = "critical"
    cwe = ("CWE-918",)
    sources = ("OWASP API7:2023", "OWASP ASVS 5.0 13.2.5, 15.3.2")
    recommendation = "Fetch from a list of hosts only, and check the address that a name resolves to."
    order = 65
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Three requests for each kind of event of a webhook."""
        hits: list[str] = []

        async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                hits.append((await asyncio.wait_for(reader.readline(), 1.0)).decode("latin-1").strip())
            except (TimeoutError, OSError, ValueError):
                hits.append("a connection")
            finally:
                writer.close()

        listener = await asyncio.start_server(taken, "127.0.0.1", 0)
        port = int(listener.sockets[0].getsockname()[1])
        taken_in = 0
        try:
            for webhook in context.webhooks():
                requests = []
                for host, request in ((h, r) for h in _HOSTS for r in context.of_each_kind(webhook, _MOST_KINDS)):
                    payload = read(request.body)
                    if isinstance(payload, dict):
                        address = f"http://{host}:{port}/{uuid.uuid4().hex[:8]}"
                        requests.append(context.with_body(webhook, request, write(_with_address(payload, address))))
                answers = await asyncio.gather(*(context.send(request) for request in requests))
                taken_in += sum(answer.ok for answer in answers)
                await settled(context)
                if hits:
                    return self.failed(f"it called the address in a payload: {hits[0][:60]}", route_of(webhook))
        finally:
            listener.close()
        if not taken_in:
            return self.skipped("no payload with addresses in it was taken")
        return self.passed(f"{taken_in} payloads with addresses taken, none of them called")


def _with_address(payload: dict[str, Any], address: str) -> dict[str, Any]:
    """The address in every field that holds one or is named so, and in some fields more."""
    names = {name_of(at) for at, value in strings(payload) if any(word in name_of(at) for word in _NAMES)}

    def takes(at: tuple[str | int, ...], value: str) -> bool:
        return value.startswith(("http://", "https://")) or name_of(at) in names

    filled: dict[str, Any] = changed(payload, takes, lambda value: address)
    return extended(filled, {name: address for name in _MORE if name not in filled})

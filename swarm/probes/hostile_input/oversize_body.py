"""W09: a body far too large is refused before it is worked on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of

_SIZE_BYTES = 10 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_REFUSED_EARLY = (0, 413, 429)  # 429: one refusal too many of this session
# What a server may say to chunks that it does not take at all.
_REFUSED_CHUNKS = (0, 400, 401, 403, 411, 413, 429, 501)


class OversizeBody(Probe):
    """Sends a correctly signed payload that 10 MB of white space make large: once with its length, once in chunks.

    White space keeps it valid JSON, so any answer but 413 (or a closed connection) means that all of it was read.
    """

    id = "W09"
    title = "A 10 MB body is read and worked on"
    severity = "high"
    cwe = ("CWE-770", "CWE-400")
    sources = ("OWASP API4:2023", "OWASP ASVS 5.0 5.2.1")
    proves = ("body-size-limit",)
    recommendation = "Refuse bodies over a limit (1 MB is plenty for a webhook) with 413 before reading them."
    order = 60

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two requests for the first webhook."""
        webhook = context.webhooks()[0]
        request = context.fresh(webhook)
        body = request.body[:1] + b" " * _SIZE_BYTES + request.body[1:]
        headers = dict(request.headers)
        if webhook.sign.scheme != "none":
            headers = dict(context.with_headers(request, context.signature(webhook, body)).headers)
        whole = await context.call(webhook.method, request.path, headers=headers, content=body)
        if whole.status not in _REFUSED_EARLY:
            return self.failed(f"answered {whole.status} to 10 MB in {whole.duration_s:.1f} s", route_of(webhook))
        chunked = await context.call(webhook.method, request.path, headers=headers, content=_chunks(body))
        if chunked.status not in _REFUSED_CHUNKS:
            return self.failed(f"answered {chunked.status} to 10 MB sent in chunks", route_of(webhook))
        return self.passed(f"refused with {whole.status or 'a closed connection'}", route_of(webhook))


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _CHUNK_BYTES):
        yield body[start : start + _CHUNK_BYTES]

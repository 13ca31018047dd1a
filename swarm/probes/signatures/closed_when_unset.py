"""W05: without its secret the service is closed, not open."""

from __future__ import annotations

import httpx

from swarm.core.errors import TargetError
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of


class ClosedWhenUnset(Probe):
    """Starts the service once more with the variables of its signing secrets empty, and sends a request without a
    signature and one signed with the empty key: it must not have started, or refuse both.
    """

    id = "W05"
    title = "Without its secret the service takes everything"
    severity = "critical"
    cwe = ("CWE-636", "CWE-1188")
    sources = ("OWASP ASVS 5.0 16.5.3",)
    proves = ("skipped-signature-check", "empty-signing-key")
    recommendation = "Refuse to start, or every request, where the secret is not set or empty."
    order = 66
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One start and two requests a webhook."""
        webhooks = [w for w in context.signed_webhooks() if w.sign.secret_env]
        if not webhooks:
            return self.skipped("no webhook is declared as signed with a secret from the environment")
        if context.start_again is None:
            return self.skipped("the service cannot be started a second time here")
        try:
            async with (
                context.start_again({w.sign.secret_env: "" for w in webhooks}) as server,
                httpx.AsyncClient(trust_env=False, timeout=8) as client,
            ):
                for webhook in webhooks:
                    request = context.fresh(webhook)
                    tries = {"an unsigned request": context.unsigned(webhook, request).headers}
                    if webhook.sign.scheme in ("hmac-sha256", "hmac-sha1", "hmac-sha512", "github", "stripe"):
                        forged = context.signature(webhook, request.body, secret="")
                        tries["a request signed with the empty key"] = context.with_headers(request, forged).headers
                    url = server.base_url.rstrip("/") + request.path
                    for name, headers in tries.items():
                        answer = await client.request(request.method, url, headers=headers, content=request.body)
                        if answer.is_success:
                            is_empty = "empty key" in name
                            return self.failed(
                                f"answered {answer.status_code} to {name}",
                                route_of(webhook),
                                rule="empty-signing-key" if is_empty else "skipped-signature-check",
                            )
        except TargetError:
            return self.passed("does not start without its secret")
        except httpx.HTTPError as error:
            return self.skipped(f"the second start gave no answer: {type(error).__name__}")
        return self.passed("starts, and refuses unsigned requests and those signed with the empty key")

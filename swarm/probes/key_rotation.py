"""W27: while keys are changed, the old one and the new one are both good; afterwards the old one is not."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

from swarm.config.schema import Webhook
from swarm.core.errors import SwarmError
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.target.traffic import WebhookRequest

_HMAC = ("hmac-sha256", "hmac-sha1", "github", "stripe", "standard-webhooks")


class KeyRotation(Probe):
    """Starts the service a second time with another key as `<SECRET>_PREVIOUS`, and signs with it; the service that
    knows no such key must refuse it.

    A key that can be changed only at one moment on both sides is not changed.
    """

    id = "W27"
    title = "Keys cannot be changed without a gap"
    severity = "medium"
    cwe = ("CWE-324",)
    sources = ("Standard Webhooks: zero downtime secret rotation",)
    proves = ("single-signing-key",)
    recommendation = "Accept what either of two keys signed while the second one is set."
    order = 85

    async def run(self, context: ProbeContext) -> ProbeResult:
        """A second start, and three requests for the first webhook that is signed with a shared key."""
        webhook = next((hook for hook in context.signed_webhooks() if hook.sign.scheme in _HMAC), None)
        if webhook is None:
            return self.skipped("no webhook is signed with a shared key")
        old = _other_key(webhook, context.target.env.get(webhook.sign.secret_env, ""))
        afterwards = await context.send(_signed(context, webhook, old))
        if afterwards.ok:
            return self.failed("a key that is not set is good", route_of(webhook), severity="critical")
        if context.start_again is None:
            return self.skipped("the service cannot be started a second time here")
        try:
            async with context.start_again({f"{webhook.sign.secret_env}_PREVIOUS": old}) as server:
                beside = replace(context, base_url=server.base_url, server=server)
                current = await beside.send(context.fresh(webhook))
                previous = await beside.send(_signed(context, webhook, old))
        except SwarmError as error:
            return self.skipped(f"a second start failed: {str(error).splitlines()[0]}")
        if not current.ok:
            return self.skipped(f"the second start answered {current.status} to the current key")
        if not previous.ok:
            seen = f"answered {previous.status} to the key in {webhook.sign.secret_env}_PREVIOUS"
            return self.failed(seen, route_of(webhook))
        return self.passed("both keys are good while both are set, and the old one is not afterwards")


def _signed(context: ProbeContext, webhook: Webhook, secret: str) -> WebhookRequest:
    request = context.fresh(webhook)
    return context.with_headers(request, context.signature(webhook, request.body, secret=secret))


def _other_key(webhook: Webhook, secret: str) -> str:
    """A key of the same form that nobody knows."""
    digest = hashlib.sha256(f"previous {secret}".encode()).digest()
    if webhook.sign.scheme == "standard-webhooks":
        return "whsec_" + base64.b64encode(digest[:24]).decode()
    return digest.hex()

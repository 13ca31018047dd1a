"""W27: while keys are changed, the old one and the new one are both good; afterwards the old one is not."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

from swarm.config.schema import Webhook
from swarm.core.errors import SwarmError
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.target.traffic import WebhookRequest

_HMAC = ("hmac-sha256", "hmac-sha1", "hmac-sha512", "github", "stripe", "standard-webhooks")


class KeyRotation(Probe):
    """Starts the service a second time with another key as `<SECRET>_PREVIOUS`, and where it does not know that with
    both in `<SECRET>`, a comma between them, and signs with it; who knows no such key must refuse it.

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
        name = webhook.sign.secret_env
        secret = context.target.env.get(name, "")
        old = _other_key(webhook, secret)
        afterwards = await context.send(_signed(context, webhook, old))
        if afterwards.ok:
            return self.failed("a key that is not set is good", route_of(webhook), severity="critical")
        if context.start_again is None:
            return self.skipped("the service cannot be started a second time here")
        statuses: list[str] = []
        for env in ({f"{name}_PREVIOUS": old}, {name: f"{secret},{old}"}):
            try:
                async with context.start_again(env) as server:
                    beside = replace(context, base_url=server.base_url, server=server)
                    current = await beside.send(context.fresh(webhook))
                    previous = await beside.send(_signed(context, webhook, old))
            except SwarmError as error:
                if not statuses:
                    return self.skipped(f"a second start failed: {str(error).splitlines()[0]}")
                break
            if current.ok and previous.ok:
                return self.passed("both keys are good while both are set, and the old one is not afterwards")
            if not current.ok and not statuses:
                return self.skipped(f"the second start answered {current.status} to the current key")
            statuses.append(str(previous.status))
        seen = f"answered {statuses[0]} to the key in {name}_PREVIOUS, and took no two keys in {name}"
        return self.failed(seen, route_of(webhook))


def _signed(context: ProbeContext, webhook: Webhook, secret: str) -> WebhookRequest:
    request = context.fresh(webhook)
    return context.with_headers(request, context.signature(webhook, request.body, secret=secret))


def _other_key(webhook: Webhook, secret: str) -> str:
    """A key of the same form that nobody knows."""
    digest = hashlib.sha256(f"previous {secret}".encode()).digest()
    if webhook.sign.scheme == "standard-webhooks":
        return "whsec_" + base64.b64encode(digest[:24]).decode()
    return digest.hex()

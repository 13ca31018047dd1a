"""W04: one way of signing cannot stand in for another."""

from __future__ import annotations

import asyncio
import hashlib
import hmac

from swarm.config.schema import Webhook
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.target.traffic import WebhookRequest


class SchemeConfusion(Probe):
    """Sends what careless checks take for a signature: the secret itself, a digest without the secret or by a weaker
    function, a digest keyed by nothing, and the right signature in a header of another name.
    """

    id = "W04"
    title = "Something else than the signature is taken for it"
    severity = "critical"
    cwe = ("CWE-347", "CWE-327")
    sources = ("OWASP ASVS 5.0 4.1.5",)
    recommendation = "Accept one scheme in one header, and nothing in its place."
    order = 12

    async def run(self, context: ProbeContext) -> ProbeResult:
        """At most eight requests a webhook, together."""
        if not context.signed_webhooks():
            return self.skipped("no webhook is declared as signed")
        refused = 0
        for webhook in context.signed_webhooks():
            variants = _variants(context, webhook)
            answers = await asyncio.gather(*(context.send(request) for request in variants.values()))
            for name, answer in zip(variants, answers, strict=True):
                context.judged(answer, good=False)
                if answer.ok:  # a check that breaks lets nobody in
                    return self.failed(f"answered {answer.status or answer.text} to {name}", route_of(webhook))
            refused += len(variants)
        return self.passed(f"{refused} stand-ins refused")


def _variants(context: ProbeContext, webhook: Webhook) -> dict[str, WebhookRequest]:
    request = context.fresh(webhook)
    body = request.body
    right = context.signature(webhook, body)
    name = next((key for key in right if key.lower() == webhook.sign.header.lower()), next(iter(right)))
    secret = context.target.env.get(webhook.sign.secret_env, "")
    marks = {
        "a plain SHA-256 of the body": hashlib.sha256(body).hexdigest(),
        "an HMAC without a key": hmac.new(b"", body, hashlib.sha256).hexdigest(),
        "the word none": "none",
    }
    if secret:
        marks["the secret itself"] = secret
        if webhook.sign.scheme != "hmac-sha1":
            marks["an HMAC-SHA1"] = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
        marks["an HMAC-MD5"] = hmac.new(secret.encode(), body, hashlib.md5).hexdigest()
        if webhook.sign.scheme == "ed25519":
            marks["an HMAC keyed by what is no shared secret"] = hmac.new(secret.encode(), body, "sha256").hexdigest()
    variants = {
        what: context.with_headers(request, {**right, name: mark})
        for what, mark in marks.items()
        if mark != right[name]
    }
    bare = context.unsigned(webhook, request)
    variants["the right signature in the header X-WH-Signature alone"] = context.with_headers(
        bare, {"X-WH-Signature" if name.lower() != "x-wh-signature" else "X-Signature-Old": right[name]}
    )
    return variants

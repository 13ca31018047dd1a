"""W02: a false signature is refused, in every usual way of being false."""

from __future__ import annotations

import asyncio

from swarm.config.schema import Webhook
from swarm.core.findings import Severity
from swarm.probes.effects import over, writes_seen
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.target.traffic import WebhookRequest


class WrongSignature(Probe):
    """Sends good requests with signatures that are empty, noise, of another key, of another body, cut short, not
    ASCII, or there twice.

    A signature that is no ASCII makes `hmac.compare_digest` raise on text: the service must refuse, not fail.
    """

    id = "W02"
    title = "Wrong signatures are taken, or break the service"
    severity = "critical"
    cwe = ("CWE-347",)
    sources = ("Standard Webhooks: verifying", "docs.github.com: Validating webhook deliveries")
    recommendation = (
        "Compute the signature over the raw body and compare with hmac.compare_digest on bytes; answer 401."
    )
    order = 11

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Nine variants a webhook, most of them sent together."""
        if not context.signed_webhooks():
            return self.skipped("no webhook is declared as signed")
        refused = 0
        for webhook in context.signed_webhooks():
            before = writes_seen(context)
            variants = self._variants(context, webhook)
            answers = await asyncio.gather(*(context.send(request) for request in variants.values()))
            named = list(zip(variants, answers, strict=True))
            for answer in answers:
                context.judged(answer, good=False)
            for name, answer in named:
                if answer.ok:
                    return self.failed(f"answered {answer.status or answer.text} to {name}", route_of(webhook))
            if writes_seen(context) > before:
                return self.failed("refused, but upstream writes followed", route_of(webhook))
            for name, answer in named:
                if answer.broken:
                    seen = f"answered {answer.status or answer.text} to {name}"
                    rule = "text-signature-compare" if "ASCII" in name else ""
                    return self.failed(seen, route_of(webhook), severity="medium", rule=rule)
            refused += len(named)
            problem = await self._sent_twice(context, webhook)
            if problem:
                return self.failed(problem[0], route_of(webhook), severity=problem[1])
            refused += 1
        return self.passed(f"{refused} wrongly signed requests refused")

    async def _sent_twice(self, context: ProbeContext, webhook: Webhook) -> tuple[str, Severity] | None:
        """Two wrong signatures in two headers must be refused; a right one beside a wrong one must break nothing."""
        request = context.fresh(webhook)
        right = context.signature(webhook, request.body)
        name = next((key for key in right if key.lower() == webhook.sign.header.lower()), next(iter(right)))
        others = [(key, value) for key, value in request.headers.items() if key.lower() != name.lower()]
        for values in ((right[name][:-4], "0" * 64), (right[name], "0" * 64)):
            answer = await context.call(
                request.method, request.path, headers=[*others, *((name, one) for one in values)],
                content=request.body,
            )  # fmt: skip
            if answer.ok and right[name] not in values:
                return f"answered {answer.status} to two wrong signatures", "critical"
            if answer.ok:
                await over(context, request)  # its work is no effect of what comes next
            if answer.broken:
                return f"answered {answer.status or answer.text} to a signature that is there twice", "medium"
        return None

    def _variants(self, context: ProbeContext, webhook: Webhook) -> dict[str, WebhookRequest]:
        request = context.fresh(webhook)
        right = context.signature(webhook, request.body)
        name = next((key for key in right if key.lower() == webhook.sign.header.lower()), next(iter(right)))
        secret = self.secret(context, webhook)
        return {
            "an empty signature": context.with_headers(request, {**right, name: ""}),
            "the signature 'N/A'": context.with_headers(request, {**right, name: "N/A"}),
            "64 zeros as signature": context.with_headers(request, {**right, name: "0" * 64}),
            "a signature of another key": context.with_headers(
                request, context.signature(webhook, request.body, secret=_other_key(secret))
            ),
            "a signature of another body": context.with_headers(
                request, context.signature(webhook, request.body + b" ")
            ),
            "a signature cut short": context.with_headers(request, {**right, name: right[name][:-4]}),
            "a signature that is not ASCII": context.with_headers(request, {**right, name: _not_ascii(right[name])}),
        }

    @staticmethod
    def secret(context: ProbeContext, webhook: Webhook) -> str:
        """The secret that the target was started with."""
        return context.target.env.get(webhook.sign.secret_env, "")


def _other_key(secret: str) -> str:
    """A key of the same form, a little different: base64 parts stay decodable."""
    swapped = {"A": "B", "a": "b", "0": "1"}
    for place in range(len(secret) - 1, -1, -1):
        if secret[place].isalnum() and place < len(secret) - 4:
            other = swapped.get(secret[place], "A")
            return secret[:place] + other + secret[place + 1 :]
    return secret + "x"


def _not_ascii(value: str) -> str:
    """The signature with its last letter replaced by one outside ASCII (sent as Latin-1, as HTTP allows)."""
    return value[:-1] + "\u00e9"

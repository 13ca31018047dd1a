"""C11, C12 and W19: what lies in the service's files of what was sent."""

from __future__ import annotations

import uuid

from swarm.probes.payloads import read, write
from swarm.probes.person import known
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.probes.traces import files_holding, held, settled, until

# What decides about a person or a tenant, and is the service's to set.
_NOT_THE_SENDERS = (
    "is_admin", "isAdmin", "role", "score", "ai_score", "tier", "verified", "balance", "credit", "owner", "tenant_id",
    "created_at", "updated_at", "password_hash", "permissions",
)  # fmt: skip


GONE_WITHIN_S = 5.0


class EncryptedAtRest(Probe):
    """Sends an event about a new person and looks for the values in the bytes of all files that the service wrote."""

    id = "C11"
    title = "Personal data lies in files as plain text"
    category = "compliance"
    severity = "medium"
    cwe = ("CWE-311",)
    sources = ("GDPR 32(1)(a)", "OWASP ASVS 5.0 14.2.4")
    recommendation = "Encrypt personal fields before they are stored, with a key that does not lie beside them."
    order = 70
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One event."""
        person = await known(context)
        if person is None:
            return self.skipped("no payload with personal data was taken")
        found = files_holding(context, person.canaries)
        if not found:
            return self.skipped(
                "what was sent is in no file of the service: its database is elsewhere, or keeps nothing"
            )
        fields = sorted({person.canaries[value] for value in held(found)})
        return self.failed(f"{', '.join(sorted(found))}: {', '.join(fields)} in plain text")


class UnknownFields(Probe):
    """Sends a good event with one more field that nobody declared: it must not be stored."""

    id = "C12"
    title = "Fields that nobody declared are stored"
    category = "compliance"
    severity = "medium"
    sources = ("GDPR 5(1)(c)", "OWASP ASVS 5.0 15.3.1")
    recommendation = "Store the fields that are used, and drop the rest of a payload."
    order = 73
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One event a webhook."""
        return await _stored_fields(self, context, ("unheard_of", "nationality"))


class MassAssignment(Probe):
    """Sends a good event with fields that only the service may set: none of their values may be stored."""

    id = "W19"
    title = "A sender can set what only the service may"
    severity = "high"
    cwe = ("CWE-915",)
    sources = ("OWASP API3:2023", "OWASP ASVS 5.0 15.3.3")
    recommendation = "Read the fields that a sender may set by name; never store a payload's fields as they come."
    order = 74
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """One event a webhook."""
        return await _stored_fields(self, context, _NOT_THE_SENDERS)


async def _stored_fields(probe: Probe, context: ProbeContext, names: tuple[str, ...]) -> ProbeResult:
    taken = 0
    for webhook in context.webhooks():
        request = context.fresh(webhook)
        payload = read(request.body)
        if not isinstance(payload, dict):
            continue
        token = uuid.uuid4().hex[:12]
        values = {f"{name}-{token}": name for name in names if name not in payload}
        more = {name: value for value, name in values.items()}
        answer = await context.send(context.with_body(webhook, request, write({**payload, **more})))
        if answer.broken or answer.status == 429:
            return probe.skipped(f"answered {answer.status or answer.text} to a good event with more fields")
        taken += 1  # a refusal is as good as dropping them
        await settled(context)

        async def gone(values: dict[str, str] = values) -> bool:
            return not files_holding(context, values)

        # what is kept whole until it is worked on goes when that is done
        if not await until(gone, GONE_WITHIN_S):
            kept = held(files_holding(context, values))
            fields = ", ".join(sorted(values[value] for value in kept))
            return probe.failed(f"stored as sent: {fields}", route_of(webhook))
    return probe.passed(f"{len(names)} more fields sent, none stored") if taken else probe.skipped("no JSON payload")

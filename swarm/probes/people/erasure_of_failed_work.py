"""C02-failed: work that failed keeps nothing of a person who was erased."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from urllib.parse import quote

from swarm.core.errors import TargetError
from swarm.probes.people.person import Person, credentials, erase_routes, person_of
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.probes.traces import files_holding, settled, until

_ATTEMPTS = 3
_FAILED_WITHIN_S = 4.0
_RETRIED_WITHIN_S = 1.5
_EMPTIED_WITHIN_S = 7.0


class ErasureOfFailedWork(Probe):
    """Starts the service once more beside upstreams that answer errors, sends an event about a new person, has the
    person erased and looks for what was sent in every byte that the service wrote: what is kept to be tried again
    belongs to the person too.
    """

    id = "C02-failed"
    title = "Work that failed keeps a deleted person"
    category = "compliance"
    severity = "high"
    cwe = ("CWE-212",)
    sources = ("GDPR 17",)
    recommendation = "Drop kept events of a person with the person, and keep failed work for a limited time."
    order = 66
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """A second start, one event, one deletion."""
        routes = erase_routes(context)
        if not routes:
            return self.skipped("no route erases a person")
        if context.start_again is None or context.fresh_upstreams is None:
            return self.skipped("the service cannot be started a second time here")
        async with AsyncExitStack() as stack:
            try:
                upstreams = await stack.enter_async_context(context.fresh_upstreams())
                server = await stack.enter_async_context(context.start_again({}, None, upstreams))
            except TargetError as error:
                return self.skipped(f"a second start failed: {str(error).splitlines()[0]}")
            beside = replace(context, base_url=server.base_url, server=server, upstreams=upstreams)
            with upstreams.in_trouble("error"):
                person = await _sent(beside)
                if person is None:
                    return self.skipped("no payload with personal data was found")
                await settled(beside, calm_s=0.4)

                async def failed() -> bool:
                    return any(call.status >= 500 for call in upstreams.snapshot())

                await until(failed, _FAILED_WITHIN_S)
                await settled(beside, calm_s=_RETRIED_WITHIN_S)
                kept = ", ".join(sorted(files_holding(beside, person.canaries)))
            method, path = routes[0]
            if not kept:
                return self.passed("an event whose work fails is kept in no file")
            if not await _erased(beside, method, path, person):
                return self.skipped(f"{method} {path} could not be used with what the target's env holds")

            async def gone() -> bool:
                return not files_holding(beside, person.canaries)

            if not await until(gone, _EMPTIED_WITHIN_S):
                left = ", ".join(sorted(files_holding(beside, person.canaries)))
                return self.failed(
                    f"{left} still holds a deleted person whose event failed", f"{method} {path}", "medium"
                )
            return self.passed(f"an event that failed is kept ({kept}), and goes with the person")


async def _sent(context: ProbeContext) -> Person | None:
    """A new person whose event was sent, whatever was answered."""
    for webhook in context.webhooks():
        for _ in range(_ATTEMPTS):
            person = person_of(context, webhook, context.fresh(webhook))
            if person is not None:
                await context.send(person.request)
                return person
    return None


async def _erased(context: ProbeContext, method: str, path: str, person: Person) -> bool:
    for known_as in person.ids:
        where = path.replace("{}", quote(known_as, safe=""))
        if (await context.call(method, where, headers=credentials(context))).ok:
            return True
    return False

"""C06: who opts out gets no further message."""

from __future__ import annotations

import asyncio
from typing import Any

from swarm.config.schema import Webhook
from swarm.probes.effects import over
from swarm.probes.payloads import changed, name_of
from swarm.probes.people.messages import TEXTS, about, delivered, has_text, is_message, kind_of, kinds_of, who_of
from swarm.probes.probe import Probe, ProbeContext, ProbeResult
from swarm.probes.traces import settled, until
from swarm.target.upstream.calls import UpstreamCall

_HEARD_S = 0.5
_CALM_ASKS = 6
_ALL_SENT_S = 4.0
_WORD = "STOP"


class OptOut(Probe):
    """Finds the events after which the service writes to a contact, lets that contact answer STOP, and sends the
    events again: no message may follow but one that confirms."""

    id = "C06"
    title = "Who opted out is written to"
    category = "compliance"
    severity = "high"
    sources = ("47 CFR 64.1200(a)(10)",)
    recommendation = "Keep who opted out, and ask before every message, on every channel."
    order = 68
    lane = "people"
    together = True

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Each kind of payload twice, and one STOP."""
        for webhook in context.webhooks():
            kinds = kinds_of(context, webhook)
            inbound = next((p for p in kinds if has_text(p) and "message" in kind_of(p)), None)
            who = who_of(inbound) if inbound is not None else ""
            if inbound is None or not who:
                continue
            events = [about(payload, who) for payload in kinds]
            told = await self._messages(context, webhook, events, who)
            if not told:
                continue
            stop = changed(inbound, lambda at, value: name_of(at) in TEXTS, lambda value: _WORD)
            request = delivered(context, webhook, about(stop, who))
            answer = await context.send(request)
            if not answer.ok:
                return self.failed(f"answered {answer.status or answer.text} to {_WORD}")
            await settled(context, calm_s=0.4)
            await over(context, request)  # a service that answers first takes a moment to have heard it
            await asyncio.sleep(_HEARD_S)
            after = await self._messages(context, webhook, events, who, heard=True)
            if after:
                return self.failed(f"{len(after)} messages after {_WORD}, e.g. {after[0].method} {after[0].path}")
            return self.passed(f"{len(told)} messages before {_WORD}, none after it")
        calls = [call for lane in context.everywhere() for call in lane.upstreams.snapshot()]
        if any(is_message(call) for call in calls):
            return self.skipped("messages are sent, and no payload is known by which a contact could opt out")
        return self.inapplicable(f"no message to anybody among {len(calls)} upstream calls")

    @staticmethod
    async def _messages(
        context: ProbeContext, webhook: Webhook, events: list[dict[str, Any]], who: str, *, heard: bool = False
    ) -> list[UpstreamCall]:
        """The messages to one contact that follow on events about them."""
        seen = len(context.upstreams.snapshot())
        requests = [delivered(context, webhook, payload) for payload in events]
        await asyncio.gather(*(context.send(request) for request in requests))
        await settled(context, calm_s=0.4)
        # work that a busy machine does late must not be taken for an answer to what is sent next
        await asyncio.gather(*(over(context, request) for request in requests))

        def messages() -> list[UpstreamCall]:
            calls = context.upstreams.snapshot()[seen:]
            return [call for call in calls if is_message(call) and (who in call.path or who.encode() in call.body)]

        counts: list[int] = []

        async def calm() -> bool:
            """Nothing more came for a second, and something came at all, where that is expected."""
            counts.append(len(messages()))
            return len(counts) > _CALM_ASKS and len(set(counts[-_CALM_ASKS:])) == 1 and (heard or counts[-1] > 0)

        await until(calm, _ALL_SENT_S)
        return messages()

"""W15 and W21: slow and failing upstreams."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from swarm.probes.probe import Answer, Probe, ProbeContext, ProbeResult, route_of
from swarm.probes.traces import settled
from swarm.target.replay.behind_answer import kept_in
from swarm.target.running.environment import CONTROL
from swarm.target.upstream.calls import UpstreamCall, path_shape

_SLOW_S = 3.0
_QUICK_S = 1.0
_TRIES = 3
_MOST_KINDS = 4
_MOST_ATTEMPTS = 8
_RECOVERS_WITHIN_S = 4.0
_LATER = 503


class QuickAnswer(Probe):
    """Sends good requests while every upstream holds its answers back for three seconds: senders wait less, and send
    again what was taken already."""

    id = "W15"
    title = "The answer waits for slow upstreams"
    severity = "medium"
    cwe = ("CWE-400",)
    sources = ("Standard Webhooks: answer quickly",)
    recommendation = "Keep the event durably, answer, and do the work afterwards."
    order = 97  # behind all others: a service may leave an upstream alone for a while after such trouble

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Three or four requests a webhook, together, and of as many kinds."""
        if not hasattr(context.upstreams, "in_trouble"):
            return self.skipped("its upstreams cannot be disturbed here")
        if await context.calls_no_upstream():
            return self.inapplicable("the service called no upstream in the whole session")
        for webhook in context.webhooks():
            requests = context.of_each_kind(webhook, _MOST_KINDS)
            requests += [context.fresh(webhook) for _ in range(_TRIES - len(requests))]
            with context.upstreams.in_trouble(wait_s=_SLOW_S):
                answers = await asyncio.gather(
                    *(
                        context.call(r.method, r.path, headers=r.headers, content=r.body, timeout_s=_QUICK_S)
                        for r in requests
                    )
                )
            await settled(context)
            slow = [answer for answer in answers if not answer.ok]
            if slow:
                status = slow[0].status
                seen = f"the answer was {status}" if status else f"no answer came within {_QUICK_S:g} s"
                return self.failed(f"while upstreams took {_SLOW_S:g} s, {seen}", route_of(webhook))
        return self.passed(f"answers within {_QUICK_S:g} s while upstreams take {_SLOW_S:g} s")


class FailingUpstreams(Probe):
    """Lets every upstream answer 500, and then garbage, for a moment: the request must be taken, attempts stay
    bounded, and what was taken is done once the upstreams work again, or kept whole to be done again.

    A service may also ask its sender to come back (503, or Retry-After): then the same event, sent again once the
    upstreams work, must be taken and done; one that is then held for a repetition is lost.

    A table that keeps good events as well is a record of what came, and no sign that one was not done.
    """

    id = "W21"
    title = "An upstream's bad moment loses an event"
    severity = "medium"
    cwe = ("CWE-703",)
    sources = ("OWASP API10:2023", "OWASP ASVS 5.0 16.5.2")
    recommendation = (
        "Keep the event durably until its work is done, and what failed until somebody has it done again."
    )
    order = 98

    async def run(self, context: ProbeContext) -> ProbeResult:
        """Two requests for the first webhook whose requests write upstream."""
        if not hasattr(context.upstreams, "in_trouble"):
            return self.skipped("its upstreams cannot be disturbed here")
        if await context.calls_no_upstream():
            return self.inapplicable("the service called no upstream in the whole session")
        webhook = next((w for w in context.webhooks() if context.good_effects[route_of(w)].writes), None)
        if webhook is None:
            return self.skipped("no request was seen to write to an upstream")
        done: list[str] = []
        for answer_with in ("error", "garbage"):
            before = len(context.upstreams.snapshot())
            with context.upstreams.in_trouble(answer_with):
                request = context.fullest(webhook)
                answer = await context.send(request)
                await settled(context)
                meanwhile = context.upstreams.snapshot()[before:]
            asks_again = answer.status == _LATER or (answer.status >= 429 and "retry-after" in answer.headers)
            problem = _borne(answer, meanwhile, answer_with, asks_again)
            if problem:
                return self.failed(problem, route_of(webhook))
            if asks_again:
                again = await context.send(request)
                if again.ok and await self._done_later(context, len(meanwhile) + before):
                    done.append(f"{answer_with}: answered {answer.status}, and done when it was sent again")
                    continue
                return self.failed(
                    f"answers {answer.status} while upstreams give {answer_with}, and {again.status or again.text} "
                    "to the same event afterwards, which is not done",
                    route_of(webhook),
                )
            made = sum(call.effect == "write" and call.status < 400 for call in meanwhile)
            if made >= context.good_effects[route_of(webhook)].writes:
                done.append(
                    f"{answer_with}: all its writes were made and taken"
                )  # what was said to them is not needed
                continue
            if await self._done_later(context, len(meanwhile) + before):
                done.append(f"{answer_with}: done afterwards")
                continue
            kept = await asyncio.to_thread(
                _kept, context, request.body, context.good_requests[route_of(webhook)].body
            )
            if not kept:
                return self.failed(
                    f"taken while upstreams gave {answer_with}, not done {_RECOVERS_WITHIN_S:g} s later, "
                    "and kept nowhere",
                    route_of(webhook),
                )
            done.append(f"{answer_with}: kept to be done again, in {min(kept)}")
        return self.passed(f"borne while upstreams gave {'; '.join(done)}")

    @staticmethod
    async def _done_later(context: ProbeContext, seen: int) -> bool:
        deadline = asyncio.get_running_loop().time() + _RECOVERS_WITHIN_S
        while asyncio.get_running_loop().time() < deadline:
            if any(c.effect == "write" and c.status < 400 for c in context.upstreams.snapshot()[seen:]):
                return True
            await asyncio.sleep(0.1)
        return False


def _kept(context: ProbeContext, body: bytes, good: bytes) -> frozenset[str]:
    """Tables that hold this event whole, and no event that was done."""
    folder = Path(context.server.tmp)
    return kept_in(folder, body, (CONTROL,)) - kept_in(folder, good, (CONTROL,))


def _borne(answer: Answer, calls: Sequence[UpstreamCall], answer_with: str, asks_again: bool) -> str:
    if not answer.ok and not asks_again:
        return f"answers {answer.status or answer.text} while upstreams give {answer_with}"
    attempts = Counter((call.upstream, call.method, path_shape(call.path)) for call in calls)
    if attempts and max(attempts.values()) > _MOST_ATTEMPTS:
        return f"one request made {max(attempts.values())} attempts at one upstream call"
    return ""

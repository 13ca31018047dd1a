"""Lanes of a session: probes that go side by side, each lane on a service of its own, one probe after another."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from swarm.core.errors import TargetError
from swarm.probes.effects import send_watched
from swarm.probes.probe import Probe, ProbeContext, ProbeResult, route_of
from swarm.probes.traces import settled

REST_S = 0.6
_CONTROL_ATTEMPTS = 4

Results = dict[str, ProbeResult]


@asynccontextmanager
async def lanes_beside(
    context: ProbeContext, by_lane: Mapping[str, Sequence[Probe]], ends_s: float
) -> AsyncIterator[dict[str, asyncio.Task[Results | None]]]:
    """The lanes under way, by name; their services run until the block ends, so that what they wrote can be read.

    None is the result of a lane for which no service of its own could be had. Where nobody can start one there are
    no lanes.
    """
    async with AsyncExitStack() as services:
        first_number = next(context.number)
        context.number = itertools.count(first_number)
        starting = asyncio.Lock()  # one after the other: programs that start together are slow together
        fullest_first = sorted(by_lane.items(), key=lambda lane: -len(lane[1]))
        tasks = {
            name: asyncio.create_task(_lane(context, probes, services, starting, ends_s, first_number))
            for name, probes in (fullest_first if context.start_apart is not None else ())
        }
        try:
            yield tasks
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _lane(
    session: ProbeContext, probes: Sequence[Probe], services: AsyncExitStack, starting: asyncio.Lock, ends_s: float,
    first_number: int,
) -> Results | None:  # fmt: skip
    """One lane's results: a service that takes a good request, then its probes.

    Its requests are numbered as the session's are: nobody else sees them, and it begins with the same kind of event.
    """
    assert session.start_apart is not None
    try:
        async with starting:
            apart = await services.enter_async_context(session.start_apart())
    except TargetError:
        return None
    lane = replace(
        session, base_url=apart.server.base_url, server=apart.server, upstreams=apart.upstreams, answers=[],
        good_requests={}, good_effects={}, validations=[], shared={}, keeps_events=False, over=asyncio.Event(),
        start_again=apart.start_again, fresh_upstreams=apart.fresh_upstreams, number=itertools.count(first_number),
    )  # fmt: skip
    if await positive_control(lane):
        return None
    session.lanes.append(lane)
    try:
        await settled(lane, REST_S)
        return await in_turn(probes, lane, ends_s)
    finally:
        lane.over.set()


async def in_turn(probes: Sequence[Probe], context: ProbeContext, ends_s: float) -> Results:
    """One probe after another; neighbours that are `together` at the same time."""
    found: list[ProbeResult] = []
    for together, group in itertools.groupby(probes, key=lambda probe: probe.together):
        if together:
            found += await asyncio.gather(*(_one(probe, context, ends_s) for probe in group))
        else:
            found += [await _one(probe, context, ends_s) for probe in group]
    return {result.probe: result for result in found}


async def _one(probe: Probe, context: ProbeContext, ends_s: float) -> ProbeResult:
    """One probe's result within its time; its count of judged signatures is right where it runs alone."""
    left_s = min(probe.deadline_s, ends_s - time.monotonic())
    if left_s <= 0:
        return probe.skipped("the session's time was used up")
    before = len(context.validations)
    try:
        result = await asyncio.wait_for(probe.run(context), left_s)
    except TimeoutError:
        result = probe.skipped(f"not done within {left_s:.0f} s")
    judged = [] if probe.together else context.validations[before:]
    return replace(result, validated=(sum(judged), len(judged)))


async def positive_control(context: ProbeContext) -> str:
    """Empty where each webhook takes a good request; else what was answered instead."""
    if not context.webhooks():
        return "the target declares no webhook"
    for webhook in context.webhooks():
        seen: list[str] = []
        for attempt in range(_CONTROL_ATTEMPTS):  # upstreams may fail now and then, as real ones do
            request = context.fullest(webhook) if attempt < _CONTROL_ATTEMPTS // 2 else context.fresh(webhook)
            answer, effects = await send_watched(context, request)
            context.judged(answer, good=True)
            if answer.ok:
                context.good_requests[route_of(webhook)] = request
                context.good_effects[route_of(webhook)] = effects
                break
            seen.append(str(answer.status or answer.text))
        else:
            return f"a correctly signed request to {route_of(webhook)} got {', '.join(seen)}"
    return ""

"""Gate `durable`: an event that was answered is worked on, though the service is killed right after the answer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from swarm.core.errors import TargetError
from swarm.core.patches import GateResult
from swarm.target.replay.behind_answer import kept_in
from swarm.target.replay.look import ANSWER_DEADLINE_S, chosen_numbers
from swarm.target.replay.observation import Exchange
from swarm.target.running.environment import CONTROL
from swarm.target.running.server import RunningServer, start_server
from swarm.target.traffic import Traffic, WebhookRequest
from swarm.target.upstream.calls import UpstreamCall
from swarm.target.upstream.known_work import CallKind, kinds_of
from swarm.target.upstream.upstreams import Upstreams
from swarm.verify.lab import Lab, Trial

_EVENTS = 3
_WORK_LIMIT_S = 6.0
_CALM_S = 0.5


@dataclass(slots=True)
class _Session:
    """One service that is ended and started again on the same files, beside upstreams that go on."""

    lab: Lab
    trial: Trial
    upstreams: Upstreams
    tmp: Path
    server: RunningServer | None = None
    lost: list[str] = field(default_factory=list)
    repeated: int = 0

    async def start(self) -> RunningServer:
        """The service, for the first time or again."""
        self.server = await start_server(
            self.lab.place,
            self.trial.copy,
            self.lab.target,
            upstream_env=self.upstreams.env,
            inject=self.upstreams.inject,
            tmp=self.tmp,
        )
        return self.server

    async def event(self, request: WebhookRequest, undisturbed: Exchange, *, killed: bool) -> None:
        """Send one event, end the service right after its answer, start it again, and see what comes of it."""
        server = self.server or await self.start()
        seen = len(self.upstreams.calls)
        self.upstreams.mark(undisturbed.label)
        status = await _sent(server, request)
        cut_s = [time.monotonic()]
        if killed:
            server.kill()
            cut_s.append(time.monotonic())
        else:
            await server.stop()
        how = "kill -9" if killed else "a stop"
        if not 200 <= status < 300:
            self.lost.append(
                f"{undisturbed.label} was answered {status or 'not at all'}, {undisturbed.status} before"
            )
        expected = _writes(undisturbed.calls)
        if not expected and not await asyncio.to_thread(kept_in, self.tmp, request.body, (CONTROL,)):
            self.lost.append(f"{undisturbed.label}: after {how} right behind its answer nothing of it is on disk")
        await self.start()
        lacking = expected
        ends_s = time.monotonic() + max(_WORK_LIMIT_S, 3 * undisturbed.duration_s)
        while lacking and time.monotonic() < ends_s:
            await asyncio.sleep(0.03)
            lacking = expected - _writes(_whole(self.upstreams.calls[seen:], cut_s))
        await self.upstreams.quiet(_CALM_S)
        self.repeated += (_writes(self.upstreams.calls[seen:]) - expected).total()
        for upstream, method, shape in lacking:
            missing = f"{method} {upstream}{shape}"
            self.lost.append(f"{undisturbed.label}: after {how} right behind its answer {missing} never came")


def _writes(calls: Sequence[UpstreamCall]) -> Counter[CallKind]:
    return Counter(kind for call in calls for kind in kinds_of([call]))


def _whole(calls: Sequence[UpstreamCall], cut_s: Sequence[float]) -> list[UpstreamCall]:
    """Without the calls whose answer a killed service did not live to hear: what came next was never done."""
    return [call for call in calls if call.end_s < cut_s[0] or call.start_s > cut_s[-1] or len(cut_s) == 1]


async def check(lab: Lab, trial: Trial, exchanges: Sequence[Exchange]) -> GateResult:
    """Applies where a judged patch answers before the work, by what its rule says or by what its replay showed.

    `exchanges` are the undisturbed ones of the replay.
    """
    declared = any(rule.answers_early for patch in trial.judged if (rule := lab.rules.get(patch.rule)) is not None)
    if not exchanges or not (declared or await _newly_early(lab, exchanges)):
        return GateResult("durable", None, "no work was put behind an answer")
    started_s = time.monotonic()
    try:
        passed, detail = await _tried(lab, trial, exchanges)
    except TargetError as error:
        passed, detail = False, f"the service does not start again after it was killed: {error}"
    return GateResult("durable", passed, detail, time.monotonic() - started_s)


async def _newly_early(lab: Lab, exchanges: Sequence[Exchange]) -> bool:
    """Whether writes came after an answer that the original gave after them."""
    recording = await asyncio.shield(lab.recording)
    pairs = zip(recording.first.exchanges, exchanges, strict=False)
    return any(theirs.writes_late and not ours.writes_late for ours, theirs in pairs)


async def _tried(lab: Lab, trial: Trial, exchanges: Sequence[Exchange]) -> tuple[bool | None, str]:
    """Each event on a copy and upstreams of its own, all at once: one service's end is nothing to the others."""
    traffic = Traffic(lab.target, lab.payload_root, lab.seed)
    events = _worth_killing(exchanges, chosen_numbers(traffic, lab.requests))
    if not events:
        return None, "no request was answered well: nothing to lose could be seen"
    tried = await asyncio.gather(
        *(
            _one_event(lab, trial, traffic, *event, killed=place < max(1, len(events) - 1))
            for place, event in enumerate(events)
        ),
        return_exceptions=True,
    )
    sessions = [session for session in tried if isinstance(session, _Session)]
    for failure in tried:
        if isinstance(failure, BaseException):
            raise failure
    lost = [line for session in sessions for line in session.lost]
    if lost:
        return False, "; ".join(lost[:3])
    repeated = sum(session.repeated for session in sessions)
    told = f", {repeated} writes were made again" if repeated else ", no write twice"
    return True, f"{len(events)} events were worked on though the service was ended right after its answer{told}"


async def _one_event(
    lab: Lab, trial: Trial, traffic: Traffic, number: int, undisturbed: Exchange, *, killed: bool
) -> _Session:
    folder = lab.folder("durable")
    own = await asyncio.to_thread(lab.trial, trial.stack, trial.judged, trial.below)
    upstreams = await Upstreams.start(
        lab.place, own.copy, lab.target, tmp=folder / "upstreams", seed=lab.seed, tape=lab.tape, latency="fixed"
    )
    session = _Session(lab, own, upstreams, folder / "data")
    try:
        await session.start()
        await session.event(traffic.request(number, time.time()), undisturbed, killed=killed)
    finally:
        if session.server is not None:
            await session.server.stop()
        await upstreams.stop()
        own.discard()
    return session


def _worth_killing(exchanges: Sequence[Exchange], numbers: list[int]) -> list[tuple[int, Exchange]]:
    """The requests that were answered well, each with its undisturbed exchange: those with the most writes."""
    pairs = [pair for pair in zip(numbers, exchanges, strict=False) if 200 <= pair[1].status < 300]
    return sorted(pairs, key=lambda pair: -_writes(pair[1].calls).total())[:_EVENTS]


async def _sent(server: RunningServer, request: WebhookRequest) -> int:
    timeout = aiohttp.ClientTimeout(total=ANSWER_DEADLINE_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.request(
                request.method, server.base_url + request.path, data=request.body, headers=request.headers,
                skip_auto_headers=("Content-Type",), allow_redirects=False,
            ) as answer,
        ):  # fmt: skip
            return answer.status
    except (aiohttp.ClientError, TimeoutError):
        return 0

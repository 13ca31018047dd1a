"""What a run needs of a target, tried: it starts, answers its webhooks, and its upstreams answer it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from swarm.cli.check import Check
from swarm.config.schema import Target
from swarm.core.errors import SwarmError
from swarm.core.place import TargetPlace
from swarm.runtime import new_run_id
from swarm.target.processes.children import reap_orphans
from swarm.target.processes.scratch import remove_folder, scratch_folder
from swarm.target.running.server import start_server
from swarm.target.traffic import Traffic
from swarm.target.tree.copies import make_copy
from swarm.target.upstream.calls import UpstreamCall
from swarm.target.upstream.upstreams import Upstreams
from swarm.target.wire import Client, WireError

SEED = 7
REQUESTS = 3  # an upstream's bad moment must not look like a mistake in agents.yaml
ANSWER_S = 15.0


def check_target(name: str, target: Target, place: TargetPlace) -> Sequence[Check]:
    """Start the target on a scratch copy as a run would, and send it a few of its own webhooks."""
    reap_orphans()
    scratch = scratch_folder(new_run_id("doctor"))
    try:
        return asyncio.run(_tried(name, target, place, scratch))
    finally:
        remove_folder(scratch)


async def _tried(name: str, target: Target, place: TargetPlace, scratch: Path) -> Sequence[Check]:
    label, began_s = f"target {name}: starts", time.monotonic()
    try:
        copy = await asyncio.to_thread(make_copy, place, scratch / "tree")
        upstreams = await Upstreams.start(place, copy, target, tmp=scratch / "upstreams", seed=SEED)
    except SwarmError as error:
        return [Check(label, "missing", _first_line(error), f"mend targets.{name}.upstreams")]
    try:
        server = await start_server(
            place, copy, target, upstream_env=upstreams.env, inject=upstreams.inject, tmp=scratch / "server"
        )
    except SwarmError as error:
        await upstreams.stop()
        return [Check(label, "missing", _first_line(error), f"mend targets.{name}: start, env, cwd or python")]
    try:
        started = Check(label, "ok", f"{target.health or 'it'} answers after {time.monotonic() - began_s:.1f} s")
        answers = await _answers(server.base_url, target, place)
        await upstreams.quiet()
        return [started, _baseline(name, target, answers), _upstreams(name, target, upstreams)]
    finally:
        await server.stop()
        await upstreams.stop()


async def _answers(base_url: str, target: Target, place: TargetPlace) -> list[tuple[str, int, float]]:
    """Route, status (0: none) and ms of a few requests, one after another."""
    if not target.webhooks:
        return []
    traffic, client, found = Traffic(target, place.path, SEED), Client(base_url), []
    for number in range(REQUESTS):
        request = traffic.request(number, time.time())
        message = client.encode(request.method, request.path, request.headers, request.body)
        began_s, status = time.monotonic(), 0
        with contextlib.suppress(WireError):
            status = (await client.send(request.method, message, ANSWER_S)).status
        found.append((f"{request.method} {request.path}", status, 1000.0 * (time.monotonic() - began_s)))
    client.close()
    return found


def _baseline(name: str, target: Target, answers: Sequence[tuple[str, int, float]]) -> Check:
    label = f"target {name}: baseline can be measured"
    if not answers:
        return Check(label, "optional", "it names no webhooks, so nothing is loaded", f"add targets.{name}.webhooks")
    good = [answer for answer in answers if 200 <= answer[1] < 300]
    if not good:
        route, status, _ = answers[0]
        words = f"{route} answers {status}" if status else f"{route} gives no answer"
        return Check(label, "missing", words, f"look at targets.{name}: payloads, sign, env, upstreams")
    route, status, took_ms = good[0]
    load = f"load of {target.load.rate:g}/s for {target.load.seconds:g} s"
    return Check(label, "ok", f"{route} answers {status} in {took_ms:.0f} ms; {load}")


def _upstreams(name: str, target: Target, upstreams: Upstreams) -> Check:
    label = f"target {name}: upstreams answer"
    if upstreams.refused:
        played = f"nobody plays {', '.join(upstreams.refused[:3])}"
        return Check(label, "missing", played, f"add it to targets.{name}.upstreams")
    if not target.upstreams:
        return Check(label, "ok", "none are declared, and none were called")
    calls = upstreams.calls
    failed = [call for call in calls if call.status >= 500]
    if calls and len(failed) == len(calls):
        return Check(label, "missing", f"all of {len(calls)} calls failed", f"look at targets.{name}.upstreams")
    return Check(label, "ok", _told(calls) if calls else "they run; these requests called none of them")


def _told(calls: Sequence[UpstreamCall]) -> str:
    names = dict.fromkeys(call.upstream for call in calls)
    counts = [f"{name} {sum(call.upstream == name for call in calls)}" for name in names]
    return f"calls answered: {', '.join(counts)}"


def _first_line(error: SwarmError) -> str:
    return str(error).splitlines()[0]

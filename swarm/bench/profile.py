"""A pyinstrument profile of the target: its own lines by their share of sampled time."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.bench.serial import send_in_turn
from swarm.config.schema import Target
from swarm.core.place import TargetPlace
from swarm.core.report import ProfileLine
from swarm.target.traffic import Traffic
from swarm.target.tree.copies import Copy

PROFILER_FILE = Path(__file__).parent / "inject" / "profiler.py"
MAX_LINES = 40
WARM_UP = 1


@dataclass(frozen=True, slots=True)
class Profile:
    """The lines, worst first; where there are none, `reason` says why."""

    lines: tuple[ProfileLine, ...]
    requests: int
    reason: str


def profiler_env(profile_file: Path, target_root: Path, requests: int) -> dict[str, str]:
    """What the profiler needs in the target's environment."""
    return {
        "SWARM_PROFILE_FILE": str(profile_file),
        "SWARM_PROFILE_REQUESTS": str(requests),
        "SWARM_TARGET_ROOT": str(target_root),
    }


def read_profile(path: Path) -> Profile:
    """The profile that the target wrote.

    A sample counts for the innermost line of the target's own, library code below it included. Shares are of
    all samples that have such a line: an idle event loop is nobody's time.
    """
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Profile((), 0, "the target wrote no profile: no request reached an app of a known framework")
    seconds: dict[tuple[str, int, str], float] = defaultdict(float)
    for chain, spent_s in raw["chains"]:
        file, line, function = chain[-1]
        seconds[file, line, function] += spent_s
    total_s = sum(seconds.values())
    if not total_s:
        reason = raw["reason"] or "no sample fell into the target's own files"
        return Profile((), raw["requests"], reason)
    worst = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))[:MAX_LINES]
    lines = tuple(
        ProfileLine(file, line, function, round(spent_s / total_s, 4)) for (file, line, function), spent_s in worst
    )
    return Profile(lines, raw["requests"], "")


async def profile_target(
    place: TargetPlace, copy: Copy, target: Target, *, requests: int, seed: int, tmp: Path,
    payload_root: Path | None = None,
) -> Profile:  # fmt: skip
    """Start upstreams and a profiled server on a copy, send `requests` webhooks in turn, read the profile."""
    from swarm.target.running.server import start_server
    from swarm.target.upstream.upstreams import Upstreams

    tmp.mkdir(parents=True, exist_ok=True)
    profile_file = tmp / "profile.json"
    upstreams = await Upstreams.start(place, copy, target, tmp=tmp / "upstreams", seed=seed)
    try:
        server = await start_server(
            place, copy, target, upstream_env=upstreams.env, inject=(*upstreams.inject, PROFILER_FILE),
            extra_env=profiler_env(profile_file, copy.path, requests), tmp=tmp / "server",
        )  # fmt: skip
        try:
            traffic = Traffic(target, payload_root or place.path, seed)
            await send_in_turn(server.base_url, traffic, range(WARM_UP + requests))
            for _ in range(20):
                if profile_file.exists():
                    break
                await asyncio.sleep(0.05)
            return read_profile(profile_file)
        finally:
            await server.stop()
    finally:
        await upstreams.stop()

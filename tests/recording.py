"""The recording of a small target, as a run makes it: two looks, of which the second hears the tape of the first."""

from __future__ import annotations

from pathlib import Path

from swarm.config.schema import Target
from swarm.core.place import TargetPlace
from swarm.target.replay.look import observe, record_first
from swarm.target.replay.observation import Recording
from swarm.target.tree.copies import Copy


async def record_baseline(
    place: TargetPlace, copy: Copy, target: Target, *, requests: int, seed: int, tmp: Path
) -> Recording:
    """What differs between the two looks is volatile."""
    first, tape = await record_first(place, copy, target, requests=requests, seed=seed, tmp=tmp / "first")
    second = await observe(place, copy, target, requests=requests, seed=seed, tape=tape, tmp=tmp / "second")
    return Recording(first, second, tape)

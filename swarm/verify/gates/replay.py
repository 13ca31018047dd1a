"""Gate `replay`: the same requests against deterministic upstreams get the same answers and cause the same writes."""

from __future__ import annotations

import asyncio
import time

from swarm.core.errors import TargetError
from swarm.core.patches import GateResult
from swarm.core.report import ReplayOutcome
from swarm.target.replay.compare import compare
from swarm.target.replay.look import OnNormal, observe
from swarm.verify.lab import Lab, Trial


async def check(
    lab: Lab, trial: Trial, on_normal: OnNormal = lambda exchanges: None
) -> tuple[GateResult, ReplayOutcome | None]:
    """Observe the candidate as the original was observed, and compare.

    `on_normal` is told of its undisturbed exchanges as soon as they are over.
    """
    started = time.monotonic()
    try:
        observation = await observe(
            lab.place,
            trial.copy,
            lab.target,
            requests=lab.requests,
            seed=lab.seed,
            tape=lab.tape,
            tmp=lab.folder("replay"),
            on_normal=on_normal,
        )
    except TargetError as error:
        return GateResult("replay", False, f"the service could not be replayed: {error}"), None
    outcome = compare(await asyncio.shield(lab.recording), observation)
    seconds = time.monotonic() - started
    if outcome.differences:
        return GateResult("replay", False, "; ".join(outcome.differences[:3]), seconds), outcome
    detail = f"{outcome.identical} of {outcome.requests} requests answered alike"
    return GateResult("replay", True, detail, seconds), outcome

"""Gate `replay`: the same requests against deterministic upstreams get the same answers and cause the same writes."""

from __future__ import annotations

import asyncio
import time

from swarm.core.errors import TargetError
from swarm.core.patches import GateResult
from swarm.core.report import ReplayOutcome
from swarm.target.replay import Observation, observe
from swarm.target.replay_compare import compare
from swarm.verify.lab import Lab, Trial


async def check(lab: Lab, trial: Trial) -> tuple[GateResult, ReplayOutcome | None, Observation | None]:
    """Observe the candidate as the original was observed, and compare; what was seen goes to later gates."""
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
        )
    except TargetError as error:
        return GateResult("replay", False, f"the service could not be replayed: {error}"), None, None
    outcome = compare(await asyncio.shield(lab.recording), observation)
    seconds = time.monotonic() - started
    if outcome.differences:
        return GateResult("replay", False, "; ".join(outcome.differences[:3]), seconds), outcome, observation
    detail = f"{outcome.identical} of {outcome.requests} requests answered alike"
    return GateResult("replay", True, detail, seconds), outcome, observation

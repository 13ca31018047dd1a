"""Tool: what happens with more and more requests at once, and which resource is full first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swarm.core.errors import ToolFailed
from swarm.tools.digests import findings_answer
from swarm.tools.measuring.sweep_findings import findings_of
from swarm.tools.tool import Answer, Arguments, Tool

if TYPE_CHECKING:
    from swarm.core.sweep import SweepLevel
    from swarm.tools.workbench import Workbench


class SweepConcurrency(Tool):
    """Measured on the unpatched service, once for all who ask."""

    name = "sweep_concurrency"
    group = "Performance-Analysis"
    description = (
        "Sends more and more webhooks at once to the running service until more bring no more answers: the knee, the "
        "resource that is full there (processor, event loop, threads, connection pools, database, upstream) with the "
        "line that waits for it, health checks that freeze, requests that hang, containers that only grow."
    )
    playbook_stage = 2

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Levels, knee and what shows only under concurrency, as findings.

        Raises ToolFailed for a target without webhooks.
        """
        del arguments
        if not bench.target.webhooks:
            raise ToolFailed("the target declares no webhook to send")
        sweep = await bench.swept()
        findings = findings_of(sweep, bench.index, bench.findings.all(), bench.target.load.rate)
        more: dict[str, Any] = {
            "levels": [_level(level) for level in sweep.levels],
            "knee_at_once": sweep.knee,
            "full": sweep.resource,
            "words": sweep.words or sweep.reason,
        }
        return findings_answer(findings, more, brought=findings)


def _level(level: SweepLevel) -> dict[str, Any]:
    return {
        "at_once": level.at_once,
        "rps": round(level.rps, 1),
        "mean_ms": round(level.mean_ms, 1),
        "p95_ms": round(level.p95_ms, 1),
        "failed": level.failed,
        "health_ms": level.health_ms,
        "waits_ms": {name: round(spent_ms, 1) for name, spent_ms in level.waits_ms},
    }

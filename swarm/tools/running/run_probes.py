"""Tool: all live probes against the running, unpatched service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.tools.digests import findings_answer
from swarm.tools.tool import Answer, Arguments, Tool

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

_EVIDENCE_CHARS = 160


class RunProbes(Tool):
    """What a probe sees is proven."""

    name = "run_probes"
    group = "Security-Scanners"
    description = (
        "Sends a bounded set of live checks to the running service (unsigned, tampered, stale, repeated, "
        "oversized webhooks and the like) and gives each one's outcome; a failed one is a proven finding."
    )
    playbook_stage = 1

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Every probe's outcome beside the findings of the failed ones."""
        from swarm.probes.run import findings_from

        del arguments
        results = await bench.probe_results()
        findings = findings_from(results)
        outcomes = [
            {"probe": result.probe, "outcome": result.outcome, "evidence": result.evidence[:_EVIDENCE_CHARS]}
            for result in results
            if result.outcome != "failed"
        ]
        return findings_answer(findings, {"other_probes": outcomes}, brought=findings)

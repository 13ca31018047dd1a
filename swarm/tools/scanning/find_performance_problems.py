"""Tool: the rules of category performance, over the target's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.tools.scanning.answer import scan_answer
from swarm.tools.tool import Answer, Arguments, Tool

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench


class FindPerformanceProblems(Tool):
    """Static findings of category performance."""

    name = "find_performance_problems"
    group = "Performance-Analysis"
    description = (
        "Runs the performance rules over the target's code and gives the findings: what makes "
        "requests slow: waits one after another, clients per call, blocking calls, queries in loops."
    )
    playbook_stage = 1

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Findings as digests, the worst first."""
        del arguments
        return scan_answer(await bench.scan("performance"), bench)

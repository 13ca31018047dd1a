"""Tool: the rules of category monitoring, over the target's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.tools.scanning.answer import scan_answer
from swarm.tools.tool import Answer, Arguments, Tool

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench


class FindMonitoringGaps(Tool):
    """Static findings of category monitoring."""

    name = "find_monitoring_gaps"
    group = "Monitoring-Tools"
    description = (
        "Runs the monitoring rules over the target's code and gives the findings: "
        "what cannot be seen from outside: no metrics, no health check, swallowed exceptions, no request id."
    )
    playbook_stage = 1

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Findings as digests, the worst first."""
        del arguments
        return scan_answer(await bench.scan("monitoring"), bench)

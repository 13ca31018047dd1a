"""Tool: the rules of category api, over the target's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.tools.scanning.answer import scan_answer
from swarm.tools.tool import Answer, Arguments, Tool

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench


class FindApiProblems(Tool):
    """Static findings of category api."""

    name = "find_api_problems"
    group = "Error-Analysis"
    description = (
        "Runs the api rules over the target's code and gives the findings: outgoing calls that "
        "break on a bad day: no timeout, no retry, unchecked status, work that may be repeated."
    )
    playbook_stage = 1

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Findings as digests, the worst first."""
        del arguments
        return scan_answer(await bench.scan("api"), bench)

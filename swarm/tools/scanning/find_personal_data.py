"""Tool: the rules of category compliance, over the target's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.tools.scanning.answer import scan_answer
from swarm.tools.tool import Answer, Arguments, Tool

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench


class FindPersonalData(Tool):
    """Static findings of category compliance."""

    name = "find_personal_data"
    group = "Compliance-Tools"
    description = (
        "Runs the compliance rules over the target's code and gives the findings: "
        "personal data and secrets in places where they do not belong."
    )
    playbook_stage = 1

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Findings as digests, the worst first."""
        del arguments
        return scan_answer(await bench.scan("compliance"), bench)

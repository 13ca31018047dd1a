"""Tool: the security rules and bandit, over the target's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.tools.scanning.answer import scan_answer
from swarm.tools.tool import Answer, Arguments, Tool

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench


class FindSecurityProblems(Tool):
    """Static findings of category security; what bandit says too becomes a source of ours."""

    name = "find_security_problems"
    group = "Security-Scanners"
    description = (
        "Runs the security rules and bandit over the target's code and gives the findings: "
        "unsafe signature checks, SQL from strings, leaking error details, secrets in code and more."
    )
    playbook_stage = 1

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Findings as digests, the worst first."""
        del arguments
        return scan_answer(await bench.security_scan(), bench)

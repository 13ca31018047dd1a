"""Tool: where the processor's time goes while the service handles requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swarm.tools.tool import Answer, Arguments, Tool, as_json

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

_MOST = 15


class ProfileRequests(Tool):
    """A sampled profile of the unpatched service."""

    name = "profile_requests"
    group = "Performance-Analysis"
    description = "Profiles a few requests and gives the service's own lines with the most time."
    playbook_stage = 2

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Shares of sampled time, 0 to 1."""
        del arguments
        profile = await bench.profile()
        answer: dict[str, Any] = {
            "lines": [
                {"at": f"{line.file}:{line.line}", "function": line.function, "share": round(line.share, 3)}
                for line in profile.lines[:_MOST]
            ]
        }
        if not profile.lines:
            answer["note"] = profile.reason
        return Answer(as_json(answer))

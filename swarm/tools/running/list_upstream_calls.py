"""Tool: what the service asks of the systems around it, seen while it handled sample webhooks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swarm.tools.tool import Answer, Arguments, Tool, as_json

if TYPE_CHECKING:
    from swarm.target.upstream.calls import UpstreamCall
    from swarm.tools.workbench import Workbench

_MOST = 60


class ListUpstreamCalls(Tool):
    """Counts, statuses and times; bodies stay where they are."""

    name = "list_upstream_calls"
    group = "API-Testing"
    description = (
        "Sends a few sample webhooks and lists the calls that the service made to its upstreams: "
        "route, count, statuses, mean time, read or write; and calls that were refused."
    )
    playbook_stage = 2

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Grouped by upstream, method and path with numbers and ids folded."""
        del arguments
        await bench.samples()
        upstreams = (await bench.baseline()).upstreams
        calls = summarized(upstreams.snapshot())
        refused = sorted(set(upstreams.refused))[:_MOST]
        return Answer(as_json({"calls": calls[:_MOST], "refused": refused}))


def summarized(calls: Sequence[UpstreamCall]) -> list[dict[str, Any]]:
    """One entry a route, ids in paths folded: how many calls, their statuses, their mean in milliseconds."""
    groups: dict[tuple[str, str, str], list[UpstreamCall]] = defaultdict(list)
    for call in calls:
        groups[call.upstream, call.method, _folded(call.path)].append(call)
    return [
        {
            "upstream": upstream,
            "route": f"{method} {path}",
            "count": len(group),
            "statuses": sorted({call.status for call in group}),
            "mean_ms": round(1000 * sum(call.end_s - call.start_s for call in group) / len(group), 1),
            "effect": group[0].effect,
        }
        for (upstream, method, path), group in sorted(groups.items())
    ]


def _folded(path: str) -> str:
    """Segments that hold a digit are ids more often than not."""
    return "/".join(
        "{id}" if any(c.isdigit() for c in part) and not (part[:1] == "v" and part[1:].isdigit()) else part
        for part in path.split("/")
    )

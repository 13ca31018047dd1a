"""Tool: latency and errors of the unpatched service under load at a fixed rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from swarm.core.errors import ToolFailed
from swarm.tools.tool import Answer, Arguments, Tool, as_json

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench


class MeasureLoadArguments(Arguments):
    """How much load for how long; what is left out is the target's own `load`."""

    rate: float | None = Field(None, gt=0, le=100, description="requests per second")
    seconds: float = Field(5.0, ge=1, le=15)


class MeasureLoad(Tool):
    """Not on the playbook's charter: the run measures before and after side by side anyway."""

    name = "measure_load"
    group = "Performance-Analysis"
    description = (
        "Offers load at a fixed rate to the running unpatched service and gives latency percentiles "
        "and the share of errors. Takes its time: use it to test a hypothesis."
    )
    arguments = MeasureLoadArguments

    async def run(self, arguments: MeasureLoadArguments, bench: Workbench) -> Answer:
        """Milliseconds from when a request was due; a failed answer is an error, never a fast one.

        Raises ToolFailed for a target without webhooks.
        """
        from swarm.bench.statistics import summarize

        if not bench.target.webhooks:
            raise ToolFailed("the target declares no webhook to send")
        load = await bench.load(arguments.rate or min(bench.target.load.rate, 100.0), arguments.seconds)
        good = [sample.latency_ms for sample in load.samples if sample.ok]
        answer: dict[str, Any] = {"rate": load.rate, "seconds": load.seconds, "requests": len(load.samples)}
        answer["error_rate"] = round(1 - len(good) / len(load.samples), 4) if load.samples else None
        if good:
            summary = summarize(good)
            answer["latency_ms"] = {
                name: round(getattr(summary, name), 1) for name in ("mean", "p50", "p95", "p99", "max")
            }
        if not load.valid:
            answer["note"] = "not valid: the generator fell behind its own schedule; offer less"
        return Answer(as_json(answer))

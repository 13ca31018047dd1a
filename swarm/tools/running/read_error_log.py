"""Tool: how the unpatched service answered and what it logged while it handled sample webhooks."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from swarm.tools.tool import Answer, Arguments, Tool, as_json

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

_TROUBLE = re.compile(r"error|exception|traceback|warn|critical|fail|refused|timed? ?out", re.IGNORECASE)
_MOST_LINES = 60
_LINE_CHARS = 300


class ReadErrorLog(Tool):
    """Lines that speak of trouble, repeated ones once."""

    name = "read_error_log"
    group = "Error-Analysis"
    description = (
        "Gives the statuses with which the running service answered sample webhooks, "
        "and the lines of its log that speak of errors, with how often each came."
    )
    playbook_stage = 2

    async def run(self, arguments: Arguments, bench: Workbench) -> Answer:
        """Statuses, and log lines with their digits folded for counting."""
        del arguments
        exchanges = await bench.samples()
        log = bench.mask((await bench.baseline()).server.log_text())
        counts = Counter(
            re.sub(r"\d+", "#", line.strip())[:_LINE_CHARS] for line in log.splitlines() if _TROUBLE.search(line)
        )
        statuses = Counter(str(exchange.status or "no answer") for exchange in exchanges)
        lines = [f"{count}× {line}" for line, count in counts.most_common(_MOST_LINES)]
        return Answer(as_json({"statuses": dict(statuses), "log_lines": lines}))

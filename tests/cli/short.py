"""`swarm` with measurements that are as short as can be: for tests of what a run does, not of what it measures.

As a program, for those who start it, cut it off or kill it; `SHORTENED` for those who run it in their own process.
"""

from __future__ import annotations

import importlib
from typing import Any


def no_tool(name: str) -> None:
    """That promtool and amtool are not on this machine: what they say of the files is asked in tests of the files."""


SHORTENED: dict[str, Any] = {
    "swarm.bench.sweep.LEVEL_S": 0.1,
    "swarm.bench.sweep.TOTAL_S": 0.3,
    "swarm.bench.filling.REQUESTS": 4,
    "swarm.verify.ladder.BURSTS": 2,
    "swarm.verify.ladder.ALONE": 1,
    "swarm.verify.ends.ROUNDS": 2,
    "swarm.verify.ends.WARM_S": 0.2,
    "swarm.verify.ends.WARM_AT_MOST_S": 0.2,
    "swarm.verify.ends.WHOLES": 4,
    "swarm.verify.ends.ENOUGH_WHOLES": 4,
    "swarm.verify.ends.TRACED_BEFORE": 2,
    "swarm.verify.ends.TRACED_AFTER": 2,
    "swarm.verify.ends.STEP_S": 0.3,
    "swarm.verify.ends.MAX_STEPS": 1,
    "swarm.reporting.monitoring.files._tool": no_tool,
}

if __name__ == "__main__":
    for place, value in SHORTENED.items():
        module, _, name = place.rpartition(".")
        setattr(importlib.import_module(module), name, value)
    importlib.import_module("swarm.cli.main").main()

"""Gate `starts`: the service answers its health check, and nothing worse stands in its log than before."""

from __future__ import annotations

import re

from swarm.core.patches import GateResult

_WORSE = re.compile(r"\b(ERROR|CRITICAL|Traceback|DeprecationWarning|RuntimeWarning|SyntaxWarning)\b")


def check(log_before: str, log_after: str) -> GateResult:
    """Compare the logs of two starts that both answered; a start that fails is judged by the verifier."""
    before, after = complaints(log_before), complaints(log_after)
    if len(after) > len(before):
        return GateResult("starts", False, f"the log got worse: {after[-1][:200]}")
    return GateResult("starts", True, "starts, and its log is no worse")


def complaints(log: str) -> list[str]:
    """The lines of a log that complain."""
    return [line.strip() for line in log.splitlines() if _WORSE.search(line)]

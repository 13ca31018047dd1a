"""Values that measurements give: summaries, ratios with intervals, and target expressions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from swarm.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Summary:
    """A distribution in one unit. Percentiles are by the nearest-rank method over all samples."""

    n: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """after / before with a 95 % bootstrap interval over slices."""

    value: float
    ci95: tuple[float, float]

    @property
    def change(self) -> Literal["better", "worse", "no change"]:
        """For a metric where less is better; within 3 % or an interval that holds 1 is no change."""
        low, high = self.ci95
        if abs(self.value - 1.0) < 0.03 or low <= 1.0 <= high:
            return "no change"
        return "better" if self.value < 1.0 else "worse"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One benchmark, before and after, side by side."""

    name: str
    unit: str
    before: Summary | None
    after: Summary | None
    ratio_p50: Ratio | None = None
    ratio_p95: Ratio | None = None
    before_samples: tuple[float, ...] = ()
    after_samples: tuple[float, ...] = ()
    note: str = ""


# The two benchmarks of a run, by name: what the sender waits for, and until all is over that its request caused.
ANSWER = "webhook, answer to the sender"
END_TO_END = "webhook, end to end"

Operator = Literal["<", "<=", ">", ">=", "=="]
_EXPRESSION = re.compile(
    r"^\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*(?:\[(?P<of>[^\[\]]+)\])?\s*(?P<op><=|>=|==|<|>)\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>.*?)\s*$"
)
_STATISTICS = ("p50", "p90", "p95", "p99", "mean")

# Canonical unit of each metric; values are compared in it.
METRIC_UNITS: dict[str, str] = {
    "webhook_processing_time": "ms",
    "webhook_latency": "ms",
    "webhook_ack_time": "ms",
    "api_response_time": "ms",
    "database_write_time": "ms",
    "database_query_time": "ms",
    "cache_operation_time": "ms",
    "model_response_time": "ms",
    "cache_hit_rate": "%",
    "error_rate": "%",
    "api_error_rate": "%",
    "throughput": "/s",
    "concurrent_webhook_capacity": "/s",
    "memory_usage": "MB",
    "memory_efficiency": "MB",
    "cpu_usage": "%",
    "security_score": "%",
    "compliance_score": "%",
    "security_validation_success": "%",
    "context_savings": "%",
    "time_savings": "%",
}
_UNIT_SCALES: dict[str, dict[str, float]] = {
    "ms": {"ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001},
    "%": {"%": 1.0, "": 1.0, "percent": 1.0},
    "/s": {"/s": 1.0, "rps": 1.0, "": 1.0, "webhooks/second": 1.0, "webhooks/s": 1.0, "/second": 1.0,
           "requests/s": 1.0, "requests/second": 1.0},
    "MB": {"mb": 1.0, "mib": 1.048576, "gb": 1000.0, "kb": 0.001, "mb per process": 1.0},
}  # fmt: skip


# Metrics of several things, of which an expression may name some, and what its words are looked for in.
SELECTABLE: dict[str, str] = {
    "model_response_time": "the system prompt of the question",
    "cache_hit_rate": "the kind of what is cached",
    "api_response_time": "the upstream, method and path of the call",
}


@dataclass(frozen=True, slots=True)
class TargetExpression:
    """`NAME[OF] OPERATOR NUMBER UNIT`, its number in the metric's canonical unit.

    `statistic` is p50, p90, p95, p99 or mean; p95 where the expression names none. `of` narrows a metric of
    SELECTABLE to what any of its words occurs in; empty for all.
    """

    text: str
    metric: str
    statistic: str
    operator: Operator
    number: float
    unit: str
    of: tuple[str, ...] = ()

    def selects(self, name: str) -> bool:
        """Whether it is about the thing of this name; capital letters make no difference."""
        return not self.of or any(word.lower() in name.lower() for word in self.of)

    def met_by(self, value: float) -> bool:
        """Whether `value`, in the canonical unit, meets the target."""
        match self.operator:
            case "<":
                return value < self.number
            case "<=":
                return value <= self.number
            case ">":
                return value > self.number
            case ">=":
                return value >= self.number
            case _:
                return value == self.number


def parse_target_expression(text: str) -> TargetExpression:
    """Read one expression, such as `webhook_latency_p95 < 500ms` or `cache_hit_rate[tenant, agent] > 85%`.

    Raises UsageError with the mistake and its mend.
    """
    match = _EXPRESSION.match(text)
    if match is None:
        raise UsageError(f"target {text!r} is not NAME < NUMBER UNIT, such as 'webhook_latency < 500ms'")
    name, statistic = match["name"], "p95"
    if name not in METRIC_UNITS:
        stem, _, last = name.rpartition("_")
        if last in _STATISTICS and stem in METRIC_UNITS:
            name, statistic = stem, last
    unit = METRIC_UNITS.get(name)
    if unit is None:
        raise UsageError(f"target {text!r}: metric {name!r} is unknown{did_you_mean(name, METRIC_UNITS)}")
    of = tuple(word.strip() for word in (match["of"] or "").split(",") if word.strip())
    if match["of"] is not None and (not of or name not in SELECTABLE):
        known = ", ".join(SELECTABLE)
        raise UsageError(f"target {text!r}: [{match['of']}] names no part of {name}; parts have: {known}")
    scale = _UNIT_SCALES[unit].get(match["unit"].lower())
    if scale is None:
        raise UsageError(f"target {text!r}: unit {match['unit']!r} does not fit {name}; use {unit}")
    operator: Operator = match["op"]  # type: ignore[assignment]
    return TargetExpression(text, name, statistic, operator, float(match["number"]) * scale, unit, of)


def did_you_mean(word: str, known: object) -> str:
    """`; did you mean 'X'?` for the nearest of the iterable `known`, or ""."""
    import difflib

    nearest = difflib.get_close_matches(word, [str(k) for k in known], n=1)  # type: ignore[attr-defined]
    return f"; did you mean {nearest[0]!r}?" if nearest else ""

"""Drafts of alerts that agents propose: thresholds on metrics, kept in the report and rendered as rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class AlertDraft:
    """Alert when `metric` `operator` `threshold` (in the metric's canonical unit) for `for_s` seconds."""

    name: str
    metric: str
    statistic: str
    operator: Literal["<", ">"]
    threshold: float
    unit: str
    for_s: int
    severity: Literal["critical", "warning", "info"]
    reason: str

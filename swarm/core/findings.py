"""A finding: one problem in the target, where it is, how sure we are, and what to do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

Category = Literal["performance", "security", "api", "monitoring", "compliance"]
Severity = Literal["critical", "high", "medium", "low", "info"]
Confidence = Literal["proven", "high", "medium", "low"]
FindingStatus = Literal["patched", "rejected", "open"]

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")
CONFIDENCES: tuple[Confidence, ...] = ("proven", "high", "medium", "low")


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One place on the way of data from where it came in to where it does harm; lines count from 1."""

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem.

    `file` is relative to the target's path, with `/`; empty for a finding about the running service as a whole.
    Lines count from 1 and are inclusive; 0 means that no line applies.
    `anchor` is the part of the code that stays when lines move (a qualified name, the call's text): it makes
    the fingerprint stable. `mendable` says that the rule believes it can write the fix.
    `flow` is the way of the data, source first, sink last; empty where none was followed.
    `measured_ms` is the time per request that a measurement attributes to the lines, or None.
    `disputed_by` is the agent that read the place and calls it no problem; the finding stays where it is.
    """

    rule: str
    category: Category
    severity: Severity
    confidence: Confidence
    title: str
    file: str
    line: int
    end_line: int
    evidence: str
    recommendation: str
    anchor: str = ""
    cwe: tuple[str, ...] = ()
    mendable: bool = False
    agent: str = ""
    sources: tuple[str, ...] = ()
    measured_ms: float | None = None
    status: FindingStatus = "open"
    patch: str | None = None
    flow: tuple[FlowStep, ...] = ()
    disputed_by: str = ""

    @property
    def id(self) -> str:
        """Ten hexadecimal digits: the same problem has the same id in every run."""
        key = "\0".join((self.rule, self.file, self.anchor or f"{self.line}:{self.title}"))
        return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:10]

    def with_agent(self, agent: str) -> Finding:
        """The same finding, reported by `agent`."""
        return replace(self, agent=agent)


def severity_rank(severity: Severity) -> int:
    """0 for critical up to 4 for info: sorts the worst first."""
    return SEVERITIES.index(severity)


def confidence_rank(confidence: Confidence) -> int:
    """0 for proven up to 3 for low."""
    return CONFIDENCES.index(confidence)

"""What a specialist hands over: the findings it stands behind, the fixes it wants, and what it found by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from swarm.agents.closing import Closing
from swarm.core.errors import ToolFailed
from swarm.core.findings import Category, Finding, Severity
from swarm.tools.finding_store import FindingStore
from swarm.tools.jail import inside, read_text

_MOST_NEW = 40


class NewFinding(BaseModel):
    """A problem that no rule reported, by the model's own judgement."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str = Field(min_length=5, max_length=160)
    category: Category
    severity: Severity
    confidence: Literal["medium", "low"] = "medium"
    file: str = Field(description="relative to the target's root")
    line: int = Field(ge=1)
    end_line: int | None = Field(None, ge=1)
    evidence: str = Field(max_length=1500)
    recommendation: str = Field(min_length=5, max_length=1500)
    cwe: list[str] = Field(default_factory=list, max_length=5)


class SubmitArguments(BaseModel):
    """The submission of a specialist."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    finding_ids: list[str] = Field(
        description="ids of the reported findings that you stand behind; what you leave out counts as dismissed"
    )
    fixes: list[str] = Field(
        default_factory=list, description="ids of mendable findings whose fix shall be made and proven"
    )
    new_findings: list[NewFinding] = Field(default_factory=list, max_length=_MOST_NEW)
    notes: str = Field("", max_length=6000, description="what you did, what you left out and why")


def submission_closing(store: FindingStore, target_root: Path) -> Closing:
    """The `submit` call of a specialist, checked against what is known."""

    def check(submission: SubmitArguments) -> None:
        known = {finding.id: finding for finding in store.all()}
        unknown = [one for one in (*submission.finding_ids, *submission.fixes) if one not in known]
        if unknown:
            raise ToolFailed(f"no such finding: {', '.join(unknown[:10])}; use the ids that tools gave")
        hopeless = [one for one in submission.fixes if not known[one].mendable]
        if hopeless:
            raise ToolFailed(
                f"no rule can mend {', '.join(hopeless[:10])}; leave them out of fixes, they stay findings"
            )
        for new in submission.new_findings:
            _check_place(new, target_root)

    return Closing(
        "submit",
        "Hands over your result and ends your work: call it exactly once, at the end.",
        SubmitArguments,
        check,
    )


def new_findings(submission: SubmitArguments, agent: str) -> tuple[Finding, ...]:
    """The model's own findings as values. Their rule is `reviewed`; no rule can mend them."""
    return tuple(
        Finding(
            rule="reviewed",
            category=new.category,
            severity=new.severity,
            confidence=new.confidence,
            title=new.title,
            file=new.file,
            line=new.line,
            end_line=max(new.line, new.end_line or new.line),
            evidence=new.evidence,
            recommendation=new.recommendation,
            cwe=tuple(new.cwe),
            agent=agent,
            sources=("read by the model",),
        )
        for new in submission.new_findings
    )


def left_out(submission: SubmitArguments, surfaced: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings that the specialist's tools gave and its submission does not name."""
    named = {*submission.finding_ids, *submission.fixes}
    return tuple(finding for finding in surfaced if finding.id not in named)


def _check_place(new: NewFinding, root: Path) -> None:
    path = inside(root, new.file)
    text = read_text(path) if path.is_file() else None
    if text is None:
        raise ToolFailed(f"{new.file!r} is no text file of the target")
    count = len(text.splitlines())
    if new.line > count or (new.end_line or new.line) > count:
        raise ToolFailed(f"{new.file!r} has {count} lines; {new.title!r} names one beyond")

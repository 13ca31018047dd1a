"""What a specialist hands over: the findings it stands behind, the fixes it wants, and what it found by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from swarm.agents.conversation.closing import Closing
from swarm.core.errors import ToolFailed
from swarm.core.findings import Finding
from swarm.tools.finding_store import FindingStore
from swarm.tools.reviewed import NewFinding, as_finding, check_place

_MOST_NEW = 40


class SubmitArguments(BaseModel):
    """The submission of a specialist."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    finding_ids: list[str] = Field(
        description="ids of the reported findings that you stand behind; the others are shown as disputed by you"
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
        mistakes = []
        unknown = [one for one in (*submission.finding_ids, *submission.fixes) if one not in known]
        if unknown:
            mistakes.append(f"no such finding: {', '.join(unknown[:10])}; use the ids that tools gave")
        hopeless = [one for one in submission.fixes if one in known and not known[one].mendable]
        if hopeless:
            named = ", ".join(hopeless[:10])
            mistakes.append(f"no rule can mend {named}; leave them out of fixes, they stay findings")
        for new in submission.new_findings:
            try:
                check_place(new, target_root)
            except ToolFailed as error:
                mistakes.append(str(error))
        if mistakes:  # all of them at once: there is one more try
            raise ToolFailed("; ".join(mistakes))

    return Closing(
        "submit",
        "Hands over your result and ends your work: call it exactly once, at the end.",
        SubmitArguments,
        check,
    )


def new_findings(submission: SubmitArguments, agent: str) -> tuple[Finding, ...]:
    """The model's own findings as values."""
    return tuple(as_finding(new).with_agent(agent) for new in submission.new_findings)


def left_out(submission: SubmitArguments, surfaced: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings that the specialist's tools gave and its submission does not name."""
    named = {*submission.finding_ids, *submission.fixes}
    return tuple(finding for finding in surfaced if finding.id not in named)

"""Findings by a model's own judgement: what no rule and no probe reported."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from swarm.core.errors import ToolFailed
from swarm.core.findings import Category, Finding, Severity
from swarm.tools.jail import inside, read_text

REVIEWED = "reviewed"


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


def as_finding(new: NewFinding) -> Finding:
    """As a value. Its rule is `reviewed`, which can mend nothing."""
    return Finding(
        rule=REVIEWED,
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
        sources=("read by the model",),
    )


def check_place(new: NewFinding, root: Path) -> None:
    """Raise ToolFailed where the file or its lines are not there."""
    path = inside(root, new.file)
    text = read_text(path) if path.is_file() else None
    if text is None:
        raise ToolFailed(f"{new.file!r} is no text file of the target")
    count = len(text.splitlines())
    if new.line > count or (new.end_line or new.line) > count:
        raise ToolFailed(f"{new.file!r} has {count} lines; {new.title!r} names one beyond")

"""A patch: whole-file changes with the findings they mend, and the verdict of the gates."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

GateName = Literal[
    "applies", "parses", "protects", "tests", "starts", "replay", "durable", "probes", "gone", "benchmark"
]  # fmt: skip
GATES: tuple[GateName, ...] = (
    "applies", "parses", "protects", "tests", "starts", "replay", "durable", "probes", "gone", "benchmark",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file before and after; None means that the file does not exist on that side.

    `path` is relative to the target's path, with `/`.
    """

    path: str
    before: str | None
    after: str | None

    def diff(self) -> str:
        """The change as a unified diff in git's form, three lines of context; "" where nothing changes."""
        if self.before == self.after:
            return ""
        lines = [f"diff --git a/{self.path} b/{self.path}\n"]
        if self.before is None:
            lines.append("new file mode 100644\n")
        if self.after is None:
            lines.append("deleted file mode 100644\n")
        old = "/dev/null" if self.before is None else f"a/{self.path}"
        new = "/dev/null" if self.after is None else f"b/{self.path}"
        diff = difflib.unified_diff(_lines(self.before), _lines(self.after), old, new, lineterm="\n")
        lines.extend(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in diff)
        return "".join(lines)


def _lines(text: str | None) -> list[str]:
    """Lines as git counts them: ended by a newline and nothing else."""
    if not text:
        return []
    parts = text.split("\n")
    whole = [part + "\n" for part in parts[:-1]]
    return whole + ([parts[-1]] if parts[-1] else [])


@dataclass(frozen=True, slots=True)
class Patch:
    """One reviewable change. `id` is `NNN-rule-slug` (its place in the series).

    `model` is the one that wrote it freely; "" for a rule's mend.
    """

    id: str
    title: str
    rule: str
    category: str
    findings: tuple[str, ...]
    author: str
    rationale: str
    changes: tuple[FileChange, ...]
    model: str = ""

    @property
    def by(self) -> str:
        """Who answers for it, in words: the agent, and the model where that wrote it itself."""
        return f"{self.author} (written by {self.model})" if self.model else self.author

    @property
    def files(self) -> tuple[str, ...]:
        """The paths that it touches."""
        return tuple(change.path for change in self.changes)

    def diff(self) -> str:
        """All changes as one unified diff."""
        return "".join(change.diff() for change in self.changes)


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate saw; `passed` is None where it did not apply, and `detail` says why.

    `rules` are those whose patches a refusal is about, where the gate can tell.
    """

    name: GateName
    passed: bool | None
    detail: str
    duration_s: float = 0.0
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """What a patch did to one metric, measured side by side; `ratio` is after / before."""

    metric: str
    before: float
    after: float
    ratio: float
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Every gate that applies was passed."""

    gates: tuple[GateResult, ...]
    effect: Effect | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The first gate that failed, and why."""

    gate: GateName
    reason: str
    gates: tuple[GateResult, ...]
    effect: Effect | None = None


Verdict = Accepted | Rejected


@dataclass(frozen=True, slots=True)
class JudgedPatch:
    """A patch with its verdict."""

    patch: Patch
    verdict: Verdict

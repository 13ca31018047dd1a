"""A rule: one file that finds a problem in the target and, where it can do so safely, mends it."""

from __future__ import annotations

import ast
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from swarm.analysis.edits import Edit, apply_edits
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.findings import Category, Confidence, Finding, Severity
from swarm.core.patches import FileChange
from swarm.rules.writing.fitting import fitted

# a `noqa` that names codes counts only where they are of the kinds that these rules speak of
DELIBERATE = re.compile(
    r"\b(?:nosec|deliberate(?:ly)?|intentional(?:ly)?|on purpose|noqa(?!\s*:)|noqa:[^#]*\b(?:S|ASYNC|PERF|BLE|T)\d)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Example:
    """A piece of a target with the problem in it; `after` is its exact text once mended, None for advice.

    `framework` is a label for readers ("fastapi", "flask", "starlette", "none"); the text is `app.py`.
    """

    before: str
    after: str | None
    framework: str = "none"


@dataclass(frozen=True, slots=True)
class Mend:
    """The change that mends findings of one rule in one file."""

    title: str
    rationale: str
    changes: tuple[FileChange, ...]


class Rule(ABC):
    """The seam of all rules; a subclass's docstring is what `swarm explain` shows."""

    id: ClassVar[str]
    category: ClassVar[Category]
    severity: ClassVar[Severity]
    title: ClassVar[str]
    cwe: ClassVar[tuple[str, ...]] = ()
    bad: ClassVar[tuple[Example, ...]]
    good: ClassVar[tuple[str, ...]]
    sources: ClassVar[tuple[str, ...]] = ()
    order: ClassVar[int] = 50  # its patches' place in the stack among those of its category
    answers_early: ClassVar[bool] = False  # its mend leaves work behind the answer: the gate `durable` judges it
    told_by: ClassVar[str] = ""  # the rule whose finding, where there is one, tells of all that this one finds
    keeps: ClassVar[bool] = False  # its mend gains by what it keeps: measured once there is something kept

    @abstractmethod
    def find(self, index: Index) -> Iterable[Finding]:
        """Every place that has the problem."""

    def mend(self, index: Index, findings: Sequence[Finding]) -> Mend | None:
        """One change for the findings of this rule in one file; None where there is a recommendation only."""
        return None

    def finding(
        self, module: Module, node: ast.AST, *, evidence: str, recommendation: str, anchor: str,
        mendable: bool, confidence: Confidence = "high", title: str = "", severity: Severity | None = None,
        deliberate: bool = False,
    ) -> Finding:  # fmt: skip
        """A finding at `node`; one that a comment on its lines calls deliberate is lowered to info."""
        line = getattr(node, "lineno", 0)
        end_line = getattr(node, "end_lineno", None) or line
        deliberate = deliberate or is_deliberate(module, node)
        return Finding(
            rule=self.id,
            category=self.category,
            severity="info" if deliberate else severity or self.severity,
            confidence=confidence,
            title=title or self.title,
            file=module.path,
            line=line,
            end_line=end_line,
            evidence=evidence + (" (a comment there calls it deliberate)" if deliberate else ""),
            recommendation=recommendation,
            anchor=anchor,
            cwe=self.cwe,
            mendable=mendable and not deliberate,
            sources=self.sources,
        )


def is_deliberate(module: Module, node: ast.AST) -> bool:
    """Whether a comment on the node's first line, its last or the line before says that it is meant."""
    first = getattr(node, "lineno", 0)
    last = getattr(node, "end_lineno", None) or first
    for line in (first, last):
        if DELIBERATE.search(module.line(line).partition("#")[2]):
            return True
    before = module.line(first - 1).strip()
    return before.startswith("#") and DELIBERATE.search(before) is not None


def edited(module: Module, edits: Iterable[Edit]) -> FileChange:
    """The module's file with some edits made; import lines added at one place are put in order."""
    imports: dict[int, list[Edit]] = {}
    others: list[Edit] = []
    for edit in edits:
        is_import = edit.start == edit.end and edit.text.lstrip().startswith(("import ", "from "))
        (imports.setdefault(edit.start, []) if is_import else others).append(edit)
    for start, several in imports.items():
        others.append(Edit(start, start, _imports_at_one_place([edit.text for edit in several])))
    return FileChange(module.path, module.text, fitted(module.text, apply_edits(module.text, others)))


def _imports_at_one_place(texts: list[str]) -> str:
    """Import lines in order. Those that begin or end a group keep their blank line between them and the others."""
    opening = sorted({t.strip() for t in texts if t.endswith("\n\n")}, key=_import_order)
    ending = sorted({t.strip() for t in texts if t.startswith("\n")}, key=_import_order)
    plain = sorted({t.strip() for t in texts} - {*opening, *ending}, key=_import_order)
    groups = [group for group in (opening, plain, ending) if group]
    if not plain:
        groups = [sorted({*opening, *ending}, key=_import_order)]
    lead = "\n" if ending and not plain else ""
    tail = "\n" if opening and not plain else ""
    return lead + "\n".join("\n".join(group) + "\n" for group in groups) + tail


def _import_order(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line

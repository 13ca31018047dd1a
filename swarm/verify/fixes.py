"""A fix is the recipe of a patch: it can be written again on any state of the tree."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarm.analysis.index import Index
from swarm.core.findings import Category, Finding
from swarm.core.patches import FileChange, Patch
from swarm.rules.looking import found_by
from swarm.rules.rule import Rule
from swarm.verify.merging import merge


@dataclass(frozen=True, slots=True)
class Fix:
    """Mend these findings of one rule in one file; `spared` are those there that nobody wants mended.

    `edits` holds a free-form change in place of a rule's mend: whole files, as they were where `model` wrote it and
    as they shall be. `attempt` counts how often it was written, from 1.
    """

    rule: str
    category: Category
    file: str
    findings: tuple[str, ...]
    author: str
    title: str = ""
    rationale: str = ""
    edits: tuple[FileChange, ...] = ()
    model: str = ""
    attempt: int = 1
    spared: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The same fix has the same key in every run."""
        return f"{self.rule}:{self.file}" + (f":{','.join(self.findings)}:{self.author}" if self.edits else "")


@dataclass(frozen=True, slots=True)
class NotMended:
    """Why there is no patch for a fix on this tree."""

    reason: str


def build_patch(fix: Fix, index: Index, rules: Mapping[str, Rule], number: int) -> Patch | NotMended:
    """Write the patch of `fix` on the tree that `index` holds; `number` is its place in the series."""
    if fix.edits:
        return Patch(
            id=_edit_id(number, fix),
            title=fix.title,
            rule=fix.rule,
            category=fix.category,
            findings=fix.findings,
            author=fix.author,
            rationale=fix.rationale,
            changes=tuple(_carried_over(change, index) for change in fix.edits),
            model=fix.model,
        )
    rule = rules.get(fix.rule)
    if rule is None:
        return NotMended(f"no rule named {fix.rule} is known")
    findings = findings_to_mend(fix, index, rule)
    if not findings:
        return NotMended("an earlier patch has already mended it")
    try:
        with index.alone:
            mend = rule.mend(index, findings)
    except Exception as error:  # noqa: BLE001 - one rule that cannot write here keeps no other from doing so
        return NotMended(f"the rule broke down over it ({type(error).__name__}: {error}): a mistake of swarm's")
    if mend is None or not any(change.before != change.after for change in mend.changes):
        return NotMended("the rule gives a recommendation here and no patch")
    return Patch(
        id=patch_id(number, fix.rule, fix.file),
        title=mend.title,
        rule=fix.rule,
        category=fix.category,
        findings=fix.findings,
        author=fix.author,
        rationale=mend.rationale,
        changes=tuple(change for change in mend.changes if change.before != change.after),
    )


def _carried_over(change: FileChange, index: Index) -> FileChange:
    """The change on top of what patches before it made of its file; as it was written where they collide."""
    module = index.tree.modules.get(change.path)
    if change.before is None or change.after is None or module is None or module.text == change.before:
        return change
    merged = merge(change.before, change.after, module.text)
    return change if merged is None else FileChange(change.path, module.text, merged)


def findings_to_mend(fix: Fix, index: Index, rule: Rule) -> Sequence[Finding]:
    """The fix's findings as they stand on this tree: all that its rule would mend in the file, and is not spared.

    An earlier patch may have renamed what a finding goes by, so the ids alone would miss some.
    """
    return [f for f in found_by(rule, index) if f.file == fix.file and f.mendable and f.id not in fix.spared]


def _edit_id(number: int, fix: Fix) -> str:
    """Several free-form changes may answer one rule in one file, and one may be written several times."""
    again = f"-try{fix.attempt}" if fix.attempt > 1 else ""
    return f"{patch_id(number, fix.rule, fix.file)}-{fix.findings[0][:4] if fix.findings else 'edit'}{again}"


def patch_id(number: int, rule: str, file: str) -> str:
    """`NNN-rule-slug`, where the slug comes from the file's name."""
    stem = file.rsplit("/", 1)[-1].removesuffix(".py")
    slug = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return f"{number:03d}-{rule}" + (f"-{slug}" if slug else "")

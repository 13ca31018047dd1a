"""Gate `gone`: the mended findings are not found any more, and no grave new one is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from swarm.analysis.bandit_scan import bandit_findings
from swarm.core.findings import Finding, severity_rank
from swarm.core.patches import GateResult, Patch
from swarm.rules.looking import blind_rules
from swarm.rules.scan import scan
from swarm.verify.lab import Lab, Trial

_NEW_AT_MOST = severity_rank("medium")


def check(lab: Lab, trial: Trial) -> GateResult:
    """Scan the candidate and hold it against the original."""
    after = {finding.id: finding for finding in scan(trial.stack.index)}
    original = scan(lab.original.index)
    before, counts = {finding.id for finding in original}, Counter(finding.rule for finding in original)
    blind = sorted(blind_rules(trial.stack.index).keys() - blind_rules(lab.original.index).keys())
    if blind:
        return GateResult("gone", False, f"{blind[0]} cannot look at the patched code")
    still = [
        after[finding] for patch in trial.judged for finding in patch.findings
        if finding in after and after[finding].rule == patch.rule and after[finding].mendable
    ]  # fmt: skip
    if still:
        return GateResult("gone", False, f"still found: {_place(still[0])}")
    grave = [f for f in after.values() if f.id not in before and severity_rank(f.severity) <= 1]
    now = Counter(finding.rule for finding in after.values())
    new = [f for f in grave if now[f.rule] > counts[f.rule]]
    if new:
        return GateResult("gone", False, f"brings a new finding: {new[0].rule} at {_place(new[0])}")
    written = [patch for patch in trial.judged if patch.model]
    wrong, unseen = _look_closer(written, after, {f.id: f for f in scan(trial.below.index)}) if written else ("", 0)
    wrong = wrong or (_bandit_says_more(lab, trial, written) if written else "")
    if wrong:
        return GateResult("gone", False, wrong)
    mended = sum(len(patch.findings) for patch in trial.judged) - unseen
    if not mended and unseen:
        return GateResult("gone", None, "no rule can look for what a model found by reading")
    more = f"; {unseen} that a model found by reading cannot be looked for" if unseen else ""
    return GateResult("gone", True, f"{mended} findings are gone, no grave new one{more}")


def _look_closer(
    written: Sequence[Patch], after: Mapping[str, Finding], before: Mapping[str, Finding]
) -> tuple[str, int]:
    """Why patches that a model wrote are refused, or "", and how many of their findings no rule sees.

    A rule's mend is known to mend. Of an edit it is not enough that the finding's name is gone: a moved or renamed
    piece of code gives the problem another name. Nor may it bring anything new above low.
    """
    answered = [before[finding] for patch in written for finding in patch.findings if finding in before]
    still = next((after[finding.id] for finding in answered if finding.id in after), None)
    if still is not None:
        return f"still found: {_place(still)}", 0
    fewer = Counter(finding.rule for finding in answered)
    now, then = (Counter(finding.rule for finding in side.values()) for side in (after, before))
    for rule, count in fewer.items():
        if now[rule] > then[rule] - count:
            left = next(f for f in after.values() if f.rule == rule and f.id not in before)
            return f"still found under another name: {_place(left)}", 0
    new = [f for f in after.values() if f.id not in before and severity_rank(f.severity) <= _NEW_AT_MOST]
    worse = next((f for f in new if now[f.rule] > then[f.rule]), None)
    if worse is not None:
        return f"brings a new finding: {worse.rule} at {_place(worse)}", 0
    return "", sum(len(patch.findings) for patch in written) - len(answered)


def _bandit_says_more(lab: Lab, trial: Trial, written: Sequence[Patch]) -> str:
    """What bandit says of files that a model changed and did not say before, above low; or ""."""
    files = sorted({path for patch in written for path in patch.files})
    root = lab.folder("before-edits")
    for path in files:
        module = trial.below.index.tree.modules.get(path)
        if module is not None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(module.text, encoding="utf-8")
    known = [path for path in files if (root / path).exists()]
    before = Counter(finding.rule for finding in bandit_findings(root, known))
    after = bandit_findings(trial.copy.path, files)
    counts = Counter(finding.rule for finding in after)
    grave = (f for f in after if severity_rank(f.severity) <= _NEW_AT_MOST and counts[f.rule] > before[f.rule])
    worse = next(grave, None)
    return f"brings a new finding: {worse.title} at {_place(worse)}" if worse else ""


def _place(finding: Finding) -> str:
    return f"{finding.file}:{finding.line} {finding.title}" if finding.file else finding.title

"""The last words of a run: verdict, before and after, patches, failures once more, the next commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from swarm.console.wording import clean
from swarm.core.patches import Rejected
from swarm.core.report import Report
from swarm.core.spending import asked_a_provider, money, spent
from swarm.core.wording import counted, seconds

Row = tuple[str, str, str, str]  # label, before, after, change
_DIFFERENCES_SHOWN = 3


def summary_lines(
    report: Report, verdict: Sequence[str], rows: Sequence[Row], folder: str, *, run: str | None = None,
    resumable: bool = False,
) -> list[str]:  # fmt: skip
    """Plain lines. `verdict` and `rows` come from reporting, so that the terminal says what the report says.

    `run` are the words that name the run to a later command; its id where none are given. A run that was cut off is
    `resumable`.
    """
    lines = ["", *(clean(line) for line in verdict if line), ""]
    lines += _table(rows)
    rejected = [p for p in report.patches if isinstance(p.verdict, Rejected)]
    accepted = len(report.patches) - len(rejected)
    left = sum(f.status != "patched" for f in report.findings)
    lines.append(f"{counted(accepted, 'patch', 'patches')} accepted, {len(rejected)} rejected, "
                 f"{counted(left, 'finding')} left open, {seconds(report.run.duration_s)} in all")  # fmt: skip
    if asked_a_provider(report.agents):
        took = spent(report.agents)
        lines.append(f"tokens of the models: {took.words}; {money(took.usd)}")
    lines += _failures(report)
    lines += ["", "Next:", *_next(report, accepted, folder, run or clean(report.run.id), resumable)]
    return lines


def print_summary(lines: Sequence[str], out: TextIO) -> None:
    """Write the lines; a reader that left is no error."""
    try:
        encoding = getattr(out, "encoding", None) or "utf-8"
        out.write("".join(line.encode(encoding, "replace").decode(encoding) + "\n" for line in lines))
        out.flush()
    except (OSError, ValueError):
        return


def _table(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    cells = [("", "before", "after", "change"), *(tuple(clean(cell, 60) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = []
    for label, before, after, change in cells:
        line = f"  {label:<{widths[0]}}  {before:>{widths[1]}}  {after:>{widths[2]}}  {change}"
        lines.append(line.rstrip())
    return [*lines, ""]


def _failures(report: Report) -> list[str]:
    """What went wrong, repeated where it is seen: rejected patches, missed targets, agents, differences."""
    lines = []
    for judged in report.patches:
        if isinstance(judged.verdict, Rejected):
            reason = clean(judged.verdict.reason, 120)
            lines.append(f"  rejected {clean(judged.patch.id)} by {judged.verdict.gate}: {reason}")
    lines += [
        f"  missed   {clean(t.expression)}: {clean(t.reason or 'measured above', 100)}"
        for t in report.targets
        if t.met is False
    ]
    lines += [
        f"  {a.status:<8} {clean(a.name)}: {clean(a.note or 'no note', 120)}"
        for a in report.agents
        if a.status != "done"
    ]
    if report.verification.replay:
        lines += [
            f"  differs  {clean(text, 140)}" for text in report.verification.replay.differences[:_DIFFERENCES_SHOWN]
        ]
    return ["", "To look at:", *lines] if lines else []


def _next(report: Report, accepted: int, folder: str, run: str, resumable: bool) -> list[str]:
    commands = [(f"open {clean(folder)}/report.html", "the whole report")]
    if accepted:
        commands.insert(0, (f"swarm apply {run} --check", "tells whether the patches fit your tree; changes nothing"))
        commands.insert(1, (f"swarm apply {run}", f"puts {counted(accepted, 'patch', 'patches')} into it"))
    if resumable:
        commands.insert(0, (f"swarm resume {run}", "goes on where this run was cut off"))
    open_rules = list(dict.fromkeys(f.rule for f in report.findings if f.status != "patched"))
    if open_rules:
        commands.append((f"swarm explain {clean(open_rules[0])}", "why a finding left open matters"))
    width = max(len(command) for command, _ in commands)
    return [f"  {command:<{width}}   {words}" for command, words in commands]

"""patterns-across-runs.md: what the runs of one target have in common, rule by rule and agent by agent. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.core.report import Report
from swarm.core.spending import spent
from swarm.core.wording import counted
from swarm.reporting.escape import code, markdown
from swarm.reporting.lessons import ENOUGH, Ran, earned, never_accepted, patterns_ran, tally
from swarm.reporting.numbers import change, seconds
from swarm.reporting.verdict import accepted

FILENAME = "patterns-across-runs.md"
MOST_RUNS = 10


def render(reports: Sequence[Report]) -> str:
    """All `reports` are of one target, the oldest first, this run's the last. Empty for fewer than two."""
    if len(reports) < ENOUGH:
        return ""
    first, last = reports[0].run, reports[-1].run
    head = (f"# {counted(len(reports), 'run')} of {code(last.target)}\n\n{markdown(first.started)} to "
            f"{markdown(last.started)}, {code(first.id)} to {code(last.id)}. Runs that ended early count for what "
            "they did. A change between runs may be the service's, the machine's or swarm's.")  # fmt: skip
    parts = (head, _trends(reports), _rules(reports), _agents(reports), _advice(reports))
    return "\n\n".join(part for part in parts if part) + "\n"


def _trends(reports: Sequence[Report]) -> str:
    rows = [
        f"| {code(r.run.id)} | {markdown(r.run.pattern)} | {markdown(r.run.status)} | {seconds(r.run.duration_s)} "
        f"| {spent(r.agents).all_tokens:,} | {len(r.findings)} | {len(accepted(r))} of {len(r.patches)} |"
        for r in reports
    ]
    before, now = reports[0], reports[-1]
    words = ""
    if before.run.duration_s > 0 and spent(before.agents).all_tokens:
        words = (f"\n\nFrom the first to the last: time {change(now.run.duration_s / before.run.duration_s)}, tokens "
                 f"{change(spent(now.agents).all_tokens / spent(before.agents).all_tokens)}.")  # fmt: skip
    head = "| run | pattern | status | took | tokens | findings | patches accepted |\n|---|---|---|---|---|---|---|"
    return "## Trends\n\n" + head + "\n" + "\n".join(rows) + words


def _rules(reports: Sequence[Report]) -> str:
    won, lost = tally(reports)
    rows = []
    for rule in sorted({*won, *lost}, key=lambda one: (-sum(lost[one].values()), -won[one], one)):
        gates = ", ".join(f"{gate} {times}" for gate, times in lost[rule].most_common())
        rows.append(f"| {code(rule)} | {won[rule]} | {sum(lost[rule].values())} | {markdown(gates) or '–'} |")
    if not rows:
        return ""
    return "## Rules\n\n| rule | accepted | rejected | stopped by |\n|---|---|---|---|\n" + "\n".join(rows)


def _agents(reports: Sequence[Report]) -> str:
    rows = [
        f"| {markdown(name)} | {one.runs} | {one.findings} | {one.patches} | {one.tokens:,} "
        f"| {f'{one.tokens // one.patches:,}' if one.patches else '–'} |"
        for name, one in sorted(earned(reports).items())
    ]
    if not rows:
        return ""
    head = "| specialist | runs | findings | accepted patches | tokens | tokens for one |\n|---|---|---|---|---|---|"
    return "## Who earned their tokens\n\n" + head + "\n" + "\n".join(rows)


def _advice(reports: Sequence[Report]) -> str:
    lines = [
        f"No patch of {code(one.rule)} was accepted in {counted(one.tries, 'try', 'tries')} of {one.runs} runs "
        f"(stopped by {markdown(', '.join(one.gates))}): leave its findings to a person (`advice_only`)."
        for one in never_accepted(reports)
    ]
    lines += [
        f"{markdown(name)} brought no accepted patch in {one.runs} runs for {one.tokens:,} tokens: leave it out, or "
        "give it other tools."
        for name, one in sorted(earned(reports).items())
        if one.runs >= ENOUGH and not one.patches
    ]
    ran = patterns_ran(reports)
    if len(ran) > 1:
        best, *others = ran
        told = "; ".join(f"{markdown(one.pattern)} {_figures(one)}" for one in others)
        lines.append(f"{markdown(best.pattern)} did best: {_figures(best)}, against {told}.")
    return "## What follows\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _figures(ran: Ran) -> str:
    return (
        f"{ran.patches:g} accepted patches in {seconds(ran.seconds)} for {ran.tokens:,.0f} tokens "
        f"({counted(ran.runs, 'run')})"
    )

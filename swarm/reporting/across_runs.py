"""patterns-across-runs.md: what the runs of one target have in common, rule by rule and agent by agent. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from swarm.core.patches import Accepted, Rejected
from swarm.core.report import AgentInfo, Report
from swarm.reporting.escape import code, markdown
from swarm.reporting.numbers import change, count, seconds
from swarm.reporting.verdict import accepted

FILENAME = "patterns-across-runs.md"
MOST_RUNS = 10
_ENOUGH = 2  # runs in which a thing must have shown itself before it is advice


def render(reports: Sequence[Report]) -> str:
    """All `reports` are of one target, the oldest first, this run's the last. Empty for fewer than two."""
    if len(reports) < _ENOUGH:
        return ""
    first, last = reports[0].run, reports[-1].run
    head = (f"# {count(len(reports), 'run')} of {code(last.target)}\n\n{markdown(first.started)} to "
            f"{markdown(last.started)}, {code(first.id)} to {code(last.id)}. Runs that ended early count for what "
            "they did. A change between runs may be the service's, the machine's or swarm's.")  # fmt: skip
    parts = (head, _trends(reports), _rules(reports), _agents(reports), _advice(reports))
    return "\n\n".join(part for part in parts if part) + "\n"


def _trends(reports: Sequence[Report]) -> str:
    rows = [
        f"| {code(r.run.id)} | {markdown(r.run.pattern)} | {markdown(r.run.status)} | {seconds(r.run.duration_s)} "
        f"| {sum(map(_tokens, r.agents)):,} | {len(r.findings)} | {len(accepted(r))} of {len(r.patches)} |"
        for r in reports
    ]
    before, now = reports[0], reports[-1]
    words = ""
    if before.run.duration_s > 0 and _tokens_of(before):
        words = (f"\n\nFrom the first to the last: time {change(now.run.duration_s / before.run.duration_s)}, tokens "
                 f"{change(_tokens_of(now) / _tokens_of(before))}.")  # fmt: skip
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


def tally(reports: Sequence[Report]) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """Patches of each rule: how many were accepted, and which gates refused how many."""
    won: Counter[str] = Counter()
    lost: dict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        for judged in report.patches:
            if isinstance(judged.verdict, Rejected):
                lost[judged.patch.rule][judged.verdict.gate] += 1
            elif isinstance(judged.verdict, Accepted):
                won[judged.patch.rule] += 1
    return won, lost


def earned(reports: Sequence[Report]) -> dict[str, tuple[int, int, int, int]]:
    """By specialist: runs, findings, accepted patches that answer one of them, tokens."""
    found: dict[str, tuple[int, int, int, int]] = {}
    for report in reports:
        reporter = {finding.id: finding.agent for finding in report.findings}
        for agent in report.agents:
            if agent.role != "specialist":
                continue
            kept = sum(
                any(reporter.get(one) == agent.name for one in judged.patch.findings)
                for judged in report.patches
                if isinstance(judged.verdict, Accepted)
            )
            runs, findings, patches, tokens = found.get(agent.name, (0, 0, 0, 0))
            found[agent.name] = (runs + 1, findings + agent.findings, patches + kept, tokens + _tokens(agent))
    return found


def _agents(reports: Sequence[Report]) -> str:
    rows = [
        f"| {markdown(name)} | {runs} | {findings} | {patches} | {tokens:,} "
        f"| {f'{tokens // patches:,}' if patches else '–'} |"
        for name, (runs, findings, patches, tokens) in sorted(earned(reports).items())
    ]
    if not rows:
        return ""
    head = "| specialist | runs | findings | accepted patches | tokens | tokens for one |\n|---|---|---|---|---|---|"
    return "## Who earned their tokens\n\n" + head + "\n" + "\n".join(rows)


def _advice(reports: Sequence[Report]) -> str:
    won, lost = tally(reports)
    lines = [
        f"No patch of {code(rule)} was accepted in {count(sum(gates.values()), 'try', 'tries')} "
        f"(stopped by {markdown(', '.join(sorted(gates)))}): leave its findings to a person."
        for rule, gates in sorted(lost.items())
        if not won[rule] and sum(gates.values()) >= _ENOUGH
    ]
    lines += [
        f"{markdown(name)} brought no accepted patch in {runs} runs for {tokens:,} tokens: leave it out, or give it "
        "other tools."
        for name, (runs, _, patches, tokens) in sorted(earned(reports).items())
        if runs >= _ENOUGH and not patches
    ]
    return "## What follows\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _tokens(agent: AgentInfo) -> int:
    return agent.input_tokens + agent.cache_read_tokens + agent.cache_write_tokens + agent.output_tokens


def _tokens_of(report: Report) -> int:
    return sum(map(_tokens, report.agents))

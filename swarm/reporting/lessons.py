"""What runs of one target teach about the next: patterns, agents, models, rules. Pure; one case teaches nothing."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from swarm.core.patches import Accepted, Rejected
from swarm.core.report import Report
from swarm.core.spending import spent
from swarm.reporting.verdict import accepted

ENOUGH = 2  # runs in which a thing must have shown itself before it is advice
_AS_GOOD = 0.95  # of the most accepted patches: what is within that is as good


@dataclass(frozen=True, slots=True)
class Earned:
    """A specialist over several runs. `patches` are the accepted ones that answer a finding of its own."""

    runs: int
    findings: int
    patches: int
    tokens: int
    most_tokens: int
    most_turns: int

    @property
    def nothing(self) -> bool:
        """Whether it brought neither a finding nor a patch in enough runs to say so."""
        return self.runs >= ENOUGH and not self.findings and not self.patches


@dataclass(frozen=True, slots=True)
class Refused:
    """A rule whose patches were all refused: how many, in how many runs, and by which gates."""

    rule: str
    tries: int
    runs: int
    gates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """Whole runs of one pattern; the figures are medians."""

    pattern: str
    runs: int
    seconds: float
    tokens: float
    patches: float


@dataclass(frozen=True, slots=True)
class Played:
    """Runs in which one model played an agent; patches and dollars are means of a run."""

    model: str
    runs: int
    patches: float
    usd: float


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


def earned(reports: Sequence[Report]) -> dict[str, Earned]:
    """What each specialist's work came to over all reports, by its name."""
    found: dict[str, Earned] = {}
    for report in reports:
        kept = _patches_by_agent(report)
        for agent in report.agents:
            if agent.role != "specialist":
                continue
            before = found.get(agent.name, Earned(0, 0, 0, 0, 0, 0))
            tokens = spent((agent,)).all_tokens
            found[agent.name] = Earned(
                before.runs + 1,
                before.findings + agent.findings,
                before.patches + kept[agent.name],
                before.tokens + tokens,
                max(before.most_tokens, tokens),
                max(before.most_turns, agent.turns),
            )
    return found


def never_accepted(reports: Sequence[Report]) -> tuple[Refused, ...]:
    """Rules whose mends were refused in several runs and accepted in none; models' own patches are not theirs."""
    tries: dict[str, list[tuple[str, str]]] = defaultdict(list)
    good: set[str] = set()
    for report in reports:
        for judged in report.patches:
            if judged.patch.model:
                continue
            if isinstance(judged.verdict, Rejected):
                tries[judged.patch.rule].append((report.run.id, judged.verdict.gate))
            else:
                good.add(judged.patch.rule)
    found = (
        Refused(rule, len(told), len({run for run, _ in told}), tuple(sorted({gate for _, gate in told})))
        for rule, told in sorted(tries.items())
        if rule not in good
    )
    return tuple(one for one in found if one.runs >= ENOUGH)


def patterns_ran(reports: Sequence[Report]) -> tuple[Ran, ...]:
    """Patterns that ran to their end, the best first: as many accepted patches as any other, in the least time."""
    by_pattern: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        if report.run.status == "complete":
            by_pattern[report.run.pattern].append(report)
    ran = [
        Ran(
            pattern,
            len(whole),
            statistics.median(one.run.duration_s for one in whole),
            statistics.median(spent(one.agents).all_tokens for one in whole),
            statistics.median(len(accepted(one)) for one in whole),
        )
        for pattern, whole in by_pattern.items()
    ]
    most = max((one.patches for one in ran), default=0.0)
    return tuple(sorted(ran, key=lambda one: (one.patches < _AS_GOOD * most, one.seconds, one.pattern)))


def models_played(reports: Sequence[Report], agent: str) -> tuple[Played, ...]:
    """Models that played an agent in enough runs at a price that is known, the cheapest first."""
    by_model: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for report in reports:
        kept = _patches_by_agent(report)
        for one in report.agents:
            if one.name == agent and one.provider != "offline" and one.cost_usd is not None:
                by_model[one.model].append((kept[agent], one.cost_usd))
    played = [
        Played(model, len(had), statistics.mean(n for n, _ in had), statistics.mean(usd for _, usd in had))
        for model, had in by_model.items()
        if len(had) >= ENOUGH
    ]
    return tuple(sorted(played, key=lambda one: (one.usd, one.model)))


def _patches_by_agent(report: Report) -> Counter[str]:
    """Accepted patches that answer a finding of the agent's."""
    reporter = {finding.id: finding.agent for finding in report.findings}
    kept: Counter[str] = Counter()
    for judged in report.patches:
        if isinstance(judged.verdict, Accepted):
            kept.update({reporter[one] for one in judged.patch.findings if one in reporter})
    return kept

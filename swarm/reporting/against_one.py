"""A run of a swarm beside a run of one generalist: what isolation and working side by side have saved. Pure."""

from __future__ import annotations

from swarm.core.report import Report
from swarm.core.spending import spent
from swarm.reporting.compared import Line, Part
from swarm.reporting.numbers import seconds, share

SINGLE = "single"


def against_one(first: Report, second: Report) -> tuple[Part, ...]:
    """The part for two runs of which one alone is of the pattern `single`; none where they don't say so."""
    if (first.run.pattern == SINGLE) == (second.run.pattern == SINGLE) or not (first.agents and second.agents):
        return ()
    swarm, single = (second, first) if first.run.pattern == SINGLE else (first, second)

    def line(label: str, told: tuple[str, str], mine: float | None, other: float | None) -> Line:
        less = None if mine is None or not other else 1 - mine / other
        words = "" if less is None else f"swarm: {share(abs(less))} {'less' if less >= 0 else 'more'}"
        return Line(label, *told, words)

    return (
        Part(
            "A swarm against one generalist",
            (
                line("largest context of an agent, tokens", (_peak(first), _peak(second)),
                     peak_tokens(swarm), peak_tokens(single)),
                line("of them without the coordinator", (_own_peak(first), _own_peak(second)),
                     own_peak_tokens(swarm), own_peak_tokens(single)),
                line("tokens of all turns", (f"{all_tokens(first):,}", f"{all_tokens(second):,}"),
                     all_tokens(swarm), all_tokens(single)),
                line("wall time until all was found", (seconds(first.time.wall_s), seconds(second.time.wall_s)),
                     swarm.time.wall_s, single.time.wall_s),
                Line("findings", str(len(first.findings)), str(len(second.findings)), _shared(swarm, single)),
            ),
        ),
    )  # fmt: skip


def peak_tokens(report: Report) -> int:
    """The most that any agent held at once."""
    return max((agent.peak_context_tokens for agent in report.agents), default=0)


def own_peak_tokens(report: Report) -> int:
    """The same, of those who look for problems."""
    return max((agent.peak_context_tokens for agent in report.agents if agent.role == "specialist"), default=0)


def all_tokens(report: Report) -> int:
    """What all turns read and wrote."""
    return spent(report.agents).all_tokens


def _peak(report: Report) -> str:
    return f"{peak_tokens(report):,}"


def _own_peak(report: Report) -> str:
    return f"{own_peak_tokens(report):,}"


def _shared(swarm: Report, single: Report) -> str:
    both = {f.id for f in swarm.findings} & {f.id for f in single.findings}
    return f"{len(both)} found by both"

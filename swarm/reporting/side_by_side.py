"""Two runs side by side: patterns, time, tokens, latency, findings and patches, and what forbids comparing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from swarm.core.metrics import ANSWER, END_TO_END, Comparison
from swarm.core.report import Report, Score
from swarm.core.spending import money, spent
from swarm.reporting.against_one import against_one
from swarm.reporting.compared import Line, Part
from swarm.reporting.escape import code, markdown
from swarm.reporting.numbers import MISSING, change, interval, plain, quantity, seconds, share
from swarm.reporting.verdict import accepted, main_comparison, newly_failing, rejected, severity_counts

_LISTED = 12  # of findings or patches that only one run has


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Everything that can be told of two runs; `cautions` say what must not be compared, and why."""

    first: str
    second: str
    cautions: tuple[str, ...]
    parts: tuple[Part, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def side_by_side(first: Report, second: Report) -> SideBySide:
    """Compare two runs; nothing is told that both reports do not hold."""
    parts = (
        Part("Run", _run(first, second)),
        Part("Time", _time(first, second)),
        Part("Tokens", _tokens(first, second)),
        *against_one(first, second),
        Part("Service, before → after the patches", _service(first, second)),
        Part("Findings and patches", _work(first, second)),
    )
    mine, other = _done(first), _done(second)
    return SideBySide(
        first.run.id,
        second.run.id,
        _cautions(first, second),
        parts,
        tuple(text for key, text in mine.items() if key not in other),
        tuple(text for key, text in other.items() if key not in mine),
    )


def render_markdown(both: SideBySide) -> str:
    """Everything as Markdown tables."""
    lines = [f"# {code(both.first)} beside {code(both.second)}"]
    if both.cautions:
        lines += ["", *(f"> {markdown(text)}  " for text in both.cautions)]
    for part in both.parts:
        lines += ["", f"## {markdown(part.title)}", "", "|  | first | second | second / first |", "|---|---|---|---|"]
        lines += [
            f"| {markdown(line.label)} | {markdown(line.first)} | {markdown(line.second)} | {markdown(line.change)} |"
            for line in part.lines
        ]
    for run, only in ((both.first, both.only_first), (both.second, both.only_second)):
        if only:
            lines += ["", f"## Only in {code(run)}", "", *(f"- {markdown(text)}" for text in shortened(only))]
    return "\n".join(lines) + "\n"


def shortened(texts: Sequence[str]) -> list[str]:
    """The first of a long list, and how many more there are."""
    more = len(texts) - _LISTED
    return [*texts[:_LISTED], f"and {more} more"] if more > 0 else list(texts)


def _cautions(first: Report, second: Report) -> tuple[str, ...]:
    one, other = first.run, second.run
    said = []
    if one.target != other.target:
        said.append(f"Different targets ({one.target}, {other.target}): only how the swarms worked can be compared.")
    elif one.target_commit != other.target_commit:
        said.append(f"The target's code differs: commit {one.target_commit or 'unknown'}, then "
                    f"{other.target_commit or 'unknown'}.")  # fmt: skip
    if one.swarm_version != other.swarm_version:
        said.append(f"Different versions of swarm: {one.swarm_version}, then {other.swarm_version}.")
    for name, a, b in (
        ("security", first.security_score, second.security_score),
        ("compliance", first.compliance_score, second.compliance_score),
    ):
        if a.registry != b.registry:
            said.append(f"The {name} scores are of different lists of checks.")
    if _provider(first) != _provider(second) or _counted(first) != _counted(second):
        said.append(f"Different models or ways of counting tokens ({_provider(first)}, {_counted(first)}; then "
                    f"{_provider(second)}, {_counted(second)}): tokens cannot be compared.")  # fmt: skip
    said += [
        f"{report.run.id} is {report.run.status}: it may have done less."
        for report in (first, second)
        if report.run.status != "complete"
    ]
    said.append("Milliseconds of two runs were measured at different times; each run's own ratio is what counts.")
    return tuple(said)


def _run(first: Report, second: Report) -> tuple[Line, ...]:
    def line(label: str, told: Callable[[Report], str]) -> Line:
        return Line(label, told(first), told(second))

    return (
        line("swarm", lambda r: r.run.swarm),
        line("target", lambda r: r.run.target),
        line("pattern", lambda r: r.run.pattern),
        line("model provider", _provider),
        line("status", lambda r: r.run.status),
        line("agents", lambda r: str(len(r.agents))),
        line("turns · tool calls", lambda r: f"{sum(a.turns for a in r.agents)} · "
                                             f"{sum(a.tool_calls for a in r.agents)}"),
    )  # fmt: skip


def _time(first: Report, second: Report) -> tuple[Line, ...]:
    a, b = first.time, second.time
    phases = dict.fromkeys([p.phase for p in (*first.phases, *second.phases)])
    return (
        _seconds("whole run", first.run.duration_s, second.run.duration_s),
        _seconds("specialists, wall time", a.wall_s, b.wall_s),
        _seconds("specialists, summed", a.sum_of_agents_s, b.sum_of_agents_s),
        _seconds("specialists, critical path", a.critical_path_s, b.critical_path_s),
        Line("speed-up over one after the other", _speed_up(first), _speed_up(second)),
        *(_seconds(f"phase {name}", _phase(first, name), _phase(second, name)) for name in phases),
    )


def _tokens(first: Report, second: Report) -> tuple[Line, ...]:
    def tokens(label: str, counted: Callable[[Report], int]) -> Line:
        one, other = counted(first), counted(second)
        return Line(label, f"{one:,}", f"{other:,}", _ratio(one, other))

    one, other = spent(first.agents), spent(second.agents)
    return (
        tokens("input, with what caches held", lambda r: spent(r.agents).read_tokens),
        tokens("read from caches", lambda r: spent(r.agents).cache_read_tokens),
        tokens("written to caches", lambda r: spent(r.agents).cache_write_tokens),
        tokens("output", lambda r: spent(r.agents).output_tokens),
        tokens("largest context of an agent", lambda r: max((a.peak_context_tokens for a in r.agents), default=0)),
        Line("tokens are", _counted(first), _counted(second)),
        Line("cost", money(one.usd), money(other.usd), _ratio(one.usd, other.usd)),
    )


def _service(first: Report, second: Report) -> tuple[Line, ...]:
    names = [item.name for item in (*first.benchmarks, *second.benchmarks) if item.name in (END_TO_END, ANSWER)]
    names = list(dict.fromkeys(names)) or [b.name for b in (main_comparison(first), main_comparison(second)) if b][:1]
    lines = []
    for name in names:
        one, other = _named(first, name), _named(second, name)
        lines.append(Line(f"{name}, p50", _statistic(one, "p50"), _statistic(other, "p50")))
        lines.append(Line(f"{name}, p95", _statistic(one, "p95"), _statistic(other, "p95")))
    lines += [
        Line("capacity", _capacity(first), _capacity(second)),
        Line("security score", _score(first.security_score), _score(second.security_score)),
        Line("compliance score", _score(first.compliance_score), _score(second.compliance_score)),
        Line("targets met", _met(first), _met(second)),
        Line("tests newly failing", *(
            str(newly_failing(r.verification.tests_before, r.verification.tests_after)) if r.verification.tests_after
            else MISSING for r in (first, second)
        )),
    ]  # fmt: skip
    return tuple(lines)


def _provider(report: Report) -> str:
    return report.run.provider.partition(" (")[0]


def _work(first: Report, second: Report) -> tuple[Line, ...]:
    def line(label: str, told: Callable[[Report], str]) -> Line:
        return Line(label, told(first), told(second))

    shared = {f.id for f in first.findings} & {f.id for f in second.findings}
    return (
        line("findings", lambda r: str(len(r.findings))),
        line("by severity", lambda r: ", ".join(f"{n} {s}" for s, n in severity_counts(r.findings)) or MISSING),
        Line("found by both", str(len(shared)), str(len(shared))),
        line("patches accepted · rejected", lambda r: f"{len(accepted(r))} · {len(rejected(r))}"),
    )


def _done(report: Report) -> dict[tuple[str, str], str]:
    """What a run found and mended, by what stays the same between runs."""
    told = {("finding", f.id): f"finding {f.rule} {_place(f.file, f.line)}" for f in report.findings}
    for judged in accepted(report):
        files = ", ".join(change.path for change in judged.patch.changes)
        told["patch", f"{judged.patch.rule} {files}"] = f"patch {judged.patch.rule} in {files}"
    return told


def _place(file: str, line: int) -> str:
    return f"at {file}:{line}" if file else "of the running service"


def _seconds(label: str, first: float | None, second: float | None) -> Line:
    return Line(label, seconds(first), seconds(second), _ratio(first, second))


def _ratio(first: float | None, second: float | None) -> str:
    return "" if not first or second is None else change(second / first)


def _phase(report: Report, name: str) -> float | None:
    return next((p.duration_s for p in report.phases if p.phase == name), None)


def _speed_up(report: Report) -> str:
    time = report.time
    return (
        MISSING if not time.wall_s or time.sum_of_agents_s is None else f"{time.sum_of_agents_s / time.wall_s:.1f}×"
    )


def _counted(report: Report) -> str:
    return ", ".join(sorted({agent.tokens_are for agent in report.agents})) or MISSING


def _named(report: Report, name: str) -> Comparison | None:
    return next((item for item in report.benchmarks if item.name == name), None)


def _statistic(item: Comparison | None, name: str) -> str:
    if item is None or item.before is None or item.after is None:
        return MISSING
    ratio = item.ratio_p95 if name == "p95" else item.ratio_p50
    told = f"{plain(getattr(item.before, name))} → {quantity(getattr(item.after, name), item.unit)}"
    return f"{told} ({interval(*ratio.ci95)})" if ratio else told


def _capacity(report: Report) -> str:
    found = report.capacity
    return MISSING if found is None else f"{plain(found.before_rps)} → {quantity(found.after_rps, '/s')}"


def _score(score: Score) -> str:
    return (
        MISSING if score.before is None and score.after is None else f"{plain(score.before)} → {plain(score.after)}"
    )


def _met(report: Report) -> str:
    judged = [t.met for t in report.targets if t.met is not None]
    return f"{sum(judged)} of {len(judged)} ({share(sum(judged) / len(judged))})" if judged else MISSING

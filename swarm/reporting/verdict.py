"""What a run comes to, in words: the verdict, the before/after rows, and what was not measured."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from swarm.core.findings import SEVERITIES, Finding, confidence_rank, severity_rank
from swarm.core.metrics import ANSWER, Comparison, Ratio
from swarm.core.patches import Accepted, JudgedPatch, Rejected
from swarm.core.report import (
    Capacity,
    ErrorRates,
    Report,
    Score,
    Side,
    TestCounts,
    ValidatedArea,
    WorkDone,
)
from swarm.core.wording import counted
from swarm.reporting.numbers import change, interval, is_number, plain, quantity, seconds, share

RAMP_STEP = 2.0  # the rates of the capacity's ramp rise by this factor
MORE_ERRORS = 0.01  # a rise of failed requests that matters
BY_CHANCE = 0.05  # and one that is no more likely than this to be the luck of a short load
Tone = Literal["good", "neutral", "bad"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line for the boss, one for the engineer, and how it feels."""

    tone: Tone
    headline: str
    detail: str


@dataclass(frozen=True, slots=True)
class Row:
    """One metric before and after, as shown; `tone` says whether the change is good."""

    label: str
    before: str
    after: str
    change: str
    tone: Tone = "neutral"


def accepted(report: Report) -> tuple[JudgedPatch, ...]:
    """The accepted patches, in the order of the series."""
    return tuple(p for p in report.patches if isinstance(p.verdict, Accepted))


def rejected(report: Report) -> tuple[tuple[JudgedPatch, Rejected], ...]:
    """The rejected patches with their verdicts."""
    return tuple((p, p.verdict) for p in report.patches if isinstance(p.verdict, Rejected))


def findings_left(report: Report) -> tuple[Finding, ...]:
    """Findings that no accepted patch mends, the worst first."""
    left = (f for f in report.findings if f.status != "patched")
    return tuple(
        sorted(left, key=lambda f: (severity_rank(f.severity), confidence_rank(f.confidence), f.file, f.line))
    )


def severity_counts(findings: tuple[Finding, ...]) -> tuple[tuple[str, int], ...]:
    """How many of each severity, the worst first, without zeros."""
    counts = Counter(f.severity for f in findings)
    return tuple((s, counts[s]) for s in SEVERITIES if counts[s])


def main_comparison(report: Report) -> Comparison | None:
    """The benchmark that the verdict speaks of: the first with a p95 ratio, else the first with both sides."""
    for item in report.benchmarks:
        if item.ratio_p95 is not None:
            return item
    return next((b for b in report.benchmarks if b.before and b.after), None)


def load_comparison(report: Report) -> Comparison | None:
    """The benchmark of the open-loop load, which error rates belong to."""
    return next((item for item in report.benchmarks if item.name == ANSWER), None) or main_comparison(report)


def change_tone(ratio: Ratio | None, unit: str) -> Tone:
    """Good where the change is clear of noise in the right direction; rates are better when higher."""
    if ratio is None or ratio.change == "no change":
        return "neutral"
    better = (ratio.change == "better") != (unit == "/s")
    return "good" if better else "bad"


def newly_failing(before: TestCounts | None, after: TestCounts | None) -> int:
    """How many more tests fail than before."""
    return max(0, after.failed - before.failed) if before and after else 0


def verdict_of(report: Report) -> Verdict:
    """The verdict. A run that failed says so first, whatever it measured."""
    tally = _tally(report)
    if report.run.status == "failed":
        reason = report.run.notes[0] if report.run.notes else "see the notes"
        return Verdict("bad", "The run failed.", f"{reason} · {tally}")
    worse = _worse(report)
    if worse:
        return Verdict("bad", worse, tally)
    item = main_comparison(report)
    if item is None:
        return Verdict("neutral", f"{_capital(tally)}.", "No load was measured in this run.")
    headline, detail, tone = _speed(item)
    if report.run.status == "degraded":
        detail += " · the run was degraded: see the notes"
    return Verdict(tone, _capital(headline), f"{detail} · {tally}")


def _worse(report: Report) -> str:
    """What the accepted patches broke, in one sentence; speed is no news then."""
    proof, errors = report.verification, report.errors
    broken = newly_failing(proof.tests_before, proof.tests_after)
    if broken:
        return f"{counted(broken, 'test')} newly failing after the patches."
    if proof.replay is not None and proof.replay.identical < proof.replay.requests:
        differ = proof.replay.requests - proof.replay.identical
        asked = counted(proof.replay.requests, "replayed request")
        return f"{differ} of {asked} answered differently after the patches."
    if _more_errors(errors, load_comparison(report)):
        return f"Failed requests rose from {share(errors.before)} to {share(errors.after)}."
    return ""


def _more_errors(errors: ErrorRates, load: Comparison | None) -> bool:
    """Whether more requests fail than before, beyond what chance does (Fisher's exact test, one-sided)."""
    before, after = errors.before, errors.after
    if before is None or after is None or after <= before + MORE_ERRORS:
        return False
    if load is None or load.before is None or load.after is None or before >= 1 or after >= 1:
        return True
    # a summary counts good answers alone
    failed = [round(one.n * rate / (1 - rate)) for one, rate in ((load.before, before), (load.after, after))]
    sent = [load.before.n + failed[0], load.after.n + failed[1]]
    ways = math.comb(sum(sent), sum(failed))
    as_many = (math.comb(sent[1], k) * math.comb(sent[0], sum(failed) - k) for k in range(failed[1], sum(failed) + 1))
    return sum(as_many) / ways < BY_CHANCE


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _speed(item: Comparison) -> tuple[str, str, Tone]:
    ratio, statistic = (item.ratio_p95, "p95") if item.ratio_p95 else (item.ratio_p50, "p50")
    if ratio is not None and ratio.change == "no change" and item.ratio_p50 and item.ratio_p50.change != "no change":
        ratio, statistic = item.ratio_p50, "p50"  # of few requests p95 is one or two: it knows less than the median
    before, after = (getattr(s, statistic) if s else None for s in (item.before, item.after))
    figures = f"{plain(before)} → {quantity(after, item.unit)}"
    if ratio is None:
        return f"{item.name}: {statistic} {figures}", "measured without an interval", "neutral"
    tone = change_tone(ratio, item.unit)
    detail = f"{statistic} {figures}, ratio {ratio.value:.2f} (95 % interval {interval(*ratio.ci95)})"
    if ratio.change == "no change":
        return f"No measurable change of {item.name} at {statistic}.", detail, tone
    percent = abs(round((1 - ratio.value) * 100))
    if item.unit == "ms" and ratio.value < 1:
        return f"{item.name}: {percent} % less waiting at {statistic}.", detail, tone
    verb = "fell" if ratio.value < 1 else "rose"
    return f"{item.name} {verb} by {percent} % at {statistic}.", detail, tone


def _tally(report: Report) -> str:
    won, lost, left = len(accepted(report)), len(rejected(report)), len(findings_left(report))
    return f"{counted(won, 'patch', 'patches')} accepted, {lost} rejected, {counted(left, 'finding')} left open"


def before_after_rows(report: Report) -> tuple[Row, ...]:
    """The before/after table: latency, capacity, errors, resources, scores, tests; only what was measured."""
    rows: list[Row] = []
    for item in report.benchmarks:
        rows += _latency_rows(item)
    if report.capacity is not None:
        rows += _capacity_rows(report.capacity)
    if is_number(report.errors.before) or is_number(report.errors.after):
        rows.append(Row("failed requests under load", share(report.errors.before), share(report.errors.after), ""))
    rows += _side_rows(report.side_before, report.side_after)
    one, two = report.resources_before, report.resources_after
    rows += _figures("memory, peak", one.rss_mb, two.rss_mb, "MB")
    rows += _figures("CPU, mean", one.cpu_percent, two.cpu_percent, "%")
    for label, score in scores(report):
        rows += _score_rows(label.lower(), score)
    tests = (report.verification.tests_before, report.verification.tests_after)
    if tests[0] or tests[1]:
        broken = newly_failing(*tests)
        words = f"{broken} newly failing" if broken else "none newly failing"
        rows.append(Row("the target's tests", _tests(tests[0]), _tests(tests[1]), words, "bad" if broken else "good"))
    return tuple(rows)


def _side_rows(before: Side, after: Side) -> list[Row]:
    """Work that was still to be done, upstream calls, caches."""
    rows: list[Row] = []
    if before.work and after.work:
        label, lost = "events without any write, at least", after.work.lost
        rows.append(Row("work left after the last answer", _drain(before.work), _drain(after.work), ""))
        rows.append(Row(label, _lost(before.work), _lost(after.work), "", "bad" if lost else "good"))
    rows += _figures("upstream calls a webhook", before.upstreams.calls_per_webhook,
                     after.upstreams.calls_per_webhook, "")  # fmt: skip
    if is_number(before.upstreams.failing) or is_number(after.upstreams.failing):
        shares = share(before.upstreams.failing), share(after.upstreams.failing)
        rows.append(Row("upstream calls that failed", *shares, ""))
    if is_number(before.cache.hit_rate) or is_number(after.cache.hit_rate):
        rows.append(Row("cache hit rate", share(before.cache.hit_rate), share(after.cache.hit_rate), ""))
    rows += _figures("cache operation, mean", before.cache.operation_ms, after.cache.operation_ms, "ms")
    return rows


def _drain(work: WorkDone) -> str:
    return "without end" if work.drain_s is None else seconds(work.drain_s)


def _lost(work: WorkDone) -> str:
    return f"{work.lost} of {work.requests}"


def _capacity_rows(capacity: Capacity) -> list[Row]:
    """The ramp doubles its rate: figures that lie one step apart or less may be the same."""
    before, after = capacity.before_rps, capacity.after_rps
    rows = _figures("capacity", before, after, "/s")
    if rows and before and after and 1 / RAMP_STEP <= after / before <= RAMP_STEP:
        lower = "one step of the ramp lower, seen twice"
        words = "no change" if before == after else "one step of the ramp, may be noise" if after > before else lower
        return [replace(row, change=words) for row in rows]
    return rows


def _latency_rows(item: Comparison) -> list[Row]:
    if item.before is None and item.after is None:
        return []
    rows = []
    for statistic, ratio in (("p50", item.ratio_p50), ("p95", item.ratio_p95), ("p99", None)):
        before, after = (getattr(s, statistic) if s else None for s in (item.before, item.after))
        words = ""
        if ratio is not None:
            words = "no change" if ratio.change == "no change" else change(ratio.value)
            words += f" ({interval(*ratio.ci95)})"
        label = f"{item.name}, {statistic}"
        rows.append(
            Row(label, quantity(before, item.unit), quantity(after, item.unit), words, change_tone(ratio, item.unit))
        )
    return rows


def area_cells(area: ValidatedArea) -> tuple[str, str, str, str]:
    """Its checks, how many were good before and after the patches, and those that are not."""
    if not area.checks:
        return "no check of the scores speaks of it", "–", "–", "–"
    before, after = f"{area.good_before} of {area.asked}", f"{area.good_after} of {area.asked}"
    return ", ".join(area.checks), before, after, ", ".join(area.open) or "none"


def _figures(label: str, before: float | None, after: float | None, unit: str) -> list[Row]:
    if not is_number(before) and not is_number(after):
        return []
    return [Row(label, quantity(before, unit), quantity(after, unit), "")]


def _score_rows(label: str, score: Score) -> list[Row]:
    """A score; where something open holds it down, also what its checks earned: the worth of patches shows there."""
    held = score.caps_after and is_number(score.earned_before) and is_number(score.earned_after)
    words = f"held down by what is open; the checks alone: {plain(score.earned_before)} → {plain(score.earned_after)}"
    rows = _figures(label, score.before, score.after, "of 100")
    return [replace(row, change=words if held else "") for row in rows]


def _tests(tests: TestCounts | None) -> str:
    if tests is None:
        return "none"
    parts = [f"{tests.passed} passed", f"{tests.failed} failed" if tests.failed else "",
             f"{tests.skipped} skipped" if tests.skipped else ""]  # fmt: skip
    return ", ".join(part for part in parts if part)


def scores(report: Report) -> tuple[tuple[str, Score], ...]:
    """Both scores with their names."""
    return (("Security score", report.security_score), ("Compliance score", report.compliance_score))


def credit(value: float | None, state: str | None) -> str:
    """A check's credit as a reader wants it: `1, proven`; the state alone where there is no figure."""
    if value is None:
        return state or "–"
    return f"{plain(value)}, {state}" if state else plain(value)


def score_remarks(score: Score) -> tuple[str, ...]:
    """What holds a score down and what it could not see, a line each."""
    lines = [f"held before at {words}" for words in score.caps_before]
    lines += [f"held at {words}" for words in score.caps_after]
    run = score.run_after if score.run_after is not None else score.run_before
    if run is not None:
        lines.append(f"{share(run)} of the weight that applies was run; what was skipped counts as 0")
    if score.planted:
        parts = [f"{fault.name} {fault.caught}/{fault.planted}" for fault in score.planted]
        lines.append(f"planted faults that the checks caught: {', '.join(parts)}")
    if score.registry:
        lines.append(f"list of checks {score.registry}: scores of another list are not comparable")
    if score.attested:
        lines.append(f"not in the figure, only documents show it: {'; '.join(score.attested)}")
    return tuple(lines)


def not_measured(report: Report) -> tuple[tuple[str, str], ...]:
    """What this run did not measure, each with its reason."""
    gaps = [(t.expression, t.reason or "no reason was given") for t in report.targets if t.met is None]
    gaps += [
        (b.name, b.note or "no side has samples") for b in report.benchmarks if b.before is None or b.after is None
    ]
    if not report.benchmarks:
        gaps.append(("latency under load", report.load_note or "no benchmark ran"))
    if report.capacity is None or report.capacity.after_rps is None:
        gaps.append(("capacity", report.capacity.criterion if report.capacity else "no ramp of rising load was run"))
    for label, score in scores(report):
        if score.after is None:
            gaps.append((label.lower(), score.reason or "no check gave a result"))
    if report.context.saving is None:
        gaps.append(("context savings", report.context.method))
    if report.verification.tests_after is None:
        gaps.append(("the target's tests", "none are configured or none were run; the replay carries the proof"))
    if report.verification.replay is None:
        gaps.append(("replay", "no recorded requests were replayed"))
    gaps += [(path, "could not be parsed, so no rule looked at it") for path in report.unparsed_files]
    return tuple(gaps)

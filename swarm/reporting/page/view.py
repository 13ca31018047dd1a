"""What the page's template shows, worked out: charts as markup, patches with their lines, figures as text."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.core.findings import Finding, confidence_rank, severity_rank
from swarm.core.metrics import Comparison
from swarm.core.patches import GateResult, JudgedPatch, Rejected
from swarm.core.report import Report, Score, ScoreCheck, ValidatedArea
from swarm.reporting import verdict as say
from swarm.reporting.escape import clean, one_line
from swarm.reporting.formats.json import patch_path
from swarm.reporting.numbers import change, interval, seconds, share
from swarm.reporting.page import latency, sweep, timeline, waterfall
from swarm.reporting.page.diffs import DiffLine, diff_lines
from swarm.reporting.page.svg import Safe

MOST_CURVES = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the long parts the page shows, so that it stays one light file."""

    diff_chars: int
    all_diffs_chars: int
    findings: int
    evidence_chars: int

    @classmethod
    def scaled(cls, share: float) -> Limits:
        """The usual limits times `share`."""
        return cls(int(20_000 * share), int(120_000 * share), max(5, int(250 * share)), max(40, int(500 * share)))


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure in the head of the page."""

    value: str
    label: str
    tone: str = "neutral"


@dataclass(frozen=True, slots=True)
class CurveView:
    """The charts of one benchmark."""

    name: str
    curves: Safe
    percentiles: Safe | None
    samples: str


@dataclass(frozen=True, slots=True)
class PatchView:
    """A patch with its verdict, ready to show."""

    id: str
    href: str
    title: str
    category: str
    author: str
    rationale: str
    findings: tuple[str, ...]
    gates: tuple[GateResult, ...]
    rejected_by: str
    reason: str
    effect: str
    lines: tuple[DiffLine, ...]
    cut: int
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class FindingView:
    """A row of the findings table."""

    finding: Finding
    place: str
    evidence: str
    recommendation: str


@dataclass(frozen=True, slots=True)
class ScoreView:
    """A score with what is said of it; each check with its credits before and after, as words."""

    label: str
    score: Score
    remarks: tuple[str, ...]
    rows: tuple[tuple[ScoreCheck, str, str], ...]


@dataclass(frozen=True, slots=True)
class PageView:
    """Everything the template asks for."""

    facts: tuple[Fact, ...]
    rows: tuple[say.Row, ...]
    ratios: Safe | None
    curves: tuple[CurveView, ...]
    waterfalls: tuple[tuple[str, str, Safe], ...]
    kinds: tuple[str, ...]
    sweep: Safe | None
    timeline: Safe | None
    parallel: str
    accepted: tuple[PatchView, ...]
    rejected: tuple[PatchView, ...]
    findings: tuple[FindingView, ...]
    findings_cut: int
    severities: tuple[str, ...]
    categories: tuple[str, ...]
    statuses: tuple[str, ...]
    gaps: tuple[tuple[str, str], ...]
    scores: tuple[ScoreView, ...]
    areas: tuple[tuple[ValidatedArea, tuple[str, str, str, str]], ...]


def page_view(report: Report, limits: Limits) -> PageView:
    """The view of a report."""
    ordered = sorted(
        report.findings, key=lambda f: (severity_rank(f.severity), confidence_rank(f.confidence), f.file, f.line)
    )
    patches = _patches(report, limits)
    spans = [s for w in (report.waterfall_before, report.waterfall_after) if w for s in w.spans]
    kinds = {"blocked" if s.blocks_loop else s.kind for s in spans}
    return PageView(
        facts=_facts(report),
        rows=say.before_after_rows(report),
        ratios=latency.ratios(report.benchmarks[:8]),
        curves=_curves(report.benchmarks),
        waterfalls=_waterfalls(report),
        kinds=tuple(sorted(kinds)),
        sweep=sweep.chart(report.sweep) if report.sweep else None,
        timeline=timeline.chart(report.agents, report.phases),
        parallel=_parallel(report),
        accepted=tuple(p for p in patches if not p.rejected_by),
        rejected=tuple(p for p in patches if p.rejected_by),
        findings=tuple(_finding(f, limits) for f in ordered[: limits.findings]),
        findings_cut=max(0, len(ordered) - limits.findings),
        severities=tuple(dict.fromkeys(f.severity for f in ordered)),
        categories=tuple(sorted({f.category for f in ordered})),
        statuses=tuple(sorted({f.status for f in ordered})),
        gaps=say.not_measured(report),
        scores=_scores(report),
        areas=tuple((area, say.area_cells(area)) for area in report.areas),
    )


def _facts(report: Report) -> tuple[Fact, ...]:
    won, lost = len(say.accepted(report)), len(say.rejected(report))
    facts = [Fact(str(won), f"{'patch' if won == 1 else 'patches'} accepted", "good" if won else "neutral")]
    facts.append(Fact(str(lost), "rejected by a gate"))
    left = say.findings_left(report)
    facts.append(Fact(f"{len(report.findings) - len(left)} of {len(report.findings)}", "findings mended"))
    proof = report.verification
    if proof.tests_after is not None:
        broken = say.newly_failing(proof.tests_before, proof.tests_after)
        words = str(proof.tests_after.passed)
        facts.append(Fact(words, f"tests pass, {broken or 'none'} newly failing", "bad" if broken else "good"))
    if proof.replay is not None:
        same = proof.replay.identical == proof.replay.requests
        facts.append(Fact(f"{proof.replay.identical} of {proof.replay.requests}", "replayed requests alike",
                          "good" if same else "bad"))  # fmt: skip
    score = report.security_score
    if score.before is not None and score.after is not None:
        tone = "good" if score.after > score.before else "bad" if score.after < score.before else "neutral"
        facts.append(Fact(f"{score.before:.0f} → {score.after:.0f}", "security score", tone))
    facts.append(Fact(seconds(report.run.duration_s), "for the whole run"))
    return tuple(facts)


def _scores(report: Report) -> tuple[ScoreView, ...]:
    return tuple(
        ScoreView(
            label,
            score,
            say.score_remarks(score),
            tuple(
                (c, say.credit(c.before, c.before_state), say.credit(c.after, c.after_state)) for c in score.checks
            ),
        )
        for label, score in say.scores(report)
        if score.checks
    )


def _curves(items: tuple[Comparison, ...]) -> tuple[CurveView, ...]:
    views: list[CurveView] = []
    for item in items:
        curves = latency.curves(item)
        if curves is not None and len(views) < MOST_CURVES:
            samples = f"{len(item.before_samples):,} samples before, {len(item.after_samples):,} after"
            views.append(CurveView(item.name, curves, latency.percentiles(item), samples))
    return tuple(views)


def _waterfalls(report: Report) -> tuple[tuple[str, str, Safe], ...]:
    both = [(n, w) for n, w in (("before", report.waterfall_before), ("after", report.waterfall_after)) if w]
    ends = [span.start_ms + span.duration_ms for _, w in both for span in w.spans if span.behind_answer]
    longest = max([*(w.duration_ms for _, w in both), *ends], default=0.0)
    return tuple((n, f"{w.request} · status {w.status}", waterfall.chart(w, longest)) for n, w in both)


def _parallel(report: Report) -> str:
    time = report.time
    if not time.wall_s or time.sum_of_agents_s is None:
        return ""
    gain = time.sum_of_agents_s / time.wall_s
    return (
        f"The specialists did {seconds(time.sum_of_agents_s)} of work in {seconds(time.wall_s)} of wall time: "
        f"{gain:.1f} times as fast as one after the other, {share(time.saving)} saved."
    )


def _patches(report: Report, limits: Limits) -> list[PatchView]:
    budget = limits.all_diffs_chars
    views: list[PatchView] = []
    for judged in report.patches:
        view, used = _patch(judged, min(limits.diff_chars, budget))
        budget = max(0, budget - used)
        views.append(view)
    return views


def _patch(judged: JudgedPatch, size: int) -> tuple[PatchView, int]:
    patch, result = judged.patch, judged.verdict
    diff = patch.diff()
    lines, cut = diff_lines(diff, size)
    body = [d for d in diff.split("\n") if not d.startswith(("+++", "---"))]
    effect = ""
    if result.effect is not None:
        e = result.effect
        effect = f"{one_line(e.metric)} {change(e.ratio)}, ratio {e.ratio:.2f} ({interval(*e.ci95)})"
    lost = result if isinstance(result, Rejected) else None
    view = PatchView(
        id=patch.id, href=patch_path(judged), title=one_line(patch.title, 200), category=patch.category,
        author=one_line(patch.by, 120), rationale=clean(patch.rationale).strip()[:2000],
        findings=patch.findings[:20], gates=result.gates, rejected_by=lost.gate if lost else "",
        reason=one_line(lost.reason, 600) if lost else "", effect=effect, lines=lines, cut=cut,
        added=sum(d.startswith("+") for d in body), removed=sum(d.startswith("-") for d in body),
    )  # fmt: skip
    return view, sum(len(item.text) + 20 for item in lines)


def _finding(finding: Finding, limits: Limits) -> FindingView:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    evidence = clean(finding.evidence).strip()
    if len(evidence) > limits.evidence_chars:
        evidence = evidence[: limits.evidence_chars] + "…"
    return FindingView(
        finding, one_line(place, 200), evidence, one_line(finding.recommendation, limits.evidence_chars)
    )

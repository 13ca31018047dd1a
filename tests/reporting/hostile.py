"""The made-up report with text that tries to break out wherever the target has a say."""

from __future__ import annotations

from dataclasses import replace

from swarm.core.patches import Effect, JudgedPatch, Rejected
from swarm.core.report import (
    ProfileLine,
    ReplayOutcome,
    Report,
    Waterfall,
)
from swarm.core.sweep import Sweep, SweepLevel
from tests.reporting.sample import ALERTS, BEFORE, sample_report

NASTY = (
    "</script><script>alert(1)</script>]]>\x1b[31mred\x1b[0m\x00\r\nFrom: evil\n--- a/x\n| `code` ``two`` @all "
    "${{ x }} {{ y }} \u202e\ud800 <img src=x onerror=y> --> ünïcode 🦊"
)


def hostile_report() -> Report:
    """The sample with NASTY wherever the target has a say."""
    report = sample_report()
    findings = tuple(
        replace(
            f,
            title=NASTY,
            evidence=NASTY,
            recommendation=NASTY,
            file=f"a {NASTY}.py".replace("\ud800", ""),
            rule=f.rule,
            cwe=(NASTY,),
            sources=(NASTY,),
            agent=NASTY,
            status="open",
            patch=NASTY,
        )
        for f in report.findings
    )
    first = report.patches[0]
    patch = replace(first.patch, title=NASTY, rationale=NASTY, author=NASTY, findings=(NASTY,))
    gate = replace(first.verdict.gates[0], detail=NASTY)
    bad = JudgedPatch(
        replace(patch, id="009-x"), Rejected("tests", NASTY, (gate,), Effect(NASTY, 1.0, 2.0, 2.0, (1.0, 3.0)))
    )
    spans = tuple(replace(s, name=NASTY, file=NASTY, function=NASTY, path=(NASTY,)) for s in BEFORE.spans)
    return replace(
        report,
        run=replace(report.run, swarm=NASTY, target=NASTY, notes=(NASTY,)),
        agents=tuple(
            replace(a, name=NASTY, model=NASTY, focus=NASTY, note=NASTY, tool_spans=((NASTY, 1.0, 2.0),))
            for a in report.agents
        ),
        findings=findings,
        patches=(JudgedPatch(patch, replace(first.verdict, gates=(gate,))), bad),
        benchmarks=tuple(replace(b, name=NASTY) for b in report.benchmarks),
        targets=tuple(replace(t, expression=NASTY, specialist=NASTY, reason=NASTY) for t in report.targets),
        verification=replace(report.verification, replay=ReplayOutcome(2, 1, (NASTY,)), sandbox=NASTY),
        waterfall_before=Waterfall(NASTY, 200, 10.0, spans),
        unparsed_files=(NASTY,),
        load_note=NASTY,
        alerts=tuple(
            replace(a, name=n, metric=m, reason=NASTY, unit=NASTY)
            for a, n, m in (
                (ALERTS[0], NASTY, "error_rate"),
                (ALERTS[1], "Fine", "error_rate"),
                (ALERTS[2], "Fine", NASTY),
            )
        ),
        profile_before=(ProfileLine(NASTY, 1, NASTY, 0.5),),
        sweep=Sweep(
            (SweepLevel(1, 1, 0, 0.0, 1.0, 1.0, None, 0.0),), words=NASTY, file=NASTY, line=3, function=NASTY
        ),
    )

"""report.md: the verdict first, then what changed, what was proven, what is left, and what was not measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarm.core.findings import Finding
from swarm.core.patches import GateResult, JudgedPatch
from swarm.core.report import Report, Score
from swarm.core.spending import money, spent
from swarm.core.wording import counted
from swarm.reporting import verdict as say
from swarm.reporting.escape import code, markdown
from swarm.reporting.formats.json import patch_path
from swarm.reporting.numbers import change, interval, plain, quantity, seconds, share

NAME = "md"
FILENAME = "report.md"

_TONE = {"good": "✅", "neutral": "▫️", "bad": "❌"}
MOST_OPEN = 40


def render(report: Report) -> str:
    """The whole page."""
    sections = (
        _head(report), _before_after(report), _targets(report), _patches(report), _rejected(report),
        _proof(report), _sweep(report), _readiness(report), _scores(report), _open(report), _agents(report),
        _phases(report), _gaps(report), _next(report),
    )  # fmt: skip
    return "\n\n".join(section for section in sections if section) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def _head(report: Report) -> str:
    run, verdict = report.run, say.verdict_of(report)
    facts = [f"target {code(run.target)}", f"swarm {code(run.swarm)}", f"pattern {markdown(run.pattern)}",
             f"model provider {markdown(run.provider)}", seconds(run.duration_s), f"status {run.status}"]  # fmt: skip
    if run.target_commit:
        facts.append(f"commit {code(run.target_commit[:12])}")
    lines = [f"# {_TONE[verdict.tone]} {markdown(verdict.headline)}", "", markdown(verdict.detail), "",
             f"Run {code(run.id)}, {markdown(run.started)}: {', '.join(facts)}."]  # fmt: skip
    lines += [f"\n> {markdown(note)}" for note in run.notes]
    return "\n".join(lines)


def _before_after(report: Report) -> str:
    rows = [[markdown(r.label), r.before, r.after, f"{_TONE[r.tone]} {r.change}" if r.change else ""]
            for r in say.before_after_rows(report)]  # fmt: skip
    if not rows:
        return ""
    note = f"\n\n{markdown(report.load_note)}" if report.load_note else ""
    return (
        "## Before and after\n\n"
        + _table(("", "before", "after", "change (95 % interval of the ratio)"), rows)
        + note
    )


def _targets(report: Report) -> str:
    rows = []
    for target in report.targets:
        met = "not measured" if target.met is None else "✅ met" if target.met else "❌ missed"
        row = (code(target.expression), plain(target.before), plain(target.after), met, markdown(target.reason, 200))
        rows.append(row)
    return "## Targets\n\n" + _table(("target", "before", "after", "", "why"), rows) if rows else ""


def _patches(report: Report) -> str:
    patches = say.accepted(report)
    if not patches:
        return "## Accepted patches\n\nNone."
    rows = [[f"[{markdown(p.patch.id)}]({patch_path(p)})", markdown(p.patch.title, 120), markdown(p.patch.by),
             _gates(p.verdict.gates), _effect(p)] for p in patches]  # fmt: skip
    return "## Accepted patches\n\n" + _table(("patch", "what", "by", "gates", "effect of its rule"), rows)


def _gates(gates: Sequence[GateResult]) -> str:
    passed = [g.name for g in gates if g.passed]
    skipped = [g.name for g in gates if g.passed is None]
    return f"{len(passed)} passed" + (f"; did not apply: {', '.join(skipped)}" if skipped else "")


def _effect(judged: JudgedPatch) -> str:
    effect = judged.verdict.effect
    if effect is None:
        return ""
    return f"{markdown(effect.metric)} {change(effect.ratio)} ({interval(*effect.ci95)})"


def _rejected(report: Report) -> str:
    lines = [f"- [{markdown(p.patch.id)}]({patch_path(p)}) {markdown(p.patch.title, 120)}: "
             f"gate {code(v.gate)}: {markdown(v.reason, 300)}" for p, v in say.rejected(report)]  # fmt: skip
    return "## Rejected patches\n\n" + "\n".join(lines) if lines else ""


def _proof(report: Report) -> str:
    proof, lines = report.verification, []
    if proof.tests_before and proof.tests_after:
        b, a = proof.tests_before, proof.tests_after
        lines.append(f"- The target's own tests: {b.passed} passed and {b.failed} failed before, "
                     f"{a.passed} passed and {a.failed} failed after.")  # fmt: skip
    if proof.replay:
        lines.append(f"- Replay: {proof.replay.identical} of {counted(proof.replay.requests, 'recorded request')} "
                     "gave the same answer, the same upstream writes and the same rows.")  # fmt: skip
        lines += [f"  - differs: {markdown(text, 200)}" for text in proof.replay.differences[:10]]
    if proof.sandbox:
        lines.append(f"- Sandbox: {markdown(proof.sandbox)}.")
    if report.monitoring.files:
        by = ", ".join(markdown(name) for name in report.monitoring.validated_by) or "nothing on this machine"
        lines.append(f"- {counted(len(report.monitoring.files), 'monitoring file')}, validated by: {by}.")
    return "## Proof\n\n" + "\n".join(lines) if lines else ""


def _sweep(report: Report) -> str:
    sweep = report.sweep
    if sweep is None or not sweep.levels:
        return ""
    place = f", at {code(f'{sweep.file}:{sweep.line}', 90)}" if sweep.file else ""
    rows = [
        (f"{level.at_once}{' (the knee)' if level.at_once == sweep.knee else ''}", plain(level.rps),
         quantity(level.mean_ms, "ms"), quantity(level.p95_ms, "ms"), str(level.failed),
         quantity(level.health_ms, "ms"))
        for level in sweep.levels
    ]  # fmt: skip
    table = _table(("at once", "answers/s", "mean", "p95", "failed", "health check, worst"), rows)
    return f"## More and more requests at once, before\n\n{markdown(sweep.words, 300)}{place}.\n\n{table}"


def _scores(report: Report) -> str:
    parts = [_score(label, score) for label, score in say.scores(report) if score.checks]
    if report.areas:
        parts.insert(0, _areas(report))
    return "## Scores\n\n" + "\n\n".join(parts) if parts else ""


def _areas(report: Report) -> str:
    """Each area that a specialist was told to validate, with its checks."""
    rows = [
        (markdown(one.specialist), markdown(one.area), *(markdown(cell) for cell in say.area_cells(one)))
        for one in report.areas
    ]
    return _table(("specialist", "area", "checks", "good before", "good after", "open after"), rows)


def _score(label: str, score: Score) -> str:
    """The figure, what held it down, what it could not see, and the checks."""
    lines = [f"**{label}: {plain(score.before)} → {plain(score.after)} of 100**"]
    lines += [f"- {markdown(words)}" for words in say.score_remarks(score)]
    rows = [
        [
            code(c.id),
            markdown(c.title, 120),
            say.credit(c.before, c.before_state),
            say.credit(c.after, c.after_state),
            markdown(c.evidence, 200),
        ]
        for c in score.checks
    ]
    table = _table(("check", "what", "before", "after", "evidence"), rows)
    return "\n".join(lines) + f"\n\n<details><summary>{len(rows)} checks</summary>\n\n{table}\n\n</details>"


def _readiness(report: Report) -> str:
    if not report.readiness:
        return ""
    mark = {True: "✅", False: "❌", None: "▫️ not known"}
    parts = []
    for group in dict.fromkeys(line.group for line in report.readiness):
        rows = [
            (mark[line.passed], markdown(line.name), markdown(line.value, 240))
            for line in report.readiness
            if line.group == group
        ]
        parts.append(f"### {markdown(group)}\n\n" + _table(("", "check", "value, or why not"), rows))
    return "## Readiness\n\n" + "\n\n".join(parts)


def _open(report: Report) -> str:
    findings = say.findings_left(report)
    if not findings:
        return "## Findings left open\n\nNone." if report.findings else ""
    counts = ", ".join(f"{n} {severity}" for severity, n in say.severity_counts(findings))
    rows = [_finding(f) for f in findings[:MOST_OPEN]]
    table = _table(("severity", "where", "what", "a request waits there", "confidence", "do"), rows)
    more = len(findings) - MOST_OPEN
    rest = f"\n\n… and {more} more in `report.json`." if more > 0 else ""
    fold = f"<details><summary>All of them</summary>\n\n{table}{rest}\n\n</details>"
    return f"## Findings left open\n\n{counts}.\n\n{fold}"


def _finding(finding: Finding) -> list[str]:
    where = f"{finding.file}:{finding.line}" if finding.line else finding.file
    title = markdown(finding.title, 140) + (" (its patch was rejected)" if finding.status == "rejected" else "")
    title += f" (called wrong by {markdown(finding.disputed_by, 80)})" if finding.disputed_by else ""
    place = code(where, 90) if where else "the running service"
    cost = "" if finding.measured_ms is None else quantity(finding.measured_ms, "ms")
    return [finding.severity, place, title, cost, finding.confidence, markdown(finding.recommendation, 200)]


def _agents(report: Report) -> str:
    if not report.agents:
        return ""
    rows = []
    for a in report.agents:
        took = spent((a,))
        tokens = f"{took.words} ({a.tokens_are})"
        when = f"{a.started_s:.1f}–{a.finished_s:.1f} s"
        rows.append([markdown(a.name), markdown(a.model), a.status, when, str(a.turns), str(a.tool_calls),
                     tokens, money(took.usd), str(a.findings)])  # fmt: skip
    whole = spent(report.agents)
    rows.append(["together", "", "", "", str(sum(a.turns for a in report.agents)),
                 str(sum(a.tool_calls for a in report.agents)), whole.words, money(whole.usd), ""])  # fmt: skip
    head = ("agent", "model", "status", "worked", "turns", "tools", "tokens", "cost", "findings")
    time = report.time
    words = ""
    if time.wall_s is not None and time.sum_of_agents_s is not None:
        words = (
            f"\n\nTogether the specialists took {seconds(time.wall_s)} of wall time for "
            f"{seconds(time.sum_of_agents_s)} of work: {share(time.saving)} saved by running in parallel."
        )
    notes = "".join(f"\n\n> {markdown(a.name)}: {markdown(a.note)}" for a in report.agents if a.note)
    return "## Agents\n\n" + _table(head, rows) + words + notes


def _phases(report: Report) -> str:
    parts = [f"{markdown(p.phase)} {seconds(p.duration_s)}" for p in report.phases]
    return "## Phases\n\n" + " · ".join(parts) if parts else ""


def _gaps(report: Report) -> str:
    lines = [f"- {markdown(what)}: {markdown(why, 300)}" for what, why in say.not_measured(report)]
    return "## Not measured, and why\n\n" + "\n".join(lines) if lines else ""


def _next(report: Report) -> str:
    if not say.accepted(report):
        return ""
    run = code(f"swarm apply {report.run.id}")
    return (f"## Next\n\n{run} puts the accepted patches into the tree, `swarm rollback` takes them back. "
            "By hand: `git am patches/*.patch` from the target's folder, "
            "with `--directory=FOLDER` where it lies below the repository's root.")  # fmt: skip

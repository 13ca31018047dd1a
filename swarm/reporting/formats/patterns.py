"""patterns.md: how the swarm worked, and the lessons that this run's own numbers allow."""

from __future__ import annotations

from collections import defaultdict

from swarm.core.efficiency import ContextEfficiency
from swarm.core.patches import GATES, Accepted, Rejected
from swarm.core.report import AgentInfo, Report
from swarm.core.spending import Spending, money, spent
from swarm.core.wording import counted
from swarm.reporting.escape import code, markdown
from swarm.reporting.numbers import change, interval, plain, seconds, share
from swarm.reporting.verdict import accepted, change_tone, main_comparison, rejected

NAME = "patterns"
FILENAME = "patterns.md"


def render(report: Report) -> str:
    """Parallelism, tokens, rules, gates, lessons; nothing that this run did not show."""
    sections = (_head(report), _parallel(report), _tokens(report), _rules(report), _gates(report), _lessons(report))
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(report: Report) -> str:
    run = report.run
    return (f"# Patterns of run {code(run.id)}\n\nSwarm {code(run.swarm)} on {code(run.target)}, pattern "
            f"**{markdown(run.pattern)}**, model provider {markdown(run.provider)}. One run is one sample: compare "
            "several runs before taking a lesson as general.")  # fmt: skip


def _specialists(report: Report) -> list[AgentInfo]:
    return [a for a in report.agents if a.role == "specialist"]


def speed_up(report: Report) -> float | None:
    """Sum of the specialists' time over their wall time."""
    time = report.time
    if not time.wall_s or time.sum_of_agents_s is None:
        return None
    return time.sum_of_agents_s / time.wall_s


def _parallel(report: Report) -> str:
    agents = _specialists(report)
    if not agents:
        return ""
    rows = []
    for a in agents:
        inside = sum(max(0.0, end - start) for _, start, end in a.tool_spans)
        busy = a.finished_s - a.started_s
        tools = f"{share(min(1.0, inside / busy))} in tools" if a.tool_spans and busy > 0 else ""
        rows.append(
            f"| {markdown(a.name)} | {a.started_s:.1f} s | {a.finished_s:.1f} s | {seconds(busy)} | {tools} |"
        )
    time, gain = report.time, speed_up(report)
    words = "The wall time of the specialists was not measured."
    if gain is not None:
        words = (f"Wall time {seconds(time.wall_s)} for {seconds(time.sum_of_agents_s)} of work: speed-up "
                 f"{gain:.1f}× with {len(agents)} specialists ({share(gain / len(agents))} of the ideal), "
                 f"at most {_overlap(agents)} at once. Critical path: {seconds(time.critical_path_s)}.")  # fmt: skip
    head = "| specialist | from | to | took | |\n|---|---|---|---|---|"
    return "## Parallelism\n\n" + words + "\n\n" + head + "\n" + "\n".join(rows)


def _overlap(agents: list[AgentInfo]) -> int:
    """How many worked at the same moment at the most."""
    edges = sorted([(a.started_s, 1) for a in agents] + [(a.finished_s, -1) for a in agents])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def _tokens(report: Report) -> str:
    if not report.agents:
        return ""
    rows = []
    for a in report.agents:
        took = spent((a,))
        each = f"{took.all_tokens // a.findings:,}" if a.findings else "–"
        cells = (markdown(a.name), *_kinds(took), f"{a.peak_context_tokens:,}", f"{a.shortened} · {a.cleared}",
                 a.tokens_are, each)  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    rows.append("| " + " | ".join(("together", *_kinds(spent(report.agents)), "", "", "", "")) + " |")
    context = report.context
    saved = ""
    if context.saving is not None:
        saved = (f"Context saved against one generalist: **{share(context.saving)}** at the largest "
                 f"({context.swarm_peak_tokens or 0:,} of {context.generalist_peak_tokens or 0:,} tokens), "
                 f"all turns together took {context.swarm_total_tokens or 0:,} against "
                 f"{context.generalist_total_tokens or 0:,}. How it was counted: "
                 f"{markdown(context.method)}")  # fmt: skip
    elif report.run.pattern == "single":
        saved = (f"One generalist: {context.generalist_peak_tokens or 0:,} tokens at the largest, "
                 f"{context.generalist_total_tokens or 0:,} over all turns; {markdown(context.method)}.")  # fmt: skip
    else:
        saved = f"Context saved against one generalist: not measured, because {markdown(context.method)}."
    head = "| agent | input | from the cache | written to it | output | cost | peak context "
    head += f"| results shortened · cleared | tokens are | per finding |\n|{'---|' * 10}"
    parts = ["## Tokens", saved, _bounds(context), _means(context), f"{head}\n" + "\n".join(rows)]
    return "\n\n".join(part for part in parts if part)


def _bounds(context: ContextEfficiency) -> str:
    """Why no more context was saved, from what cannot be to what was."""
    bounds = context.bounds
    if bounds is None:
        return ""
    equal = 1 / bounds.agents
    lines = [
        f"{bounds.agents} agents with equal shares of the work, were charters and tools free: {share(bounds.free)}. "
        "More agents are needed for more.",
        f"With the charters and tools that they have ({bounds.least_prefix_tokens:,} to "
        f"{bounds.most_prefix_tokens:,} tokens each, {bounds.generalist_prefix_tokens:,} for one generalist): "
        f"{share(bounds.even)}.",
        f"As the work was divided ({markdown(bounds.largest)} had {share(bounds.largest_share)} of it, where "
        f"{share(equal)} is an equal share): {share(context.saving)}.",
    ]
    if bounds.coordinator_peak_tokens and context.generalist_peak_tokens:
        lines.append(
            f"The coordinator, which is shown digests alone, held {bounds.coordinator_peak_tokens:,} tokens at most: "
            f"{share(1 - bounds.coordinator_peak_tokens / context.generalist_peak_tokens)} less than one generalist."
        )
    return "What bounds it:\n\n" + "\n".join(f"- {line}" for line in lines)


def _means(context: ContextEfficiency) -> str:
    """What saved how much by itself, and what the largest context is made of."""
    lines = []
    if context.means is not None:
        means = context.means
        lines.append(
            f"Beside one conversation with whole results, none of them cleared ({context.whole_peak_tokens or 0:,} "
            f"tokens): a conversation for each specialist saves {share(means.isolation)} by itself, digests, "
            f"artifacts and clearing {share(means.digests)}, both {share(means.together)}."
        )
    if context.makeup is not None:
        makeup = context.makeup
        held = max(1, makeup.charter + makeup.tools + makeup.results + makeup.words)
        lines.append(
            f"The largest context of a specialist ({markdown(makeup.agent)}): "
            f"charter {share(makeup.charter / held)}, tools {share(makeup.tools / held)}, "
            f"results {share(makeup.results / held)}, its own words and calls {share(makeup.words / held)}."
        )
    return "What saves it, and where the rest goes:\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _kinds(took: Spending) -> tuple[str, ...]:
    cached = f"{took.cache_read_tokens:,} ({share(took.from_cache)})" if took.cache_read_tokens else "0"
    return f"{took.read_tokens:,}", cached, f"{took.cache_write_tokens:,}", f"{took.output_tokens:,}", money(took.usd)


def _rules(report: Report) -> str:
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for finding in report.findings:
        tally[finding.rule][0] += 1
    for judged in report.patches:
        tally[judged.patch.rule][1 if isinstance(judged.verdict, Accepted) else 2] += 1
    if not tally:
        return ""
    rows = [
        f"| {code(rule)} | {n[0]} | {n[1]} | {n[2]} |"
        for rule, n in sorted(tally.items(), key=lambda i: (-i[1][1], i[0]))
    ]
    head = "| rule | findings | patches accepted | patches rejected |\n|---|---|---|---|"
    return "## Rules\n\n" + head + "\n" + "\n".join(rows)


def _gates(report: Report) -> str:
    lost = rejected(report)
    spent = dict.fromkeys(GATES, 0.0)
    for judged in report.patches:
        for result in judged.verdict.gates:
            spent[result.name] += result.duration_s
    lines = []
    for gate in GATES:
        caught = [p.patch.id for p, v in lost if v.gate == gate]
        if caught or spent[gate]:
            names = f": {', '.join(code(name) for name in caught)}" if caught else ""
            lines.append(
                f"- {code(gate)} rejected {len(caught)}{names}; "
                f"{seconds(spent[gate])} summed over the patches it judged"
            )
    return "## Gates\n\n" + "\n".join(lines) if lines else ""


def _lessons(report: Report) -> str:
    lines = [*_lessons_of_speed(report), *_lessons_of_rules(report), *_lessons_of_agents(report)]
    return "## Lessons of this run\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _lessons_of_speed(report: Report) -> list[str]:
    lines = []
    gain = speed_up(report)
    if gain is not None:
        kept = (
            "keep `pattern: parallel`"
            if gain >= 1.2
            else "`pattern: sequential` would have cost next to nothing here"
        )
        lines.append(f"Running the specialists together was {gain:.1f}× as fast as one after the other: {kept}.")
    item = main_comparison(report)
    if item is not None and item.ratio_p95 is not None and change_tone(item.ratio_p95, item.unit) == "good":
        ratio = item.ratio_p95
        lines.append(f"The accepted stack changed the p95 of {markdown(item.name)} by {change(ratio.value)} "
                     f"(interval of the ratio {interval(*ratio.ci95)}).")  # fmt: skip
    effects = [(p.verdict.effect.ratio, p) for p in accepted(report) if p.verdict.effect is not None]
    for ratio_alone, judged in sorted(effects, key=lambda e: e[0])[:3]:
        if ratio_alone < 0.97:
            lines.append(
                f"{code(judged.patch.rule)} alone gave {change(ratio_alone)}: start there on services like this one."
            )
    return lines


def _lessons_of_rules(report: Report) -> list[str]:
    won: dict[str, int] = defaultdict(int)
    lost: dict[str, list[str]] = defaultdict(list)
    for judged in report.patches:
        if isinstance(judged.verdict, Rejected):
            lost[judged.patch.rule].append(judged.verdict.gate)
        else:
            won[judged.patch.rule] += 1
    lines = []
    for rule, gates in sorted(lost.items()):
        if not won[rule]:
            which = ", ".join(sorted(set(gates)))
            tries = counted(len(gates), "try", "tries")
            lines.append(
                f"No patch of {code(rule)} was accepted ({tries}, stopped by {which}): its findings need a person."
            )
    return lines


def _lessons_of_agents(report: Report) -> list[str]:
    lines = []
    for a in _specialists(report):
        if a.findings == 0:
            lines.append(
                f"{markdown(a.name)} found nothing in {counted(a.turns, 'turn')}: leave it out, or widen its tools."
            )
        if a.status != "done":
            lines.append(f"{markdown(a.name)} ended {a.status}: {markdown(a.note) or 'no note was left'}.")
    done = [a for a in _specialists(report) if a.finished_s > a.started_s]
    if len(done) > 1:
        slow = max(done, key=lambda a: a.finished_s - a.started_s)
        lines.append(f"{markdown(slow.name)} set the pace with {seconds(slow.finished_s - slow.started_s)} "
                     f"and {plain(slow.tool_calls)} tool calls.")  # fmt: skip
    return lines

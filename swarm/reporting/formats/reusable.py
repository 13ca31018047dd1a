"""agents.reusable.yaml: the swarm that this run and those before it suggest for the next one, with their reasons."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from swarm.config.schema import TOOL_GROUPS
from swarm.core.errors import UsageError
from swarm.core.metrics import parse_target_expression
from swarm.core.report import AgentInfo, Report
from swarm.core.spending import spent
from swarm.reporting.escape import one_line
from swarm.reporting.formats.patterns import speed_up
from swarm.reporting.lessons import (
    ENOUGH,
    Earned,
    Ran,
    earned,
    models_played,
    never_accepted,
    patterns_ran,
)
from swarm.reporting.numbers import plain, seconds

NAME = "reusable"
FILENAME = "agents.reusable.yaml"

_RESERVED = ("version", "targets", "models")


def render(report: Report, earlier: Sequence[Report] = ()) -> str:
    """Valid per `swarm.config.schema`; it names no target, so it can stand beside any `targets:` block.

    `earlier` are runs of the same swarm on the same target; what they have in common with this one counts.
    """
    name, all_runs = report.run.swarm or "swarm", (*earlier, report)
    drawn = f"and {len(earlier)} before it suggest" if earlier else "suggests"
    whose = "their" if earlier else "its"
    lines = [
        f"# What run {one_line(report.run.id)} {drawn} for the next one, drawn from {whose} numbers alone.",
        "# Add a `targets:` block, or copy the swarm into your agents.yaml.",
        "version: 1",
        f"{_quoted(f'{name}_swarm' if name in _RESERVED else name)}:",
        f"  coordinator: {_quoted(_coordinator(report))}",
        *_pattern(report, all_runs),
        *_budget(all_runs),
        *_advice_only(all_runs),
        "  specialists:",
    ]
    specialists = list({_quoted(a.name): a for a in report.agents if a.role == "specialist"}.values())
    past = earned(all_runs)
    idle = [agent for agent in specialists if past[agent.name].nothing]
    kept = [agent for agent in specialists if agent not in idle] or specialists
    if not specialists:
        lines[-1] = "  specialists: {}  # no specialist ran"
    lines += [
        f"    # {_quoted(agent.name)} is left out: it found nothing in {past[agent.name].runs} runs for "
        f"{past[agent.name].tokens:,} tokens"
        for agent in specialists
        if agent not in kept
    ]
    for agent in kept:
        lines += _specialist(agent, report, all_runs, past[agent.name])
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(one_line(text), ensure_ascii=False)


def _coordinator(report: Report) -> str:
    return next((a.name for a in report.agents if a.role == "coordinator"), "coordinator")


def _pattern(report: Report, all_runs: Sequence[Report]) -> list[str]:
    gain, own = speed_up(report), report.run.pattern
    ran = own if own in ("parallel", "sequential", "single") else "parallel"
    tried = patterns_ran(all_runs)
    if len(tried) > 1 and ran != "single" and tried[0].pattern in ("parallel", "sequential"):
        told = "; ".join(f"{one.pattern} {_figures(one)}" for one in tried)
        return [f"  pattern: {tried[0].pattern}  # {one_line(told)}"]
    if gain is None:
        return [f"  pattern: {ran}  # as it ran: the gain of another pattern was not measured"]
    if ran == "parallel" and gain < 1.05:
        return [f"  pattern: sequential  # running in parallel was {gain:.2f}x as fast: nothing gained"]
    return [f"  pattern: {ran}  # {gain:.1f}x as fast as the sum of its specialists"]


def _figures(ran: Ran) -> str:
    return f"{ran.patches:g} accepted patches in {seconds(ran.seconds)}, {ran.tokens:,.0f} tokens ({ran.runs} whole)"


def _budget(all_runs: Sequence[Report]) -> list[str]:
    used = max(spent(one.agents).all_tokens for one in all_runs)
    costs = [spent(one.agents).usd for one in all_runs]  # a run of unknown cost is no cheap one: it says nothing
    cost = max((usd for usd in costs if usd is not None), default=0.0)
    took_s = max((one.run.duration_s for one in all_runs if math.isfinite(one.run.duration_s)), default=0.0)
    runs = "the run" if len(all_runs) == 1 else f"the dearest of {len(all_runs)} runs"
    lines = ["  budget:"]
    if took_s > 0:
        limit = max(60, math.ceil(took_s * 2 / 30) * 30)
        lines.append(f"    seconds: {limit}  # {runs} took {seconds(took_s)}; twice that, rounded up")
    if used:
        kind = "estimated" if any(a.tokens_are == "estimated" for a in all_runs[-1].agents) else "reported"
        lines.append(f"    tokens: {_rounded(used * 1.5)}  # {runs} used {used:,} ({kind}); half as much again")
    if cost > 0:
        whose = "the dearest whose cost is known" if None in costs else runs
        lines.append(f"    usd: {math.ceil(cost * 15) / 10:.1f}  # {whose} cost ${cost:.2f}; half as much again")
    return lines if len(lines) > 1 else []


def _advice_only(all_runs: Sequence[Report]) -> list[str]:
    found = never_accepted(all_runs)
    lines = [
        f"    - {_quoted(one.rule)}  # {one.tries} patches in {one.runs} runs, none accepted: "
        f"stopped by {one_line(', '.join(one.gates))}"
        for one in found
    ]
    return ["  advice_only:  # findings of these are reported, and no patch is tried", *lines] if lines else []


def _specialist(agent: AgentInfo, report: Report, all_runs: Sequence[Report], past: Earned) -> list[str]:
    lines = [f"    {_quoted(agent.name)}:"]
    worked = f"{agent.findings} findings in {agent.turns} turns and {agent.tool_calls} tool calls, {agent.status}"
    lines.append(f"      # {worked}" + ("; found nothing here: may be left out" if not agent.findings else ""))
    if past.runs > 1:
        each = f", {past.tokens // past.patches:,} tokens for each" if past.patches else ""
        lines.append(
            f"      # over {past.runs} runs: {past.findings} findings, {past.patches} accepted patches{each}"
        )
    lines += _model(agent, all_runs)
    tools = [t for t in agent.tools if t in TOOL_GROUPS]
    reason = "" if tools else "  # the run did not keep which it had: take away what it does not need"
    lines.append(f"      tools: [{', '.join(tools or TOOL_GROUPS)}]{reason}")
    if agent.focus:
        lines.append(f"      focus: {_quoted(agent.focus)}")
    turns = min(200, max(8, math.ceil(past.most_turns * 1.5)))
    lines.append(f"      max_turns: {turns}  # used {past.most_turns}{' at most' if past.runs > 1 else ''}")
    if past.runs >= ENOUGH and past.most_tokens:
        share = _rounded(past.most_tokens * 2)
        lines.append(f"      budget: {{tokens: {share}}}  # used {past.most_tokens:,} at most; twice that")
    return lines + _metrics(agent, report)


def _model(agent: AgentInfo, all_runs: Sequence[Report]) -> list[str]:
    """The cheapest model that brought as much; the one that it had where there is nothing to compare."""
    if agent.provider != "anthropic" or not agent.model:
        return []
    played = models_played(all_runs, agent.name)
    most = max((one.patches for one in played), default=0.0)
    best = next((one for one in played if one.patches >= most), None)
    if best is None or best.model == agent.model or len(played) == 1:
        return [f"      model: {_quoted(agent.model)}"]
    told = "; ".join(
        f"{one.model} ${one.usd:.3f} and {one.patches:g} accepted patches a run ({one.runs} runs)" for one in played
    )
    return [f"      model: {_quoted(best.model)}  # {one_line(told)}"]


def _rounded(tokens: float) -> int:
    return math.ceil(tokens / 1_000) * 1_000


def _metrics(agent: AgentInfo, report: Report) -> list[str]:
    kept, left = [], []
    for target in report.targets:
        if target.specialist != agent.name:
            continue
        try:
            parse_target_expression(target.expression)
        except UsageError:
            continue
        if target.met is None:
            left.append(
                f"      # {one_line(target.expression)}: left out, not measured: {one_line(target.reason, 120)}"
            )
        else:
            words = "met" if target.met else "missed"
            figures = f"{plain(target.before)} before, {plain(target.after)} after"
            kept.append(f"        - {_quoted(target.expression)}  # {words}: {figures}")
    return [*(["      target_metrics:", *kept] if kept else []), *left]

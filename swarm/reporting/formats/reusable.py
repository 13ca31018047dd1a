"""agents.reusable.yaml: the swarm that this run suggests for the next one, with its reasons as comments."""

from __future__ import annotations

import json
import math

from swarm.config.schema import TOOL_GROUPS
from swarm.core.errors import UsageError
from swarm.core.metrics import parse_target_expression
from swarm.core.report import AgentInfo, Report
from swarm.reporting.escape import one_line
from swarm.reporting.formats.patterns import speed_up
from swarm.reporting.numbers import plain, seconds

NAME = "reusable"
FILENAME = "agents.reusable.yaml"

_RESERVED = ("version", "targets", "models")


def render(report: Report) -> str:
    """Valid per `swarm.config.schema`; it names no target, so it can stand beside any `targets:` block."""
    name = report.run.swarm or "swarm"
    lines = [
        f"# What run {one_line(report.run.id)} suggests for the next one, drawn from its numbers alone.",
        "# Add a `targets:` block, or copy the swarm into your agents.yaml.",
        "version: 1",
        f"{_quoted(f'{name}_swarm' if name in _RESERVED else name)}:",
        f"  coordinator: {_quoted(_coordinator(report))}",
        *_pattern(report),
        *_budget(report),
        "  specialists:",
    ]
    specialists = [a for a in report.agents if a.role == "specialist"]
    if not specialists:
        lines[-1] = "  specialists: {}  # no specialist ran"
    for agent in specialists:
        lines += _specialist(agent, report)
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(one_line(text), ensure_ascii=False)


def _coordinator(report: Report) -> str:
    return next((a.name for a in report.agents if a.role == "coordinator"), "coordinator")


def _pattern(report: Report) -> list[str]:
    gain = speed_up(report)
    ran = report.run.pattern if report.run.pattern in ("parallel", "sequential", "single") else "parallel"
    if gain is None:
        return [f"  pattern: {ran}  # as it ran: the gain of another pattern was not measured"]
    if ran == "parallel" and gain < 1.05:
        return [f"  pattern: sequential  # running in parallel was {gain:.2f}x as fast: nothing gained"]
    return [f"  pattern: {ran}  # {gain:.1f}x as fast as the sum of its specialists"]


def _budget(report: Report) -> list[str]:
    used = sum(a.input_tokens + a.output_tokens + a.cache_read_tokens + a.cache_write_tokens for a in report.agents)
    costs = [a.cost_usd for a in report.agents if a.cost_usd is not None]
    lines = ["  budget:"]
    if math.isfinite(report.run.duration_s) and report.run.duration_s > 0:
        limit = max(60, math.ceil(report.run.duration_s * 2 / 30) * 30)
        lines.append(f"    seconds: {limit}  # the run took {seconds(report.run.duration_s)}; twice that, rounded up")
    if used:
        kind = "estimated" if any(a.tokens_are == "estimated" for a in report.agents) else "reported"
        lines.append(
            f"    tokens: {math.ceil(used * 1.5 / 1000) * 1000}  # used {used:,} ({kind}); half as much again"
        )
    if sum(costs) > 0:
        lines.append(f"    usd: {math.ceil(sum(costs) * 15) / 10:.1f}  # cost ${sum(costs):.2f}; half as much again")
    return lines if len(lines) > 1 else []


def _specialist(agent: AgentInfo, report: Report) -> list[str]:
    lines = [f"    {_quoted(agent.name)}:"]
    worked = f"{agent.findings} findings in {agent.turns} turns and {agent.tool_calls} tool calls, {agent.status}"
    lines.append(f"      # {worked}" + ("; found nothing here: may be left out" if not agent.findings else ""))
    if agent.provider == "anthropic" and agent.model:
        lines.append(f"      model: {_quoted(agent.model)}")
    tools = [t for t in agent.tools if t in TOOL_GROUPS]
    reason = "" if tools else "  # the run did not keep which it had: take away what it does not need"
    lines.append(f"      tools: [{', '.join(tools or TOOL_GROUPS)}]{reason}")
    if agent.focus:
        lines.append(f"      focus: {_quoted(agent.focus)}")
    turns = min(200, max(8, math.ceil(agent.turns * 1.5)))
    lines.append(f"      max_turns: {turns}  # used {agent.turns}")
    return lines + _metrics(agent, report)


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

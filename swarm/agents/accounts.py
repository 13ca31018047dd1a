"""An agent's work as AgentInfo, summed over the models that played it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from swarm.agents.conversation.loop import Outcome
from swarm.agents.conversation.surroundings import Surroundings
from swarm.core.chat import Usage
from swarm.core.chat_codec import masked
from swarm.core.codec import encode
from swarm.core.report import AgentInfo

Role = Literal["specialist", "coordinator"]
Status = Literal["done", "degraded", "failed"]


def agent_info(
    name: str,
    role: Role,
    outcomes: Sequence[Outcome],
    *,
    model: str,
    provider: str,
    status: Status,
    started_s: float,
    finished_s: float,
    findings: int,
    focus: str = "",
    note: str = "",
) -> AgentInfo:
    """`outcomes` are its conversations, one a model that was tried; `model` and `provider` the one that counted."""
    usage = Usage()
    for outcome in outcomes:
        usage = usage + outcome.tally.usage
    costs = [outcome.tally.cost_usd for outcome in outcomes]
    return AgentInfo(
        name=name,
        role=role,
        model=model,
        provider=provider,
        status=status,
        started_s=round(started_s, 3),
        finished_s=round(finished_s, 3),
        turns=sum(outcome.tally.turns for outcome in outcomes),
        tool_calls=sum(outcome.tally.tool_calls for outcome in outcomes),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        peak_context_tokens=max((outcome.tally.peak_context_tokens for outcome in outcomes), default=0),
        tokens_are="estimated" if usage.estimated else "reported",
        cost_usd=None if None in costs else round(sum(cost or 0.0 for cost in costs), 6),
        findings=findings,
        focus=focus,
        note=note,
        shortened=sum(outcome.toolbox.artifacts for outcome in outcomes),
        cleared=sum(outcome.tally.cleared for outcome in outcomes),
        tool_spans=tuple(span for outcome in outcomes for span in outcome.toolbox.spans),
    )


def with_more(info: AgentInfo, outcomes: Sequence[Outcome]) -> AgentInfo:
    """The agent with what further conversations of its took; its times stay those of its main work."""
    more = agent_info(
        info.name, info.role, outcomes, model=info.model, provider=info.provider, status=info.status,
        started_s=info.started_s, finished_s=info.finished_s, findings=info.findings,
    )  # fmt: skip
    costs = (info.cost_usd, more.cost_usd)
    return replace(
        info,
        turns=info.turns + more.turns,
        tool_calls=info.tool_calls + more.tool_calls,
        input_tokens=info.input_tokens + more.input_tokens,
        output_tokens=info.output_tokens + more.output_tokens,
        cache_read_tokens=info.cache_read_tokens + more.cache_read_tokens,
        cache_write_tokens=info.cache_write_tokens + more.cache_write_tokens,
        peak_context_tokens=max(info.peak_context_tokens, more.peak_context_tokens),
        cost_usd=None if None in costs else round(sum(cost or 0.0 for cost in costs), 6),
        tokens_are="estimated" if "estimated" in (info.tokens_are, more.tokens_are) else "reported",
        shortened=info.shortened + more.shortened,
        cleared=info.cleared + more.cleared,
        tool_spans=(*info.tool_spans, *more.tool_spans),
    )


def settled(info: AgentInfo, around: Surroundings) -> AgentInfo:
    """Journal that the agent has ended; one that had ended before its run was cut off keeps the times of then."""
    told = around.recall.info(info.name)
    if told is not None and told.turns == info.turns:
        return replace(info, started_s=told.started_s, finished_s=told.finished_s, tool_spans=told.tool_spans)
    around.journal.append("agent", {"agent": info.name, "info": masked(encode(info), around.mask)})
    return info

"""How the specialists work: in parallel, one after the other, or as one generalist."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from swarm.agents.conversation.budget import Limits, RunBudget
from swarm.agents.conversation.recall import Recall
from swarm.agents.conversation.surroundings import Surroundings
from swarm.agents.specialist import SpecialistResult, run_specialist
from swarm.config.schema import Share, Specialist
from swarm.coordinator.merge import join_findings
from swarm.coordinator.state import Parts, RunRequest, RunState
from swarm.core.events import Note
from swarm.core.findings import Finding
from swarm.tools.registry import all_tools
from swarm.tools.workbench import Workbench
from swarm.tools.writing.propose_edit import ProposeEdit

GENERALIST = "generalist"
MAX_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Team:
    """What the specialists found together, and the findings that they want mended."""

    findings: tuple[Finding, ...]
    wanted: frozenset[str]


def surroundings(request: RunRequest, parts: Parts, workbench: Workbench, state: RunState) -> Surroundings:
    """What every agent of the run is handed."""
    turns = request.swarm.budget.turns
    limits = Limits(turns, request.budget_tokens, request.budget_usd, request.deadline_s)
    budget = RunBudget(parts.clock, parts.prices, limits)
    return Surroundings(
        bench=workbench,
        budget=budget,
        emit=parts.emit,
        journal=parts.journal,
        clock=parts.clock,
        mask=parts.mask,
        run_began_s=state.started_s,
        recall=recalled(parts, workbench, state),
    )


def recalled(parts: Parts, workbench: Workbench, state: RunState) -> Recall:
    """What the journal holds of the agents; their findings are laid on the workbench, and the user is told."""
    recall = Recall(parts.records)
    if not parts.records:
        return recall
    for finding, agent in recall.findings:
        workbench.findings.add(finding, agent)
    for proposal in recall.proposals:
        workbench.proposals.add(proposal)
    state.resumed = True
    state.notes.append(f"resumed: {recall.turns} turns and {recall.results} tool results were taken from the journal")
    parts.emit(Note(state.notes[-1]))
    return recall


def chosen_specialists(request: RunRequest) -> dict[str, Specialist]:
    """Those that the run sends: all, those of `--only`, or the one generalist of the pattern `single`."""
    chosen = {
        name: specialist
        for name, specialist in request.swarm.specialists.items()
        if not request.only or name in request.only
    }
    return {GENERALIST: generalist(chosen)} if request.pattern == "single" else chosen


async def specialists_at_work(request: RunRequest, parts: Parts, around: Surroundings, state: RunState) -> Team:
    """Send the specialists by the run's pattern, and gather what they bring."""
    chosen = chosen_specialists(request)
    state.artifacts = around.artifacts
    tools = [tool for tool in all_tools() if request.swarm.edits.allowed or tool.name != ProposeEdit.name]
    at_once = asyncio.Semaphore(1 if request.pattern == "sequential" else MAX_AT_ONCE)

    async def work(name: str, specialist: Specialist) -> SpecialistResult:
        async with at_once:
            model = specialist.model or request.swarm.model
            result = await run_specialist(name, specialist, parts.candidates(model), around, tools=tools)
            state.agents.append(result.info)
            state.talks.append(result.talk)
            state.findings = join_findings([*state.findings, *result.findings])  # kept should the run be cut off
            if result.disputed:
                state.notes.append(f"{name} calls {len(result.disputed)} findings wrong, which stay: {result.notes}")
            if result.notes and result.info.status != "done":
                state.degraded = True
                state.notes.append(f"{name}: {result.notes}")
            return result

    results = await gather_all([work(name, specialist) for name, specialist in chosen.items()])
    state.agents.sort(key=lambda agent: (agent.started_s, agent.name))
    return Team(
        findings=disputed(
            [finding for result in results for finding in result.findings],
            {result.info.name: result.disputed for result in results},
        ),
        wanted=frozenset(finding for result in results for finding in result.fixes),
    )


def disputed(findings: Sequence[Finding], by_agent: Mapping[str, Collection[str]]) -> tuple[Finding, ...]:
    """The findings, each with the names of those who call it wrong.

    None is dropped for it: a word of the target's may have talked a model out of one.
    """
    marked = []
    for finding in findings:
        names = [name for name, ids in by_agent.items() if finding.id in ids]
        marked.append(replace(finding, disputed_by=" + ".join(names)) if names else finding)
    return tuple(marked)


async def gather_all(work: Sequence[object]) -> list[SpecialistResult]:
    """All to their end; where one raises, the others are cancelled and awaited before it goes on."""
    tasks = [asyncio.ensure_future(one) for one in work]  # type: ignore[call-overload]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def generalist(specialists: Mapping[str, Specialist]) -> Specialist:
    """One agent with all charters and all tools: the traditional approach that a swarm is held against."""
    members = list(specialists.values())

    def joined(name: str) -> list[str]:
        return list(dict.fromkeys(item for member in members for item in getattr(member, name)))

    return Specialist(
        model=next((member.model for member in members if member.model), None),
        description="; ".join(member.description for member in members if member.description),
        focus=", ".join(member.focus for member in members if member.focus),
        tools=joined("tools"),
        target_metrics=joined("target_metrics"),
        validation_areas=joined("validation_areas"),
        optimization_targets=joined("optimization_targets"),
        monitoring_scope=joined("monitoring_scope"),
        max_turns=min(200, sum(member.max_turns for member in members)),
        budget=_joined_share([member.budget for member in members]),
    )


def _joined_share(shares: Sequence[Share | None]) -> Share | None:
    """The shares of all as one; no limit of a kind that one of them has none of."""

    def summed(values: Sequence[float | None]) -> float | None:
        return None if not values or None in values else sum(value or 0 for value in values)

    each = [share or Share(usd=None, tokens=None, seconds=None) for share in shares]
    usd, seconds = summed([one.usd for one in each]), summed([one.seconds for one in each])
    tokens = summed([one.tokens for one in each])
    if usd is tokens is seconds is None:
        return None
    return Share(usd=usd, tokens=None if tokens is None else int(tokens), seconds=seconds)

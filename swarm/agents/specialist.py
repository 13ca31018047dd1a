"""One specialist: its charter, its tools and no others, its models in order, and what comes of its work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from swarm.agents.accounts import Status, agent_info, settled
from swarm.agents.attempts import Attempted, attempt
from swarm.agents.charters import first_words, specialist_system
from swarm.agents.conversation.artifacts import ReadArtifact
from swarm.agents.conversation.loop import LoopLimits, Outcome
from swarm.agents.conversation.surroundings import Candidate, Surroundings
from swarm.agents.submission import SubmitArguments, left_out, new_findings, submission_closing
from swarm.config.schema import Specialist
from swarm.core.chat import Conversation, Message, Text
from swarm.core.events import AgentFinished, FindingReported
from swarm.core.findings import Finding
from swarm.core.report import AgentInfo
from swarm.tools.digests import place
from swarm.tools.registry import tools_for
from swarm.tools.tool import Tool


@dataclass(frozen=True, slots=True)
class SpecialistResult:
    """`findings` are those that it reported first; `fixes` the ids of findings whose fix it wants.

    `disputed` are the ids of findings of its tools that it calls wrong, whoever reported them first. `talk` is the
    conversation that counts.
    """

    findings: tuple[Finding, ...]
    fixes: tuple[str, ...]
    disputed: frozenset[str]
    notes: str
    info: AgentInfo
    talk: Outcome


async def run_specialist(
    name: str,
    specialist: Specialist,
    candidates: Sequence[Candidate],
    around: Surroundings,
    *,
    tools: Sequence[Tool] | None = None,
    limits: LoopLimits | None = None,
) -> SpecialistResult:
    """Run it to its end. A model that fails hands over to the next of `candidates`; the playbook is the usual last.

    A budget, a bound of turns or a failed model makes the result degraded, never an exception.
    `tools` are all that there are (the registry's where None): it gets those of the groups that it names.
    """
    bench, started_s = around.bench, around.since_start_s()
    around = around.within(name, specialist.budget)
    own_tools = (*tools_for(specialist.tools, tools), ReadArtifact(around.artifacts))
    conversation = Conversation(
        agent=name,
        model="",
        system=specialist_system(name, specialist),
        messages=(Message("user", (Text(first_words(bench.target)),)),),
    )
    bounds = replace(limits or LoopLimits(), max_turns=specialist.max_turns)
    attempted = await attempt(
        "specialist",
        conversation,
        own_tools,
        lambda: submission_closing(bench.findings, bench.copy.path),
        candidates,
        around,
        bounds,
    )
    return _result(name, specialist, attempted, around, started_s)


def _result(
    name: str, specialist: Specialist, attempted: Attempted, around: Surroundings, started_s: float
) -> SpecialistResult:
    store, last = around.bench.findings, attempted.last
    surfaced = store.of(dict.fromkeys(one for o in attempted.outcomes for one in o.toolbox.finding_ids))
    proposed = {proposal.finding for proposal in around.bench.proposals.of(name)}
    notes = [*attempted.notes, *(f"bug in a tool: {one}" for o in attempted.outcomes for one in o.toolbox.broken)]
    submission = last.submission if isinstance(last.submission, SubmitArguments) else None
    if submission is not None:
        _report_new(new_findings(submission, name), name, around)
        # What a probe proved stands, whatever a model thinks of it.
        unnamed = left_out(submission, surfaced)
        disputed = frozenset(f.id for f in unnamed if f.confidence != "proven" and f.id not in proposed)
        if disputed:
            notes.append(f"{len(disputed)} findings of the rules are called wrong by the specialist")
        fixes = tuple(dict.fromkeys(submission.fixes))
    else:
        disputed = frozenset()
        fixes = tuple(finding.id for finding in surfaced if finding.mendable)
        notes.append("nothing was submitted: every mendable finding so far goes to the gates")
    findings = tuple(f for f in store.all() if f.agent == name)
    status = _status(attempted, bool(notes) and bool(attempted.notes or last.toolbox.broken))
    words = " ".join([*([submission.notes] if submission and submission.notes else []), *notes])
    finished_s, candidate = around.since_start_s(), attempted.candidate
    degraded_note = "; ".join(notes) if status != "done" else ""
    around.emit(AgentFinished(name, status, len(findings), finished_s - started_s, degraded_note))
    info = agent_info(
        name,
        "specialist",
        attempted.outcomes,
        model=candidate.model_id,
        provider=candidate.model.provider,
        status=status,
        started_s=started_s,
        finished_s=finished_s,
        findings=len(findings),
        focus=specialist.focus,
        note=degraded_note,
    )
    return SpecialistResult(findings, fixes, disputed, around.mask(words), settled(info, around), last)


def _status(attempted: Attempted, troubled: bool) -> Status:
    if attempted.last.ending == "model_failed" and attempted.last.tally.turns == 0:
        return "failed"
    return "degraded" if troubled or attempted.last.submission is None else "done"


def _report_new(findings: Sequence[Finding], name: str, around: Surroundings) -> None:
    for finding in findings:
        if around.bench.findings.add(finding, name):
            around.emit(
                FindingReported(name, finding.id, finding.rule, finding.severity, finding.title, place(finding))
            )

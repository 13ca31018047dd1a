"""A patch that a gate refused goes back to who wrote it: a short conversation that ends in a better one, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field

from swarm.agents.attempts import attempt
from swarm.agents.charters import revision_system
from swarm.agents.conversation.artifacts import ReadArtifact
from swarm.agents.conversation.closing import Closing
from swarm.agents.conversation.loop import LoopLimits, Outcome
from swarm.agents.conversation.surroundings import Candidate, Surroundings
from swarm.core.chat import Conversation, Message, Text
from swarm.core.errors import ToolFailed
from swarm.core.events import AgentFinished
from swarm.core.findings import Finding
from swarm.models.untrusted import mark
from swarm.tools.digests import digest
from swarm.tools.registry import tools_for
from swarm.tools.tool import as_json, capped
from swarm.tools.workbench import Workbench
from swarm.tools.writing.propose_edit import ProposeEdit
from swarm.tools.writing.written_edits import PatchArguments, changes_of
from swarm.verify.fixes import Fix

MAX_TURNS = 10
_REPAIRS = 3  # old text must stand there letter by letter, which takes more than one try at times
_REASON_CHARS = 2_000
_DIFF_CHARS = 12_000


class RevisionArguments(BaseModel):
    """A better patch, or none."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    patch: PatchArguments | None = None
    withdraw: str = Field("", max_length=1000, description="why there is no better patch, in place of `patch`")


@dataclass(frozen=True, slots=True)
class Revision:
    """`fix` is None where there is no better one; `note` says why. `outcomes` are what it cost."""

    fix: Fix | None
    outcomes: tuple[Outcome, ...]
    note: str


async def revise(
    fix: Fix,
    gate: str,
    reason: str,
    finding: Finding | None,
    candidates: Sequence[Candidate],
    around: Surroundings,
    limits: LoopLimits | None = None,
) -> Revision:
    """Ask the author; `around` has a workbench over the tree that the patch must fit on."""
    models = sorted(
        (one for one in candidates if one.model.provider != "offline"), key=lambda one: one.model_id != fix.model
    )
    spent = around.budget.exceeded()
    if spent or not models:
        return Revision(None, (), spent or "no model is left that could write it again")
    gate, reason = around.recall.refused(fix.key, fix.attempt) or _told(fix, gate, around.mask(reason), around)
    name, began_s = f"{fix.author} (revising {fix.findings[0]})", around.since_start_s()
    conversation = Conversation(
        agent=name,
        model="",
        system=revision_system(fix.author, MAX_TURNS),
        messages=(Message("user", (Text(around.mask(_first_words(fix, gate, reason, finding))),)),),
    )
    attempted = await attempt(
        "specialist",
        conversation,
        [
            *(tool for tool in tools_for(["Read"]) if tool.name != ProposeEdit.name),
            ReadArtifact(around.artifacts),
        ],
        lambda: _closing(around.bench),
        models,
        around,
        replace(limits or LoopLimits(), max_turns=MAX_TURNS),
    )
    answer = attempted.last.submission
    better, note = None, "; ".join(attempted.notes)
    if isinstance(answer, RevisionArguments):
        better, note = _better(fix, answer, attempted.candidate.model_id, around.bench), note or answer.withdraw
    around.emit(
        AgentFinished(name, "done" if better or note else "degraded", 0, around.since_start_s() - began_s, note)
    )
    return Revision(better, attempted.outcomes, around.mask(note))


def _told(fix: Fix, gate: str, reason: str, around: Surroundings) -> tuple[str, str]:
    """What the author is told, in the journal: figures in a reason differ when a resumed run measures again."""
    record = {"author": fix.author, "edit": fix.key, "attempt": fix.attempt, "gate": gate, "reason": reason}
    around.journal.append("refused", record)
    return gate, reason


def _first_words(fix: Fix, gate: str, reason: str, finding: Finding | None) -> str:
    diff = "".join(change.diff() for change in fix.edits)
    parts = [
        f"The gate `{gate}` refused your patch:\n{mark(capped(reason, _REASON_CHARS))}",
        f"It was to answer:\n{mark(as_json(digest(finding)))}" if finding else "",
        f"Your patch, {fix.title!r}:\n{mark(capped(diff, _DIFF_CHARS))}",
        "Write it again, or withdraw it.",
    ]
    return "\n\n".join(part for part in parts if part)


def _closing(bench: Workbench) -> Closing:
    def check(answer: RevisionArguments) -> None:
        if (answer.patch is None) != bool(answer.withdraw.strip()):
            raise ToolFailed("give either patch, or withdraw with its reason")
        if answer.patch is not None:
            changes_of(answer.patch.edits, bench.index.tree, bench.copy.path, bench.target)

    return Closing(
        "submit_edit", "Hands over the patch, or withdraws it, and ends your work.", RevisionArguments, check,
        repairs=_REPAIRS,
    )  # fmt: skip


def _better(fix: Fix, answer: RevisionArguments, model: str, bench: Workbench) -> Fix | None:
    if answer.patch is None:
        return None
    changes = changes_of(answer.patch.edits, bench.index.tree, bench.copy.path, bench.target)
    return replace(
        fix,
        file=changes[0].path,
        title=answer.patch.title,
        rationale=answer.patch.why,
        edits=changes,
        model=model,
        attempt=fix.attempt + 1,
    )

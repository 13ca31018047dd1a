"""Tool: a patch that the model writes itself, where no rule can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from swarm.core.errors import ToolFailed
from swarm.core.findings import Finding
from swarm.core.proposals import Proposal
from swarm.tools.reviewed import NewFinding, as_finding, check_place
from swarm.tools.tool import Answer, Tool, as_json
from swarm.tools.writing.written_edits import PatchArguments, changes_of

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench


def _as_submitted(schema: dict[str, Any]) -> None:
    """Whoever has this tool has `submit` as well, whose schema tells the fields: they are not told twice."""
    schema.pop("anyOf", None)
    schema["type"] = "object"
    schema["description"] += ": the fields of submit's new_findings"


class ProposeEditArguments(PatchArguments):
    """The patch, and the one finding that it answers."""

    finding_id: str | None = Field(None, description="id of a reported finding")
    problem: NewFinding | None = Field(
        None,
        description="in place of finding_id, where no rule reported it",
        json_schema_extra=_as_submitted,
    )


class ProposeEdit(Tool):
    """Nothing is written: the patch waits for the gates, with those of the rules."""

    name = "propose_edit"
    group = "Read"
    description = (
        "Proposes a patch of your own for one finding. It changes nothing now: gates prove it later, as they prove "
        "the rules' mends. Only Python source of the service can be changed. Ask for a rule's fix in `submit` where "
        "a finding is mendable; write one yourself where it is not, or where the rule's would be wrong. Another "
        "proposal for the same finding takes the place of yours."
    )
    arguments = ProposeEditArguments
    untrusted = False

    async def run(self, arguments: ProposeEditArguments, bench: Workbench) -> Answer:
        """Raises ToolFailed with what to write instead."""
        finding = _answered(arguments, bench)
        changes = changes_of(arguments.edits, bench.index.tree, bench.copy.path, bench.target)
        files = ", ".join(change.path for change in changes)
        proposal = Proposal(finding.id, arguments.title, arguments.why, changes)
        said = {"finding_id": finding.id, "files": files, "state": "kept; the gates decide when you have submitted"}
        new = (finding,) if arguments.problem is not None else ()
        return Answer(as_json(said), new, proposals=(proposal,))


def _answered(arguments: ProposeEditArguments, bench: Workbench) -> Finding:
    """The finding that the patch is for."""
    if (arguments.finding_id is None) == (arguments.problem is None):
        raise ToolFailed("give either finding_id or problem")
    if arguments.problem is not None:
        check_place(arguments.problem, bench.copy.path)
        return as_finding(arguments.problem)
    found = bench.findings.get(arguments.finding_id or "")
    if found is None:
        raise ToolFailed(
            f"no such finding: {arguments.finding_id}; use the ids that tools gave, or describe a problem"
        )
    return found

"""What the journal of a cut-off run holds of its agents: taken from there, not asked, paid or done a second time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from swarm.agents.conversation.artifacts import Artifacts
from swarm.core.chat import ToolResult, Turn, Usage
from swarm.core.chat_codec import block_of, turn_of
from swarm.core.codec import decode_as
from swarm.core.findings import Finding
from swarm.core.proposals import Proposal
from swarm.core.report import AgentInfo
from swarm.models.untrusted import unmark

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToldResult:
    """The answer to one call, the ids of the findings that it brought to light, and whether it was shown in short."""

    result: ToolResult
    finding_ids: tuple[str, ...] = ()
    shortened: bool = False


@dataclass(slots=True)
class Told:
    """One conversation as far as the journal has it; empty for one that was never begun.

    `broken` is what turns took that broke off, `unheard` the tokens read and written at most by those that had no
    answer yet; `failed` is why the model gave it up, where another model took over.
    """

    beginning: Record | None = None
    turns: deque[Turn] = field(default_factory=deque)
    results: dict[tuple[int, str], ToldResult] = field(default_factory=dict)
    failed: str | None = None
    broken: Usage = field(default_factory=Usage)
    unheard: list[tuple[int, int]] = field(default_factory=list)


class Recall:
    """The conversations of a journal by agent, in the order in which they were had. Empty for a new run.

    A record that cannot be read any more, or whose findings changed their ids when secrets were masked, counts as
    not there: what it told is asked or done again.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._told: dict[str, deque[Told]] = {}
        self._infos: dict[str, AgentInfo] = {}
        self.findings: list[tuple[Finding, str]] = []
        self.artifacts = Artifacts()
        self.proposals: list[Proposal] = []
        self._refused: dict[tuple[str, int], Record] = {}
        self.turns = self.results = 0
        for record in records:
            self._take(record)
        for conversations in self._told.values():
            conversations[-1].failed = None  # nobody took over yet: the model may have come back

    def conversation(self, agent: str, beginning: Record) -> Told:
        """What is known of the agent's next conversation, where that began with the very same words."""
        waiting = self._told.get(agent)
        if not waiting:
            return Told()
        if waiting[0].beginning != beginning:
            waiting.clear()  # another charter, model or plan: what was said under the old one is of no use
            return Told()
        return waiting.popleft()

    def refused(self, edit: str, attempt: int) -> tuple[str, str] | None:
        """Gate and reason with which a model's patch was refused, as its author was told."""
        record = self._refused.get((edit, attempt))
        return None if record is None else (str(record.get("gate", "")), str(record.get("reason", "")))

    def info(self, agent: str) -> AgentInfo | None:
        """What was said of an agent that had ended."""
        return self._infos.get(agent)

    def _take(self, record: Record) -> None:
        kind, agent = record.get("kind"), str(record.get("agent", ""))
        if kind == "conversation":
            beginning = {key: value for key, value in record.items() if key != "kind"}
            self._told.setdefault(agent, deque()).append(Told(beginning))
            return
        if kind == "agent":
            self._take_info(record)
            return
        if kind == "refused":
            self._refused[str(record.get("edit")), int(record.get("attempt", 1))] = record
            return
        conversations = self._told.get(agent)
        if not conversations:
            return
        told = conversations[-1]
        if kind in ("turn", "model_failed") and told.unheard:
            told.unheard.pop()  # the last that was asked was heard
        if kind == "asked":
            told.unheard.append((record["most"]["input_tokens"], record["most"]["output_tokens"]))
        elif kind == "turn":
            told.turns.append(turn_of(record))
            self.turns += 1
        elif kind == "result":
            self._take_result(told, record, agent)
        elif kind == "model_failed" and record.get("usage"):
            told.broken = told.broken + Usage(**record["usage"])
        elif kind == "conversation_ended" and record.get("ending") == "model_failed":
            told.failed = str(record.get("note", ""))

    def _take_info(self, record: Record) -> None:
        try:
            info: AgentInfo = decode_as(AgentInfo, record.get("info"))
        except ValueError:
            return
        self._infos[info.name] = info

    def _take_result(self, told: Told, record: Record, agent: str) -> None:
        try:
            findings = [decode_as(Finding, one) for one in record.get("findings", ())]
            proposals = [decode_as(Proposal, one) for one in record.get("proposals", ())]
            result = block_of(record["result"])
        except (KeyError, ValueError):
            return
        ids = tuple(record.get("finding_ids", ()))
        if not isinstance(result, ToolResult) or ids != tuple(finding.id for finding in findings):
            return
        kept = record.get("artifact") or {}
        if kept:
            text = kept["text"] if kept["text"] is not None else unmark(result.content)
            self.artifacts.restore(kept["handle"], text)
        shortened = bool(kept) and kept["text"] is not None
        told.results[(int(record["turn"]), result.call_id)] = ToldResult(result, ids, shortened)
        self.findings += [(finding, agent) for finding in findings]
        self.proposals += proposals
        self.results += 1

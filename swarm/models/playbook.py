"""The embedded default model: a deterministic specialist that walks its charter and needs no key.

It answers from the conversation alone: same conversation, same tools, same turn. It calls the tools that its
charter names, stage by stage, reads their results and submits the findings with the fixes that rules have.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from swarm.core.chat import (
    Block,
    Conversation,
    ModelFailed,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    Turn,
    TurnLimits,
    Usage,
)  # fmt: skip
from swarm.models.estimate import blocks_tokens, conversation_tokens
from swarm.models.untrusted import unmark

MODEL_NAME = "playbook"
LIMITS_TEXT = (
    "Deterministic playbook: went by rules and measurements alone; it writes no free-form edits and judges "
    "nothing that no rule or probe knows."
)
_SUBMIT, _SUBMIT_PLAN = "submit", "submit_plan"


@dataclass(frozen=True, slots=True)
class Step:
    """When the charter calls a tool (one stage together, stages in ascending order), and how."""

    stage: int
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answered:
    call: ToolCall
    result: ToolResult

    def data(self) -> dict[str, Any]:
        """The result as JSON; empty where it is an error or plain text."""
        if self.result.is_error:
            return {}
        try:
            value = json.loads(unmark(self.result.content))
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class PlaybookModel:
    """A Model without a model. `charter` says by tool name which tools it calls when."""

    provider = "offline"

    def __init__(self, charter: Mapping[str, Step]) -> None:
        self._charter = dict(charter)

    async def next_turn(self, conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> Turn:
        """The next stage of the charter, or the submission. Token counts are estimates (characters / 4).

        What has no room in `limits` is cut off, as a model's own turn would be. Raises ModelFailed where the last
        message is not a user's.
        """
        if not conversation.messages or conversation.messages[-1].role != "user":
            raise ModelFailed("a conversation must end with a user's message", retryable=False)
        blocks = decide(conversation, tools, self._charter)
        calls = any(isinstance(block, ToolCall) for block in blocks)
        said, most = blocks_tokens(blocks), limits.max_output_tokens
        usage = Usage(conversation_tokens(conversation, tools), min(said, most), estimated=True)
        if said > most:
            return Turn((), "max_tokens", usage, MODEL_NAME)
        return Turn(blocks, "tool_use" if calls else "end_turn", usage, MODEL_NAME)

    async def count_tokens(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        """The estimate that a turn would tell."""
        return conversation_tokens(conversation, tools)

    async def close(self) -> None:
        """Nothing is held."""


def decide(conversation: Conversation, tools: Sequence[ToolSpec], charter: Mapping[str, Step]) -> tuple[Block, ...]:
    """The blocks of the next turn: a pure function of its arguments."""
    names = {tool.name for tool in tools}
    answered = list(_answered(conversation))
    called = {item.call.name for item in answered}
    first_number = len(answered) + 1
    due = [name for name in sorted(names & charter.keys()) if name not in called]
    if due:
        stage = min(charter[name].stage for name in due)
        together = [name for name in due if charter[name].stage == stage]
        return tuple(
            ToolCall(f"call_{first_number + offset}", name, dict(charter[name].arguments))
            for offset, name in enumerate(together)
        )
    closing = next((name for name in (_SUBMIT, _SUBMIT_PLAN) if name in names), None)
    if closing is None or closing in called:
        return (Text(LIMITS_TEXT),)
    if closing == _SUBMIT:
        return (ToolCall(f"call_{first_number}", _SUBMIT, _submission(answered)),)
    return (ToolCall(f"call_{first_number}", _SUBMIT_PLAN, _plan(answered)),)


def _submission(answered: Sequence[_Answered]) -> dict[str, Any]:
    """Every finding that the tools gave, a fix for each one that a rule can mend."""
    mendable: dict[str, bool] = {}
    for item in answered:
        for finding in _dicts(item.data().get("findings")):
            mendable[str(finding.get("id"))] = bool(finding.get("mendable"))
        for group in _dicts(item.data().get("more_findings")):
            for finding_id in group.get("ids", ()):
                mendable[str(finding_id)] = bool(group.get("mendable"))
    errors = [item for item in answered if item.result.is_error]
    failed = [f"{item.call.name} failed: {_short(item.result.content)}" for item in errors]
    return {
        "finding_ids": list(mendable),
        "fixes": [finding_id for finding_id, can in mendable.items() if can],
        "new_findings": [],
        "notes": " ".join([LIMITS_TEXT, *failed]),
    }


def _plan(answered: Sequence[_Answered]) -> dict[str, Any]:
    """The merge's own order, nothing dropped."""
    order: list[str] = []
    for item in answered:
        default = item.data().get("default_plan")
        if isinstance(default, list):
            order = [str(finding_id) for finding_id in default]
    return {"order": order, "dropped": [], "notes": f"{LIMITS_TEXT} The order is the merge's own."}


def _answered(conversation: Conversation) -> Iterator[_Answered]:
    calls: dict[str, ToolCall] = {}
    for message in conversation.messages:
        for block in message.blocks:
            if isinstance(block, ToolCall):
                calls[block.id] = block
            elif isinstance(block, ToolResult) and block.call_id in calls:
                yield _Answered(calls[block.call_id], block)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _short(text: str) -> str:
    first = unmark(text).strip().splitlines()
    return first[0][:200] if first else "no reason given"

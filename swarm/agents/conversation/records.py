"""What an agent began with and what its tools answered, for the journal, secrets masked. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swarm.core.chat import Conversation, ToolResult
from swarm.core.chat_codec import Mask, block_record, masked, messages_record
from swarm.core.codec import encode
from swarm.core.findings import Finding
from swarm.core.proposals import Proposal


def conversation_record(conversation: Conversation, mask: Mask) -> dict[str, Any]:
    """What a conversation begins with."""
    return {
        "agent": conversation.agent,
        "model": conversation.model,
        "system": mask(conversation.system),
        "messages": messages_record(conversation.messages, mask),
    }


def result_record(
    agent: str,
    number: int,
    result: ToolResult,
    findings: Sequence[Finding],
    mask: Mask,
    proposals: Sequence[Proposal] = (),
) -> dict[str, Any]:
    """The answer to one call of turn `number`, with the findings that it brought to light and the patches it took."""
    return {
        "agent": agent,
        "turn": number,
        "result": block_record(result, mask),
        "finding_ids": [finding.id for finding in findings],
        "findings": [masked(encode(finding), mask) for finding in findings],
        **({"proposals": [masked(encode(one), mask) for one in proposals]} if proposals else {}),
    }

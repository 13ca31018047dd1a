"""What a tool is: a name, a group, typed arguments that become its schema, a bounded answer."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from swarm.core.chat import ToolSpec
from swarm.core.findings import Finding
from swarm.core.proposals import Proposal
from swarm.tools.schemas import input_schema

if TYPE_CHECKING:
    from swarm.tools.workbench import Workbench

OUTPUT_CHARS = 20_000
SHOWN_CHARS = 6_000  # a longer answer is kept beside the conversation, and shown in short


class Arguments(BaseModel):
    """Arguments of a tool; unknown ones are mistakes. A tool with none uses this class itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool gives back: text for the model (JSON), the findings that it brought to light, and the patches
    that it took from the model.

    `short` is shown in place of a text that is too long for a conversation; None: its head is shown, and its shape.
    `served` is what must stay of it in the conversation once the model has worked with it: what no later turn can
    do without (the ids of findings), or how to ask for it again.
    """

    text: str
    findings: tuple[Finding, ...] = ()
    short: Mapping[str, Any] | None = None
    served: Mapping[str, Any] = field(default_factory=dict)
    proposals: tuple[Proposal, ...] = ()


class Tool(ABC):
    """One tool.

    `group` is one of config.schema.TOOL_GROUPS: a specialist that names the group gets the tool.
    `deadline_s` bounds one call, waiting for the machine included.
    `untrusted` says that the answer holds text of the target's; it is marked as such for the model.
    `ranged` says that the call names the range that it wants: its answer is shown as it is, up to OUTPUT_CHARS.
    `playbook_stage` says when the playbook calls it (None: never), `playbook_arguments` with what.
    """

    name: ClassVar[str]
    group: ClassVar[str]
    description: ClassVar[str]
    arguments: ClassVar[type[BaseModel]] = Arguments
    deadline_s: ClassVar[float] = 180.0
    untrusted: ClassVar[bool] = True
    ranged: ClassVar[bool] = False
    playbook_stage: ClassVar[int | None] = None
    playbook_arguments: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    async def run(self, arguments: Any, bench: Workbench) -> Answer:
        """Do it; `arguments` is an instance of the class's `arguments`. Raises ToolFailed."""

    def spec(self) -> ToolSpec:
        """The tool as a model sees it."""
        return ToolSpec(self.name, self.description, input_schema(self.arguments))


def capped(text: str, limit: int = OUTPUT_CHARS) -> str:
    """`text`, or its beginning and end with a note of how much was left out between."""
    if len(text) <= limit:
        return text
    head, tail = limit * 3 // 4, limit // 4
    left_out = len(text) - head - tail
    return f"{text[:head]}\n… [{left_out} characters left out; ask for less] …\n{text[-tail:]}"


def as_json(value: Any) -> str:
    """Compact JSON, readable for a model."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)

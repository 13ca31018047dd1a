"""How a conversation ends: the one call that hands over the result, checked before it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from swarm.core.chat import ToolSpec
from swarm.core.errors import ToolFailed
from swarm.tools.schemas import input_schema


@dataclass(frozen=True, slots=True)
class Closing:
    """The closing call. `check` raises ToolFailed for what is well formed and still wrong.

    One that is wrong is told what is, and may be made again, `repairs` times; then the conversation ends without.
    """

    name: str
    description: str
    arguments: type[BaseModel]
    check: Callable[[Any], None]
    repairs: int = 1

    def spec(self) -> ToolSpec:
        """The closing call as a model sees it."""
        return ToolSpec(self.name, self.description, input_schema(self.arguments))

    def parse(self, arguments: dict[str, Any]) -> BaseModel:
        """The submission. Raises ToolFailed with what is wrong with it."""
        submission = validated(self.arguments, arguments)
        self.check(submission)
        return submission


def validated(model: type[BaseModel], arguments: dict[str, Any]) -> BaseModel:
    """Arguments of a call, checked. Raises ToolFailed with each mistake and where it is."""
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        mistakes = [
            f"{'.'.join(str(part) for part in item['loc']) or 'arguments'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)[:8]
        ]
        raise ToolFailed("these arguments are wrong: " + "; ".join(mistakes)) from None

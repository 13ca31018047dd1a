"""The seams of the house: a Protocol each, and nothing else is abstract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from swarm.core.chat import Conversation, ToolSpec, Turn, TurnLimits
from swarm.core.events import Event


class Model(Protocol):
    """Gives the next turn of a conversation. Raises ModelFailed."""

    @property
    def provider(self) -> str:
        """`anthropic` or `offline`."""
        ...

    async def next_turn(self, conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> Turn:
        """The model's answer; raises ModelFailed where there is none to be had."""
        ...

    async def count_tokens(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        """What a turn would read, free of charge; None where that cannot be told. Never raises ModelFailed."""
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class CommandLimits:
    """Bounds of one sandboxed command; its network is loopback alone, always."""

    timeout_s: float = 120.0
    memory_bytes: int = 2 * 1024**3
    output_bytes: int = 1_000_000


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command did; `exit_code` is None where it was ended for passing a limit (`ended_by` says which)."""

    argv: tuple[str, ...]
    exit_code: int | None
    output: str
    duration_s: float
    ended_by: str = ""
    truncated: bool = False


class Sandbox(Protocol):
    """Runs a command on a copy of the target: argv, never a shell string."""

    @property
    def name(self) -> str:
        """`bubblewrap` or `process limits`: the report says which."""
        ...

    async def run(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], limits: CommandLimits
    ) -> CommandResult:
        """Run to the end or to a limit; never raises for what the command does."""
        ...


class EventSink(Protocol):
    """Takes events. Must not raise."""

    def __call__(self, event: Event) -> None:
        """Take one event."""
        ...


class Journal(Protocol):
    """An append-only record of a run, written before what it holds is used."""

    def append(self, kind: str, record: Mapping[str, Any]) -> None:
        """Write one record; it outlives this process when this returns."""
        ...


class Clock(Protocol):
    """Time, handed in."""

    def now_s(self) -> float:
        """Monotonic seconds."""
        ...

    def wall(self) -> str:
        """UTC, ISO 8601 with seconds."""
        ...

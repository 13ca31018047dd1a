"""One fake a seam: a model by script, a clock by hand, a journal and an event sink in memory, a workbench at rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from swarm.agents.conversation.budget import RunBudget
from swarm.agents.conversation.surroundings import Surroundings
from swarm.config.schema import Target
from swarm.core.chat import Block, Conversation, Text, ToolCall, ToolSpec, Turn, TurnLimits, Usage
from swarm.core.events import Event
from swarm.core.findings import Category, Finding
from swarm.core.place import TargetPlace
from swarm.core.ports import CommandLimits, CommandResult
from swarm.core.report import Waterfall
from swarm.models.prices import Prices
from swarm.tools.lease import Lease
from swarm.tools.workbench import Workbench

Step = Turn | Exception | Callable[[Conversation], Turn]


class FakeClock:
    """A Clock that moves only when told to, or with the event loop's time where `live`."""

    def __init__(self, *, live: bool = False) -> None:
        self._live, self.moved_s = live, 0.0

    def now_s(self) -> float:
        return self.moved_s + (asyncio.get_event_loop().time() if self._live else 0.0)

    def wall(self) -> str:
        return "2026-01-01T00:00:00Z"

    def advance(self, seconds: float) -> None:
        self.moved_s += seconds


class FakeJournal:
    """A Journal in memory."""

    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, Any]]] = []

    def append(self, kind: str, record: Mapping[str, Any]) -> None:
        self.records.append((kind, dict(record)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [record for name, record in self.records if name == kind]


class FakeSink:
    """An EventSink that keeps what it takes."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class FakeModel:
    """A Model that plays a script: turns, errors to raise, or functions of the conversation."""

    def __init__(self, *steps: Step, provider: str = "offline") -> None:
        self.provider = provider
        self._steps = list(steps)
        self.seen: list[Conversation] = []
        self.specs: Sequence[ToolSpec] = ()

    async def next_turn(self, conversation: Conversation, tools: Sequence[ToolSpec], limits: TurnLimits) -> Turn:
        self.seen.append(conversation)
        self.specs = tools
        if not self._steps:
            raise AssertionError("the script of the fake model is over")
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, Turn) else step(conversation)

    async def count_tokens(self, conversation: Conversation, tools: Sequence[ToolSpec]) -> int | None:
        return None

    async def close(self) -> None:
        pass


class FakeSandbox:
    """A Sandbox that runs nothing and remembers what it was asked."""

    name = "fake"

    def __init__(self, output: str = "", exit_code: int | None = 0) -> None:
        self.output, self.exit_code = output, exit_code
        self.asked: list[tuple[tuple[str, ...], Path, dict[str, str]]] = []

    async def run(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], limits: CommandLimits
    ) -> CommandResult:
        self.asked.append((tuple(argv), cwd, dict(env)))
        return CommandResult(tuple(argv), self.exit_code, self.output, 0.01)


class FakeWorkbench(Workbench):
    """A Workbench whose scans and measurements are given; nothing is started."""

    scans: dict[str, tuple[Finding, ...]]
    given_waterfalls: tuple[Waterfall, ...] = ()

    async def scan(self, category: Category) -> tuple[Finding, ...]:
        return self.scans.get(category, ())

    async def security_scan(self) -> tuple[Finding, ...]:
        return self.scans.get("security", ())

    async def _measure_waterfall(self) -> tuple[Waterfall, ...]:
        return self.given_waterfalls


def workbench(
    root: Path,
    *,
    target: Target | None = None,
    scans: Mapping[str, Sequence[Finding]] | None = None,
    sandbox: FakeSandbox | None = None,
    sink: FakeSink | None = None,
) -> FakeWorkbench:
    """A workbench over the files in `root`."""
    bench = FakeWorkbench(
        place=TargetPlace("fake", root, root, root, Path("/usr/bin/python3")),
        target=target or Target(path=".", start="true"),
        payload_root=root,
        copy=SimpleNamespace(workspace=root, path=root, cwd=root),
        index=SimpleNamespace(tree=SimpleNamespace(unparsed=(), modules={}), routes=()),
        sandbox=sandbox or FakeSandbox(),
        scratch=root / ".scratch",
        emit=sink or FakeSink(),
        clock=FakeClock(),
        lease=Lease(),
        seed=1,
        fresh_copy=lambda destination: SimpleNamespace(workspace=root, path=root, cwd=root),
    )
    bench.scans = {key: tuple(value) for key, value in (scans or {}).items()}
    return bench


def surroundings(bench: Workbench, **changes: Any) -> Surroundings:
    """Surroundings of fakes around a workbench; `changes` replace parts."""
    clock = changes.pop("clock", None) or FakeClock()
    parts: dict[str, Any] = {
        "bench": bench,
        "budget": RunBudget(clock, Prices({}, {})),
        "emit": FakeSink(),
        "journal": FakeJournal(),
        "clock": clock,
        "mask": lambda text: text,
        "run_began_s": clock.now_s(),
    }
    return Surroundings(**{**parts, **changes})


def finding(rule: str = "a-rule", **changes: Any) -> Finding:
    """A finding with something in every field that must have it."""
    parts: dict[str, Any] = {
        "rule": rule,
        "category": "performance",
        "severity": "medium",
        "confidence": "medium",
        "title": f"title of {rule}",
        "file": "app.py",
        "line": 1,
        "end_line": 2,
        "evidence": "x = 1",
        "recommendation": "do it otherwise",
    }
    return Finding(**{**parts, **changes})


def calls(*wanted: tuple[str, dict[str, Any]], first: int = 1) -> Turn:
    """A turn that calls tools."""
    blocks: tuple[Block, ...] = tuple(
        ToolCall(f"c{number}", name, arguments) for number, (name, arguments) in enumerate(wanted, first)
    )
    return Turn(blocks, "tool_use", Usage(10, 5), "fake")


def says(text: str, stop_reason: Any = "end_turn") -> Turn:
    """A turn of plain text."""
    return Turn((Text(text),) if text else (), stop_reason, Usage(10, 5), "fake")

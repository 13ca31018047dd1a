"""What the agents' loop itself costs: CPU a turn with a model that answers at once, journal and events on."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from pathlib import Path

from swarm.agents.conversation.loop import LoopLimits, converse
from swarm.console.journal import FileJournal
from swarm.console.json_lines import JsonLinesConsole
from swarm.core.chat import Conversation, Message, Text
from swarm.runtime import SystemClock, make_mask
from tests.agents.samples import Echo, done
from tests.fakes import FakeModel, calls, surroundings, workbench

TURNS = 20
AGENTS = 64
MOST_RATIO = 1.5
ROUNDS = 3
WORDS = "a result of a tool, as long as a short file of source code is. " * 30


async def one_agent(number: int, around: object) -> None:
    asked = [calls(("echo", {"words": f"{turn} {WORDS}"}), first=turn) for turn in range(1, TURNS)]
    model = FakeModel(*asked, calls(("submit", {"answer": 42}), first=TURNS))
    start = Conversation(f"agent-{number}", "m", "s", (Message("user", (Text("go"),)),))
    outcome = await converse(model, start, [Echo()], done(), around, LoopLimits(max_turns=TURNS + 4))  # type: ignore[arg-type]
    assert (outcome.ending, outcome.tally.turns) == ("submitted", TURNS)


async def cpu_ms_a_turn(folder: Path, at_once: int, times: int) -> float:
    """`at_once` agents side by side, and that `times` over."""
    journal = FileJournal(folder, make_mask(("a-secret-of-the-target", "another-of-the-shell")))
    out = io.StringIO()
    around = surroundings(
        workbench(folder), journal=journal, emit=JsonLinesConsole(out, SystemClock()), mask=make_mask(("a-secret",))
    )
    began_s = time.process_time()
    for _ in range(times):
        await asyncio.gather(*(one_agent(number, around) for number in range(at_once)))
    spent_s = time.process_time() - began_s
    journal.close()
    turns = at_once * times * TURNS
    assert out.getvalue().count('"event": "turn_finished"') == turns
    return 1000 * spent_s / turns


async def test_a_turn_costs_the_same_beside_many(tmp_path: Path, tell: Callable[[str], None]) -> None:
    await cpu_ms_a_turn(tmp_path / "warm", 1, 2)
    alone, many = [], []
    for n in range(ROUNDS):  # as many turns on both sides, alternating
        alone.append(await cpu_ms_a_turn(tmp_path / f"one-{n}", 1, AGENTS))
        many.append(await cpu_ms_a_turn(tmp_path / f"many-{n}", AGENTS, 1))
    ratio = min(many) / min(alone)
    tell(
        f"agent loop: {min(many):.2f} ms of CPU a turn with {AGENTS} agents / {min(alone):.2f} ms with one, "
        f"{TURNS} turns each: ratio {ratio:.2f}"
    )
    assert ratio <= MOST_RATIO

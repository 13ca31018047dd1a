"""One agent at work, in our loop and in the least that can be written over the SDK: what turns themselves cost.

`python -m tests.benchmarks.turn_loops ROW URL AGENTS TURNS` prints what a turn of ROW costs, with AGENTS at once.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TOOL = {
    "name": "add",
    "description": "Add two integers.",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}


async def run_ours(agents: int, turns: int, base_url: str) -> list[str]:
    """Journal, budgets, events, masking and parallel tools on, as in a run; the last words of each agent."""
    from pydantic import BaseModel

    from swarm.agents.conversation.artifacts import Artifacts
    from swarm.agents.conversation.budget import Limits, RunBudget
    from swarm.agents.conversation.closing import Closing
    from swarm.agents.conversation.loop import LoopLimits, converse
    from swarm.agents.conversation.recall import Recall
    from swarm.agents.conversation.surroundings import Surroundings
    from swarm.console.journal import FileJournal
    from swarm.console.json_lines import JsonLinesConsole
    from swarm.core.chat import Conversation, Message, Text
    from swarm.core.events import Event
    from swarm.core.masking import masked
    from swarm.models.anthropic import AnthropicModel
    from swarm.models.prices import load_prices
    from swarm.runtime import SystemClock, make_mask
    from swarm.tools.finding_store import FindingStore
    from swarm.tools.proposal_store import ProposalStore
    from swarm.tools.tool import Answer, Arguments, Tool

    class AddArguments(Arguments):
        a: int
        b: int

    class Add(Tool):
        """Adds."""

        name = "add"
        group = "Read"
        description = "Add two integers."
        arguments = AddArguments

        async def run(self, arguments: Any, bench: Any) -> Answer:
            return Answer(str(arguments.a + arguments.b))

    class Bench:
        findings = FindingStore()
        proposals = ProposalStore()
        artifacts = Artifacts()

    class Nothing(BaseModel):
        pass

    clock, mask = SystemClock(), make_mask(("a-secret-of-the-target", "another-of-the-shell"))
    model = AnthropicModel({"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_API_KEY": "none"})
    limits = LoopLimits(max_turns=turns + 8, nudges=0)
    closing = Closing("submit", "Ends it.", Nothing, lambda done: None)
    with tempfile.TemporaryDirectory() as folder:
        journal = FileJournal(Path(folder), mask)
        shown = JsonLinesConsole(io.StringIO(), clock)

        def emit(event: Event) -> None:
            told = masked(event, mask)
            journal.event(told)
            shown(told)

        bench: Any = Bench()
        budget = RunBudget(clock, load_prices(), Limits(usd=1e9, tokens=10**12, seconds=3600))
        around = Surroundings(bench, budget, emit, journal, clock, mask, clock.now_s(), Recall())

        async def one(number: int) -> str:
            start = Conversation(
                f"agent-{number}", "claude-sonnet-5-5", "You add.", (Message("user", (Text("Add the numbers."),)),)
            )
            return (await converse(model, start, [Add()], closing, around, limits)).text

        texts = await asyncio.gather(*(one(number) for number in range(agents)))
        await model.close()
        journal.close()
    return list(texts)


async def run_bare(agents: int, turns: int, base_url: str) -> list[str]:
    """A loop written by hand over the SDK, with one client: no journal, no budget, no deadline, no check."""
    from anthropic import AsyncAnthropic

    async def one(client: Any) -> str:
        messages: list[Any] = [{"role": "user", "content": "Add the numbers."}]
        for _ in range(turns + 1):
            answer = await client.messages.create(
                model="claude-sonnet-5-5", max_tokens=1024, system="You add.", tools=[TOOL], messages=messages
            )
            if answer.stop_reason != "tool_use":
                return str(answer.content[0].text)
            said = [block.model_dump(exclude_none=True) for block in answer.content]
            messages.append({"role": "assistant", "content": said})
            results = [
                {"type": "tool_result", "tool_use_id": b.id, "content": str(b.input["a"] + b.input["b"])}
                for b in answer.content
                if b.type == "tool_use"
            ]
            messages.append({"role": "user", "content": results})
        raise RuntimeError("no final answer")

    async with AsyncAnthropic(api_key="none", base_url=base_url) as client:
        return list(await asyncio.gather(*(one(client) for _ in range(agents))))


ROWS = {"ours": run_ours, "bare": run_bare}


async def cpu_ms_a_turn(row: str, url: str, agents: int, turns: int) -> float:
    """CPU of this process for `turns` turns of all agents, less what it takes without any, by turn."""

    async def spent(count: int) -> float:
        began_s = time.process_time()
        texts = await ROWS[row](agents, count, f"{url}/k{count}-l0")
        assert [text.strip() for text in texts] == [f"DONE {count}"] * agents, texts[:2]
        return time.process_time() - began_s

    return 1000 * (await spent(turns) - await spent(0)) / (agents * turns)


async def _main(row: str, url: str, agents: int, turns: int) -> None:
    await cpu_ms_a_turn(row, url, 2, 2)  # imports and first connections are not what is measured
    value = await cpu_ms_a_turn(row, url, agents, turns)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"cpu_ms": value, "rss_mb": peak_mb}) + "\n")


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))

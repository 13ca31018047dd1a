"""The three patterns over the same work, with both models: findings, order, time and what each held in context."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarm.agents.charters import full_charter
from swarm.agents.conversation.clearing import Clearing
from swarm.agents.conversation.surroundings import Candidate
from swarm.config.schema import Share, Specialist, Swarm, Target
from swarm.coordinator.generalist import NEVER, context_of, footprint, merged_rounds, saving_words
from swarm.coordinator.outcome import context_efficiency
from swarm.coordinator.patterns import GENERALIST, Team, chosen_specialists, generalist, specialists_at_work
from swarm.coordinator.state import RunRequest, RunState
from swarm.core.chat import Conversation, Message, Text, ToolCall
from swarm.core.events import TurnFinished
from swarm.models.anthropic import AnthropicModel
from swarm.models.playbook import PlaybookModel
from tests.fakes import FakeClock, FakeSink, finding, surroundings, workbench
from tests.strict_server import Say, StrictServer, text, thinking, tool_use

CATEGORIES = ("performance", "security", "api", "monitoring")
GROUPS = {
    "performance": ["Read", "Performance-Analysis"],
    "security": ["Read", "Security-Scanners"],
    "api": ["Read", "Error-Analysis"],
    "monitoring": ["Read", "Monitoring-Tools"],
}
SWARM = Swarm(
    coordinator="lead",
    specialists={name: Specialist(tools=groups, description=f"looks at {name}") for name, groups in GROUPS.items()},
)
LIVE = {"run_probes", "measure_waterfall", "profile_requests", "sweep_concurrency", "measure_load", "read_error_log"}


def diligent(body: dict[str, Any]) -> Say:
    """As Claude works: scans, then reads the code at each finding, a few at once and thinking in between, submits.

    It goes by the request alone, and does the same whether it is a specialist or the generalist.
    """
    blocks = [block for message in body["messages"] for block in message["content"]]
    made = [block for block in blocks if block["type"] == "tool_use"]
    turn = sum(message["role"] == "assistant" for message in body["messages"])
    scans = sorted(t["name"] for t in body["tools"] if t["name"].startswith("find_") or t["name"] == "list_routes")
    thought = thinking(f"turn {turn}: " + "what does this mean for the sender? " * 12, f"sig{turn}")

    def say(calls: Sequence[tuple[str, dict[str, Any]]]) -> Say:
        given = [tool_use(f"t{turn}-{n}", name, arguments) for n, (name, arguments) in enumerate(calls)]
        said = [thought, text("Going on."), *given]
        size = len(json.dumps(body)) // 4
        usage = {"input_tokens": 50, "cache_read_input_tokens": size - 50, "cache_creation_input_tokens": 0}
        return Say(said, "tool_use", {**usage, "output_tokens": len(json.dumps(said)) // 4})

    if not made:
        return say([(name, {}) for name in scans])
    ids, places = known_findings(blocks)
    read = {(block["input"].get("file"), block["input"].get("first_line")) for block in made}
    todo = [(file, max(1, line - 20)) for file, line in places if (file, max(1, line - 20)) not in read]
    if todo:
        return say([("read_file", {"file": f, "first_line": n, "last_line": n + 60}) for f, n in todo[:3]])
    return say([("submit", {"finding_ids": ids, "fixes": [], "notes": "read it all"})])


def known_findings(blocks: Sequence[dict[str, Any]]) -> tuple[list[str], list[tuple[str, int]]]:
    ids: dict[str, None] = {}
    places: dict[tuple[str, int], None] = {}
    for block in blocks:
        content = block.get("content", "") if block["type"] == "tool_result" else ""
        try:
            data = json.loads(content.removeprefix("<target-data>\n").removesuffix("\n</target-data>"))
        except ValueError:
            continue
        for one in data.get("findings", ()):
            ids[one["id"]] = None
            file, _, lines = one["place"].partition(":")
            places[file, int(lines.partition("-")[0])] = None
        for group in data.get("more_findings", ()):
            ids |= dict.fromkeys(group["ids"])
    return list(ids), list(places)


@asynccontextmanager
async def candidates_of(kind: str, models: int) -> AsyncIterator[Callable[[str], Sequence[Candidate]]]:
    if kind == "playbook":
        charter = {name: step for name, step in full_charter().items() if name not in LIVE}
        yield lambda name: [Candidate(PlaybookModel(charter), "playbook")]
        return
    server = StrictServer(*[diligent] * 400)
    async with server.running():
        claude = AnthropicModel(server.environ())
        yield lambda name: [Candidate(claude, "claude-sonnet-5-5")]
        await claude.close()
    assert server.mistakes == []


class Ran:
    def __init__(self, team: Team, state: RunState, request: RunRequest, sink: FakeSink) -> None:
        self.team, self.state, self.request, self.sink = team, state, request, sink
        self.context = context_efficiency(request, state)

    @property
    def peak(self) -> int:
        return max(agent.peak_context_tokens for agent in self.state.agents)

    @property
    def total(self) -> int:
        return sum(a.input_tokens + a.cache_read_tokens + a.output_tokens for a in self.state.agents)


async def run(kind: str, pattern: str, root: Path) -> Ran:
    scans = {
        category: [
            finding(f"{category}-{n % 5}", category=category, file=f"app{n}.py", line=30 + 90 * k, evidence="e" * 160)
            for n in range(14)
        ]
        for k, category in enumerate(CATEGORIES)
    }
    for n in range(14):
        (root / f"app{n}.py").write_text("".join(f"value_{line} = compute({line}, {n})\n" for line in range(400)))
    sink = FakeSink()
    request = RunRequest("r", "s", SWARM, "t", Target(path=".", start="true"), root, pattern, kind, "asked")
    state = RunState()
    async with candidates_of(kind, len(CATEGORIES)) as candidates:
        parts: Any = SimpleNamespace(candidates=candidates)
        around = surroundings(workbench(root, scans=scans), emit=sink, clock=FakeClock(live=True))
        team = await specialists_at_work(request, parts, around, state)
    assert {agent.status for agent in state.agents} == {"done"}
    return Ran(team, state, request, sink)


@pytest.mark.parametrize("kind", ["playbook", "claude"])
async def test_all_patterns_find_the_same_and_the_swarm_holds_less(kind: str, tmp_path: Path) -> None:
    ran = {pattern: await run(kind, pattern, tmp_path) for pattern in ("parallel", "sequential", "single")}
    found = {pattern: {f.id for f in one.team.findings} for pattern, one in ran.items()}
    assert found["parallel"] == found["sequential"] == found["single"] and len(found["single"]) == 56
    assert [len(one.state.agents) for one in ran.values()] == [4, 4, 1]
    agents = ran["sequential"].state.agents
    assert all(before.finished_s <= after.started_s for before, after in pairwise(agents))
    agents = ran["parallel"].state.agents
    assert max(agent.started_s for agent in agents) < min(agent.finished_s for agent in agents)
    assert ran["parallel"].peak == ran["sequential"].peak < ran["single"].peak
    context, single = ran["parallel"].context, ran["single"]
    assert context.saving is not None and context.generalist_peak_tokens is not None
    # what is told of a generalist that did not run is near what one that ran has held
    near = 0.3 if kind == "claude" else 0.1
    assert context.generalist_peak_tokens == pytest.approx(single.peak, rel=near)
    assert ("reported tokens" if kind == "claude" else "characters by 4") in context.method
    assert single.context.saving is None and single.context.generalist_peak_tokens == single.peak
    bounds = context.bounds
    assert bounds is not None and bounds.agents == 4 and single.context.bounds is None
    assert 1 / 4 < bounds.largest_share < 1 and bounds.largest in {a.name for a in ran["parallel"].state.agents}
    assert context.saving - 0.01 < bounds.even < bounds.free == 0.75
    means, makeup = context.means, context.makeup
    assert means is not None and makeup is not None and single.context.means is None
    assert max(means.isolation, means.digests) <= means.together and means.isolation > 0
    assert (means.digests > 0) == (kind == "claude")  # a playbook reads nothing, and here no scan is long
    assert makeup.charter + makeup.tools <= bounds.most_prefix_tokens and makeup.results > makeup.words > 0
    assert 0 < bounds.least_prefix_tokens <= bounds.most_prefix_tokens < bounds.generalist_prefix_tokens


async def test_a_generalist_that_reads_long_has_its_results_cleared_too(tmp_path: Path) -> None:
    single = await run("claude", "single", tmp_path)
    (agent,) = single.state.agents
    assert agent.cleared > 5 and agent.turns > 8
    sizes = [event.input_tokens for event in single.sink.of(TurnFinished)]
    assert max(sizes) < 40_000 and any(after < before for before, after in pairwise(sizes))


async def test_laying_talks_together_makes_no_call_twice_and_ends_once(tmp_path: Path) -> None:
    ran = await run("playbook", "parallel", tmp_path)
    rounds = list(merged_rounds(ran.state.talks))
    made = [(b.name, json.dumps(b.arguments)) for said, _ in rounds for b in said if isinstance(b, ToolCall)]
    assert len(set(made)) == len(made)
    assert {name for name, _ in made} > {"find_security_problems", "find_api_problems", "submit"}
    assert all(name == "submit" for name, _ in made[-4:]) and len(rounds[-1][0]) == 4
    again = list(merged_rounds([*ran.state.talks, *ran.state.talks]))
    assert again[:-1] == rounds[:-1]


def test_a_swarm_that_takes_more_says_so() -> None:
    assert saving_words(50, 100) == "50 % less"
    assert saving_words(150, 100) == "50 % more"
    assert saving_words(1, 0) == "nothing to compare with"


def test_a_swarm_of_which_no_agent_ran_has_no_figure() -> None:
    assert context_of([], [], Specialist(), "one", NEVER, RunState().artifacts).saving is None


def test_clearing_bounds_what_a_long_conversation_holds() -> None:
    from swarm.core.chat import ToolResult

    start = Conversation("a", "m", "charter", (Message("user", (Text("go"),)),))
    rounds = [
        ((ToolCall(str(n), "read", {"n": n}),), (ToolResult(str(n), "x" * 8_000, served="y"),)) for n in range(40)
    ]
    kept = footprint(start, (), rounds, NEVER)
    bounded = footprint(start, (), rounds, Clearing(over_tokens=12_000))
    assert kept.peak_tokens > 78_000 and bounded.peak_tokens < 17_000
    assert kept.turns == bounded.turns == 40 and bounded.total_tokens < kept.total_tokens / 2


def test_the_generalist_has_all_that_its_specialists_have() -> None:
    request = RunRequest("r", "s", SWARM, "t", Target(path=".", start="true"), Path(), "single", "offline", "")
    (name, one), *none = chosen_specialists(request).items()
    assert (name, none) == (GENERALIST, [])
    assert set(one.tools) == {tool for groups in GROUPS.values() for tool in groups}
    assert one.max_turns == sum(s.max_turns for s in SWARM.specialists.values())
    assert all(f"looks at {category}" in one.description for category in CATEGORIES)
    both = chosen_specialists(replace(request, pattern="parallel", only=("api",)))
    assert list(both) == ["api"]


def test_the_generalist_has_the_shares_of_all_together():
    with_share = Specialist(budget=Share(usd=1.0, tokens=100, seconds=None))
    joined = generalist({"a": with_share, "b": with_share}).budget
    assert joined is not None and (joined.usd, joined.tokens, joined.seconds) == (2.0, 200, None)
    assert generalist({"a": with_share, "b": Specialist()}).budget is None

"""A small swarm on a small target, on bad days of provider, model and user: how each of its runs ended."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from swarm.agents.casting import cast
from swarm.agents.charters import full_charter
from swarm.agents.conversation.loop import LoopLimits
from swarm.agents.conversation.surroundings import Candidate
from swarm.cli.running import executed, exit_code
from swarm.config.schema import ModelAlias, Swarm, Target
from swarm.console.journal import NAME, FileJournal, read_journal
from swarm.coordinator import benchmark
from swarm.coordinator.benchmark import Weighed
from swarm.coordinator.run import Run
from swarm.coordinator.state import Parts, RunRequest, RunState
from swarm.core.errors import BUG_EXIT_CODE, SwarmError
from swarm.core.events import Event, FindingReported, Note, TurnFailed, TurnFinished
from swarm.core.ports import Model
from swarm.core.report import Report
from swarm.core.spending import spent
from swarm.models.anthropic import AnthropicModel
from swarm.models.playbook import PlaybookModel
from swarm.models.prices import load_prices
from swarm.models.recording import FILE, Heading, Traffic
from swarm.reporting.formats import json as json_format
from swarm.rules.registry import all_rules
from swarm.runtime import SystemClock, make_mask
from swarm.target.running.sandbox import ProcessLimits
from swarm.verify.verifier import Proven
from tests.bad_days import Troubled
from tests.strict_server import StrictServer

EXIT_CODES = frozenset({0, 1, 2, 3, 4, 5, 130})
STALL_S = 0.25
APP = """\
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import requests

SECRET = "s3cr3t-of-the-code"


def stock(sku):
    try:
        return requests.get(f"{os.environ['STOCK_URL']}/stock/{sku}").json()
    except Exception:
        pass


class Hook(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Hook).serve_forever()
"""
SWARM = Swarm.model_validate(
    {
        "coordinator": "coordinator",
        "model": "chain",
        "edits": {"tries": 1},
        "specialists": {
            "security": {"tools": ["Read", "Compliance-Tools"], "max_turns": 10},
            "api": {"tools": ["Read", "Error-Analysis"], "max_turns": 10},
            "monitoring": {"tools": ["Monitoring-Tools"], "max_turns": 10},
        },
    }
)
ALIASES = {"chain": ModelAlias(id="claude-opus-5-5", fallbacks=["claude-sonnet-5-5"])}


def write_target(folder: Path) -> Target:
    """The target in `folder`."""
    folder.mkdir(parents=True)
    (folder / "app.py").write_text(APP)
    start = f"{sys.executable} app.py {{port}}"
    return Target.model_validate(
        {
            "path": ".",
            "start": start,
            "env": {"STOCK_URL": "http://127.0.0.1:9"},
            "webhooks": [{"path": "/hook", "payloads": [{"sku": 1}]}],
            "load": {"rate": 20, "seconds": 1},
        }
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """How one run ended: its exit code (None where it hung), and the ids of reported findings that it lost."""

    seed: int
    code: int | None
    lost: tuple[str, ...] = ()
    reported: int = 0
    accepted: int = 0
    faults: int = 0
    why: str = ""
    seconds: float = 0.0
    asked: int = 0


class OneRun(Protocol):
    """`one_run` or `cut_and_resumed`."""

    async def __call__(
        self, seed: int, folder: Path, target: Target, place: Path, *, hangs_after_s: float
    ) -> Ended: ...


class Events:
    """What a run told."""

    def __init__(self) -> None:
        self.findings: set[str] = set()
        self.notes: list[str] = []
        self.tokens = 0

    def __call__(self, event: Event) -> None:
        match event:
            case FindingReported(finding=finding):
                self.findings.add(finding)
            case Note(message=message):
                self.notes.append(message)
            case TurnFinished() | TurnFailed():
                self.tokens += event.input_tokens + event.output_tokens


async def one_run(seed: int, folder: Path, target: Target, place: Path, *, hangs_after_s: float) -> Ended:
    """A whole run by chance: how often something fails, which budgets there are, when somebody interrupts it."""
    chance = random.Random(f"faulty run {seed}")
    day = Troubled(chance, chance.choice([0.0, 0.1, 0.3, 0.6]))
    request = RunRequest(
        f"run-{seed}", "small", SWARM, "tiny", target, place,
        chance.choice(["parallel", "parallel", "sequential", "single"]), "anthropic", "by script",
        deadline_s=chance.choice([None, None, None, 1.5, 4.0]),
        budget_usd=chance.choice([None, None, None, 0.05, 0.2]),
        budget_tokens=chance.choice([None, None, None, 9_000, 30_000]),
    )  # fmt: skip
    cancelled_in_s = chance.uniform(0.05, 3.0) if chance.random() < 0.15 else None
    return await _ran(seed, request, day, folder, cancelled_in_s, hangs_after_s)


async def cut_and_resumed(seed: int, folder: Path, target: Target, place: Path, *, hangs_after_s: float) -> Ended:
    """A run on a bad day, recorded, killed at any record of its journal, and gone on with on another such day."""
    chance = random.Random(f"cut run {seed}")
    pattern = chance.choice(["parallel", "parallel", "sequential", "single"])
    request = RunRequest(f"run-{seed}", "small", SWARM, "tiny", target, place, pattern, "anthropic", "by script")
    rate = chance.choice([0.0, 0.1, 0.3])
    kept = (folder / "first" / "kept", folder / "second" / "kept")
    first = await _ran(seed, request, Troubled(chance, rate), folder / "first", None, hangs_after_s, kept=kept[0])
    if first.code != 0:
        return first
    lines = (folder / "first" / "run" / NAME).read_bytes().splitlines(keepends=True)
    cut = chance.randrange(len(lines) + 1)
    torn = lines[cut][: chance.randrange(len(lines[cut]))] if cut < len(lines) else b""
    (folder / "second" / "run").mkdir(parents=True)
    (folder / "second" / "run" / NAME).write_bytes(b"".join(lines[:cut]) + torn)
    before = read_journal(folder / "second" / "run")
    cut_recording(*kept, calls=_calls(before) + chance.randrange(2))  # a call is recorded just before it is journaled
    second = await _ran(
        seed, request, Troubled(chance, rate), folder / "second", None, hangs_after_s, before, kept=kept[1]
    )
    second = replace(second, faults=first.faults + second.faults)
    after = read_journal(folder / "second" / "run")
    twice = done_twice(after) + recorded_twice(kept[1])
    new = after[len(before) :]
    if after[: len(before)] != before or twice:
        second = replace(second, code=BUG_EXIT_CODE, why=f"cut after {cut} records: done twice: {twice[:3]}")
    elif second.asked > _calls(new):  # some give up before they are heard
        kinds = [record["kind"] for record in new]
        second = replace(second, code=BUG_EXIT_CODE, why=f"cut after {cut} records: {second.asked} requests, {kinds}")
    return second


def done_twice(records: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Turns and calls that a journal holds more than once of one and the same conversation."""
    conversations: Counter[str] = Counter()
    done: Counter[tuple[Any, ...]] = Counter()
    for record in records:
        agent = str(record.get("agent"))
        if record["kind"] == "conversation":
            conversations[agent] += 1
        elif record["kind"] == "turn":
            done[agent, conversations[agent], record["turn"]] += 1
        elif record["kind"] == "result":
            done[agent, conversations[agent], record["turn"], record["result"]["call_id"]] += 1
    return [what for what, times in done.items() if times > 1]


def _calls(records: Sequence[Mapping[str, Any]]) -> int:
    """How many calls were heard of, whole or broken."""
    return sum(record["kind"] in ("turn", "model_failed") for record in records)


def cut_recording(whole: Path, cut: Path, *, calls: int) -> None:
    """The recording as it was after so many calls."""
    cut.mkdir()
    left, kept = calls, []
    for line in (whole / FILE).read_bytes().splitlines(keepends=True):
        left -= json.loads(line)["kind"] == "call"
        if left < 0:
            break
        kept.append(line)
    (cut / FILE).write_bytes(b"".join(kept))


def recorded_twice(folder: Path) -> list[tuple[Any, ...]]:
    """Turns that a recording holds more than once of the very same call; those that no loop takes are asked again."""
    calls = [json.loads(line) for line in (folder / FILE).read_text(encoding="utf-8").splitlines()]
    taken = [one for one in calls if "turn" in one and not _same_ids(one["turn"]["blocks"])]
    return [call for call, times in Counter((one["agent"], one["model"], one["asked"]) for one in taken).items()
            if times > 1]  # fmt: skip


def _same_ids(blocks: Sequence[Mapping[str, Any]]) -> bool:
    ids = [block["id"] for block in blocks if block["type"] == "tool_call"]
    return len(set(ids)) < len(ids)


async def _ran(
    seed: int, request: RunRequest, day: Troubled, folder: Path, cancelled_in_s: float | None,
    hangs_after_s: float, records: Sequence[Mapping[str, Any]] = (), kept: Path | None = None,
) -> Ended:  # fmt: skip
    """One attempt at a run; `records` are those of an earlier one, whose findings must not be lost either.

    `kept` is the folder of its recording, where there is to be one.
    """
    loop = asyncio.get_running_loop()
    began_s, events = loop.time(), Events()
    events.findings |= {one for record in records for one in record.get("finding_ids", ())}
    server = StrictServer(director=day, counts=day.counts)
    async with server.running():
        heading = Heading(request.swarm_name, request.target_name, request.pattern)
        traffic = Traffic(heading, record=kept, going_on=kept is not None and kept.exists())
        model = traffic.model(lambda: AnthropicModel(server.environ(), stall_s=STALL_S), make_mask(("test-key",)))
        run = Run(request, _parts(request, folder, model, events, records))
        task = asyncio.ensure_future(executed(run))
        if cancelled_in_s is not None:
            loop.call_later(cancelled_in_s, task.cancel)
        done, _ = await asyncio.wait({task}, timeout=hangs_after_s)
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=10)
        await model.close()
    took = {
        "faults": day.thrown.total(), "seconds": loop.time() - began_s, "asked": len(server.requests),
    }  # fmt: skip
    if not done:
        return Ended(seed, None, why="hung", **took)
    return _ended(seed, task, run, events, server.mistakes, took)


def _ended(
    seed: int, task: asyncio.Task[Any], run: Run, events: Events, mistakes: Sequence[str], took: dict[str, Any]
) -> Ended:
    report: Report | None = None
    error = None if task.cancelled() else task.exception()
    if task.cancelled():
        code, why = BUG_EXIT_CODE, "its cancellation came through"
    elif isinstance(error, SwarmError):
        code, why = error.exit_code, str(error)
    elif error is not None:
        code, why = BUG_EXIT_CODE, f"{type(error).__name__}: {error}"
    else:
        report, early = task.result()
        code, why = exit_code(early, ()), str(early or "")
    if mistakes:
        code, why = BUG_EXIT_CODE, f"the server refused: {mistakes[0]}"
    if report is not None and spent(report.agents).all_tokens != events.tokens and not run.checkpoints.reused:
        code, why = BUG_EXIT_CODE, f"{spent(report.agents).all_tokens} tokens told, {events.tokens} taken"
    if report is not None and passed_budget(report, run.request):
        code, why = BUG_EXIT_CODE, "a budget was passed"
    kept = {finding.id for finding in report.findings} if report else {f.id for f in run.state.findings}
    if report:
        kept |= {one["id"] for one in json.loads(json_format.render(report))["findings"]}
    accepted = sum(one.verdict.__class__.__name__ == "Accepted" for one in run.state.patches)
    lost = tuple(sorted(events.findings - kept))
    return Ended(seed, code, lost, len(events.findings), accepted, why=why, **took)


def passed_budget(report: Report, request: RunRequest) -> bool:
    """Whether its agents took more than the run may; turns that broke off count."""
    tokens = spent(report.agents).all_tokens
    dollars = sum(agent.cost_usd or 0.0 for agent in report.agents)
    return tokens > (request.budget_tokens or tokens) or dollars > (request.budget_usd or dollars) + 1e-6


def _parts(
    request: RunRequest, folder: Path, model: Model, events: Events, records: Sequence[Mapping[str, Any]]
) -> Parts:
    prices = load_prices()
    playbook = PlaybookModel(full_charter())
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)

    def candidates(name: str) -> Sequence[Candidate]:
        return cast(name, ALIASES, prices, provider=model, playbook=playbook)

    return Parts(
        candidates=candidates,
        prices=prices,
        sandbox=ProcessLimits(),
        clock=SystemClock(),
        emit=events,
        journal=FileJournal(folder / "run", make_mask(("test-key",))),
        scratch=scratch,
        rules={rule.id: rule for rule in all_rules()},
        mask=make_mask(("test-key",)),
        version="test",
        records=records,
    )


def leave_out_measuring(patch: pytest.MonkeyPatch) -> None:
    """Runs without probes, load and scores: they take most of a run's time, and no fault of these reaches them.

    Nor is there a reason to wait as long as for a provider that is far away.
    """

    async def nothing(*given: Any, **named: Any) -> tuple[()]:
        return ()

    async def unweighed(*given: Any, **named: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    async def accept(parts: Parts, state: RunState, standing: Any, proven: Proven, weighed: Weighed, _: Any) -> None:
        benchmark._accept_all(parts, state, proven, {}, weighed.gates)

    async def look(lab: Any, before: Any, settled: Any) -> Any:
        return before

    patch.setattr("swarm.coordinator.run.Run._probes_before", nothing)
    patch.setattr("swarm.coordinator.run.Run._scanned", nothing)
    patch.setattr("swarm.coordinator.run.plant_and_look", nothing)
    patch.setattr("swarm.coordinator.run.look_at_final", look)
    patch.setattr("swarm.coordinator.run.score_run", lambda *given: None)
    patch.setattr("swarm.coordinator.run.benchmark_and_settle", accept)
    patch.setattr("swarm.coordinator.edits.climb_all", unweighed)
    for module in ("specialist", "coordinator_agent", "revision"):
        patch.setattr(f"swarm.agents.{module}.LoopLimits", partial(LoopLimits, first_wait_s=0.05))


async def many_runs(
    one_of_them: OneRun, seeds: Sequence[int], folder: Path, *, at_once: int, hangs_after_s: float
) -> list[Ended]:
    """All of them, some side by side."""
    place = folder / "target"
    target, free = write_target(place), asyncio.Semaphore(at_once)

    async def one(seed: int) -> Ended:
        async with free:
            return await one_of_them(seed, folder / f"{seed}", target, place, hangs_after_s=hangs_after_s)

    return list(await asyncio.gather(*(one(seed) for seed in seeds)))

"""A small swarm on a small target, with faults thrown at it by chance: of the provider, of the model, of the user."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from swarm.agents.casting import cast
from swarm.agents.charters import full_charter
from swarm.agents.conversation.surroundings import Candidate
from swarm.cli.running import executed, exit_code
from swarm.config.schema import ModelAlias, Swarm, Target
from swarm.console.journal import NAME, FileJournal, read_journal
from swarm.coordinator import benchmark
from swarm.coordinator.benchmark import Weighed
from swarm.coordinator.run import Run
from swarm.coordinator.state import Parts, RunRequest, RunState
from swarm.core.errors import BUG_EXIT_CODE, SwarmError
from swarm.core.events import Event, FindingReported, Note
from swarm.core.report import Report
from swarm.core.spending import spent
from swarm.models.anthropic import AnthropicModel
from swarm.models.playbook import PlaybookModel
from swarm.models.prices import load_prices
from swarm.reporting.formats import json as json_format
from swarm.rules.registry import all_rules
from swarm.runtime import SystemClock, make_mask
from swarm.target.running.sandbox import ProcessLimits
from swarm.verify.verifier import Proven
from tests.scripted_claude import FLAT, Call, ScriptedClaude, Seen, patch
from tests.strict_server import Break, Raw, Refuse, Say, Step, StrictServer, text, thinking, tool_use

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
GET = "requests.get(f\"{os.environ['STOCK_URL']}/stock/{sku}\")"


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


@dataclass
class Troubled:
    """A director that plays a good model, and a bad day of the provider or the model by chance."""

    chance: random.Random
    rate: float
    thrown: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        writes = self.chance.random() < 0.1  # a proof of its own patch takes most of a run's time
        self._claude = ScriptedClaude(_own if writes else lambda seen: (), fixes=lambda finding: False)

    def __call__(self, body: dict[str, Any]) -> Step:
        if self.chance.random() >= self.rate:
            return self._claude(body)
        name = self.chance.choice(sorted(FAULTS))
        self.thrown[name] += 1
        return FAULTS[name](body, self)

    def counts(self, body: dict[str, Any]) -> int | Refuse:
        """What a request reads, as its turn will tell; not to be had at times."""
        if self.chance.random() >= self.rate:
            return FLAT["input_tokens"]
        return Refuse(self.chance.choice([404, 429, 529]), "overloaded_error")


def _own(seen: Seen) -> list[Call]:
    ids = [one for one, finding in seen.findings().items() if finding.get("rule") == "missing-timeout"]
    return [patch(one, "app.py", GET, f"{GET[:-1]}, timeout=5)") for one in ids]


def _half(body: dict[str, Any], day: Troubled) -> Step:
    return Say([thinking("hm"), tool_use("half", "list_files", {"folder": "." * 40})], "max_tokens", cut_json=True)


def _repeats(body: dict[str, Any], day: Troubled) -> Step:
    number = Seen(body).turn
    return Say([tool_use(f"same-{number}-{n}", "list_files", {}) for n in range(3)], "tool_use")


def _many(body: dict[str, Any], day: Troubled) -> Step:
    number = Seen(body).turn
    return Say([tool_use(f"many-{number}-{n}", "read_file", {"file": f"{n}.py"}) for n in range(20)], "tool_use")


def _wrong(body: dict[str, Any], day: Troubled) -> Step:
    number = Seen(body).turn
    given: list[tuple[str, dict[str, Any]]] = [
        ("no_such_tool", {}), ("read_file", {"fiel": 1}), ("submit", {"finding_ids": ["0000000000"], "fixes": 3}),
        ("propose_edit", {"edits": []}), ("submit_plan", {"order": ["x", "x"]}),
    ]  # fmt: skip
    return Say([tool_use(f"w-{number}-{n}", name, words) for n, (name, words) in enumerate(given)], "tool_use")


def _drops_all(body: dict[str, Any], day: Troubled) -> Step:
    empty = {"finding_ids": [], "fixes": [], "new_findings": [], "notes": "Nothing is wrong."}
    return Say([tool_use(f"d-{Seen(body).turn}", "submit", empty)], "tool_use")


FAULTS: dict[str, Any] = {
    "429": lambda body, day: Refuse(429, "rate_limit_error", {"retry-after": day.chance.choice(["0", "0.1", "900"])}),
    "529": lambda body, day: Refuse(529, "overloaded_error"),
    "500": lambda body, day: Refuse(500, "api_error"),
    "401": lambda body, day: Refuse(401, "authentication_error"),
    "404": lambda body, day: Refuse(404, "not_found_error"),
    "too long": lambda body, day: Refuse(400, "invalid_request_error"),
    "drop": lambda body, day: Break("drop"),
    "stall": lambda body, day: Break("stall"),
    "no end": lambda body, day: Break("end"),
    "error event": lambda body, day: Break("error", day.chance.choice(["overloaded_error", "invalid_request_error"])),
    "no json": lambda body, day: Raw(b"event: message_start\ndata: {oops\n\n"),
    "a page": lambda body, day: Raw(b"<html>502</html>", "text/html"),
    "half a call": _half,
    "refusal": lambda body, day: Say([text("I'd rather not.")], "refusal"),
    "pause": lambda body, day: Say([text("One moment.")], "pause_turn"),
    "pause about nothing": lambda body, day: Say([], "pause_turn"),
    "nameless call": lambda body, day: Say([tool_use("", "list_files", {})], "tool_use"),
    "uncounted": lambda body, day: Say([text("Hm.")], "end_turn", {"input_tokens": 0, "output_tokens": 0}),
    "lingers": lambda body, day: Say([text("Hm.")], "end_turn", lingers_s=1.0),
    "half a character": lambda body, day: Say([tool_use("h", "read_file", {"file": "\ud800"})], "tool_use"),
    "full": lambda body, day: Say([text("…")], "model_context_window_exceeded"),
    "empty": lambda body, day: Say([], "end_turn"),
    "blank": lambda body, day: Say([text(" ")], "end_turn"),
    "chat": lambda body, day: Say([text("All done, I think.")], "end_turn"),
    "unknown reason": lambda body, day: Say([text("x")], "by_itself"),
    "repeats": _repeats,
    "many": _many,
    "wrong": _wrong,
    "twice one id": lambda body, day: Say([tool_use("x", "list_files", {})] * 2, "tool_use"),
    "drops all": _drops_all,
}  # fmt: skip


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

    def __call__(self, event: Event) -> None:
        match event:
            case FindingReported(finding=finding):
                self.findings.add(finding)
            case Note(message=message):
                self.notes.append(message)


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
    """A run on a bad day, killed at any record of its journal, and gone on with on another such day."""
    chance = random.Random(f"cut run {seed}")
    pattern = chance.choice(["parallel", "parallel", "sequential", "single"])
    request = RunRequest(f"run-{seed}", "small", SWARM, "tiny", target, place, pattern, "anthropic", "by script")
    rate = chance.choice([0.0, 0.1, 0.3])
    first = await _ran(seed, request, Troubled(chance, rate), folder / "first", None, hangs_after_s)
    if first.code != 0:
        return first
    lines = (folder / "first" / "run" / NAME).read_bytes().splitlines(keepends=True)
    cut = chance.randrange(len(lines) + 1)
    torn = lines[cut][: chance.randrange(len(lines[cut]))] if cut < len(lines) else b""
    (folder / "second" / "run").mkdir(parents=True)
    (folder / "second" / "run" / NAME).write_bytes(b"".join(lines[:cut]) + torn)
    before = read_journal(folder / "second" / "run")
    second = await _ran(seed, request, Troubled(chance, rate), folder / "second", None, hangs_after_s, before)
    second = replace(second, faults=first.faults + second.faults)
    after = read_journal(folder / "second" / "run")
    twice = done_twice(after)
    new = [record["kind"] for record in after[len(before) :]]
    if after[: len(before)] != before or twice:
        second = replace(second, code=BUG_EXIT_CODE, why=f"cut after {cut} records: done twice: {twice[:3]}")
    elif second.asked > new.count("turn") + new.count("model_failed"):  # some give up before they are heard
        second = replace(second, code=BUG_EXIT_CODE, why=f"cut after {cut} records: {second.asked} requests, {new}")
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


async def _ran(
    seed: int, request: RunRequest, day: Troubled, folder: Path, cancelled_in_s: float | None,
    hangs_after_s: float, records: Sequence[Mapping[str, Any]] = (),
) -> Ended:  # fmt: skip
    """One attempt at a run; `records` are those of an earlier one, whose findings must not be lost either."""
    loop = asyncio.get_running_loop()
    began_s, events = loop.time(), Events()
    events.findings |= {one for record in records for one in record.get("finding_ids", ())}
    server = StrictServer(director=day, counts=day.counts)
    async with server.running():
        model = AnthropicModel(server.environ(), stall_s=STALL_S)
        run = Run(request, _parts(request, folder, model, events, records))
        task = asyncio.ensure_future(executed(run))
        if cancelled_in_s is not None:
            loop.call_later(cancelled_in_s, task.cancel)
        done, _ = await asyncio.wait({task}, timeout=hangs_after_s)
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=10)
        await model.close()
    spent = {
        "faults": day.thrown.total(), "seconds": loop.time() - began_s, "asked": len(server.requests),
    }  # fmt: skip
    if not done:
        return Ended(seed, None, why="hung", **spent)
    return _ended(seed, task, run, events, server.mistakes, spent)


def _ended(
    seed: int, task: asyncio.Task[Any], run: Run, events: Events, mistakes: Sequence[str], spent: dict[str, Any]
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
    if report is not None and passed_budget(report, run.request):
        code, why = BUG_EXIT_CODE, "a budget was passed"
    kept = {finding.id for finding in report.findings} if report else {f.id for f in run.state.findings}
    if report:
        kept |= {one["id"] for one in json.loads(json_format.render(report))["findings"]}
    accepted = sum(one.verdict.__class__.__name__ == "Accepted" for one in run.state.patches)
    lost = tuple(sorted(events.findings - kept))
    return Ended(seed, code, lost, len(events.findings), accepted, why=why, **spent)


def passed_budget(report: Report, request: RunRequest) -> bool:
    """Whether its agents took more than the run may; turns that broke off count."""
    tokens = spent(report.agents).all_tokens
    dollars = sum(agent.cost_usd or 0.0 for agent in report.agents)
    return tokens > (request.budget_tokens or tokens) or dollars > (request.budget_usd or dollars) + 1e-6


def _parts(
    request: RunRequest, folder: Path, model: AnthropicModel, events: Events, records: Sequence[Mapping[str, Any]]
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
    """Runs without probes, load and scores: they take most of a run's time, and no fault of these reaches them."""

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

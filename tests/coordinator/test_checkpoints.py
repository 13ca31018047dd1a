"""A run that is killed between phases goes on there: what was finished is taken from the journal, and not redone."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swarm.agents.charters import full_charter
from swarm.agents.conversation.surroundings import Candidate
from swarm.config.schema import Target
from swarm.console.journal import NAME, FileJournal, read_journal
from swarm.coordinator.run import Run
from swarm.coordinator.state import Parts, RunRequest
from swarm.core.errors import BudgetExceeded, SwarmError, TargetError
from swarm.core.patches import Accepted
from swarm.core.report import Report
from swarm.core.spending import spent
from swarm.models.playbook import MODEL_NAME, PlaybookModel
from swarm.models.prices import load_prices
from swarm.rules.registry import all_rules
from swarm.runtime import SystemClock, make_mask
from swarm.target.running.sandbox import ProcessLimits
from tests.fakes import FakeSink
from tests.faulty_swarm import SWARM, leave_out_measuring, write_target

pytestmark = pytest.mark.long

MASKED = "a-secret-of-the-shell"
TEST = "import unittest\n\n\nclass Works(unittest.TestCase):\n    def test_it(self):\n        assert True\n"
ALL = {"turn", "tests", "record", "weigh", "prove", "benchmark"}


class Counting:
    """Counts what a run does over and over: one process's worth of it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.did: Counter[str] = Counter()
        self._watch(patch, "swarm.coordinator.run.weigh", "weigh")
        self._watch(patch, "swarm.coordinator.run.prove", "prove")
        self._watch(patch, "swarm.coordinator.run.benchmark_and_settle", "benchmark")
        self._watch(patch, "swarm.coordinator.baseline.run_tests", "tests")
        self._watch(patch, "swarm.coordinator.baseline.record_first", "record")

    def _watch(self, patch: pytest.MonkeyPatch, where: str, name: str) -> None:
        module = sys.modules[where.rpartition(".")[0]]
        real = getattr(module, where.rpartition(".")[2])

        async def watched(*given: Any, **named: Any) -> Any:
            self.did[name] += 1
            return await real(*given, **named)

        patch.setattr(where, watched)


async def unweighed(*given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, {}


def one_run(folder: Path, place: Path, target: Target, counting: Counting, swarm: Any = SWARM) -> Report:
    """A process's worth of the run whose journal lies in `folder`."""
    return ended(folder, place, target, counting, swarm)[0]


def ended(
    folder: Path, place: Path, target: Target, counting: Counting, swarm: Any = SWARM, **limits: Any
) -> tuple[Report, SwarmError | None]:
    """The report, and what ended the run early."""
    counting.did.clear()

    class Model(PlaybookModel):
        async def next_turn(self, *given: Any) -> Any:
            counting.did["turn"] += 1
            return await super().next_turn(*given)

    mask = make_mask((MASKED,))
    records = read_journal(folder) if (folder / NAME).exists() else ()
    journal = FileJournal(folder, mask)
    scratch = folder.parent / f"{folder.name}-scratch-{len(records)}"
    scratch.mkdir()
    parts = Parts(
        candidates=lambda name: (Candidate(Model(full_charter()), MODEL_NAME),),
        prices=load_prices(), sandbox=ProcessLimits(), clock=SystemClock(), emit=FakeSink(), journal=journal,
        scratch=scratch, rules={rule.id: rule for rule in all_rules()}, mask=mask, version="test", records=records,
    )  # fmt: skip
    request = RunRequest("a-run", "small", swarm, "tiny", target, place, "parallel", "offline", "by script", **limits)
    run = Run(request, parts)
    try:
        return asyncio.run(run.execute()), run.state.early
    finally:
        journal.close()


def shape(report: Report) -> Any:
    """All that must be the same however often the run was cut."""
    patches = [(one.patch.id, one.patch.diff(), type(one.verdict).__name__) for one in report.patches]
    findings = sorted((one.id, one.status, one.agent) for one in report.findings)
    agents = [(one.name, one.turns, one.tool_calls, one.input_tokens, one.findings) for one in report.agents]
    return patches, findings, agents, report.verification.tests_before, report.verification.tests_after


def cut_after(lines: list[bytes], wanted: Callable[[dict[str, Any]], bool]) -> bytes:
    place = next(number for number, line in enumerate(lines) if wanted(json.loads(line)))
    return b"".join(lines[: place + 1])


def checkpoint(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda record: (record["kind"], record.get("phase")) == ("checkpoint", name)


def phase(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda record: (record["kind"], record.get("phase")) == ("phase", name)


CUTS: tuple[tuple[str, Callable[[dict[str, Any]], bool], set[str]], ...] = (
    ("the tree is known", lambda record: record["kind"] == "tree", ALL),
    ("the target is tested", checkpoint("baseline"), ALL - {"tests"}),
    ("the plan is made", phase("plan"), {"record", "weigh", "prove", "benchmark"}),
    ("weighed", checkpoint("weigh"), {"record", "prove", "benchmark"}),
    ("in the benchmark", phase("verify"), {"benchmark"}),
)


def test_what_was_finished_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_measuring(monkeypatch)
    monkeypatch.setattr("swarm.coordinator.benchmark.climb_all", unweighed)
    place = tmp_path / "target"
    target = write_target(place).model_copy(update={"tests": f"{sys.executable} -m unittest -q"})
    (place / "test_it.py").write_text(TEST)
    counting = Counting(monkeypatch)
    whole = one_run(tmp_path / "whole", place, target, counting)
    assert set(counting.did) == ALL
    assert any(isinstance(one.verdict, Accepted) for one in whole.patches)
    assert whole.verification.tests_before is not None and whole.verification.tests_before.passed == 1
    lines = (tmp_path / "whole" / NAME).read_bytes().splitlines(keepends=True)
    for number, (name, wanted, does) in enumerate(CUTS):
        folder = tmp_path / f"cut-{number}"
        folder.mkdir()
        (folder / NAME).write_bytes(cut_after(lines, wanted))
        again = one_run(folder, place, target, counting)
        assert shape(again) == shape(whole), name
        # turns that were under way when the baseline was through may be told or not
        assert {one for one, times in counting.did.items() if times} - {"turn"} == does - {"turn"}, name
        assert ("turn" in counting.did) <= ("turn" in does), name
        told = [note for note in again.run.notes if note.startswith("taken from the journal")]
        assert bool(told) == ("weigh" not in does), name

    # twice cut, and a budget that was changed meanwhile
    (tmp_path / "cut-0" / NAME).write_bytes(cut_after(lines, checkpoint("weigh")))
    first = one_run(tmp_path / "cut-0", place, target, counting)
    richer = SWARM.model_copy(update={"budget": SWARM.budget.model_copy(update={"tokens": 10**9})})
    second = one_run(tmp_path / "cut-0", place, target, counting, richer)
    assert shape(first) == shape(second) == shape(whole) and set(+counting.did) == {"benchmark"}

    # other code, other words on the target
    (tmp_path / "cut-1" / NAME).write_bytes(cut_after(lines, checkpoint("verify")))
    with pytest.raises(TargetError, match=r"\(targets\.tiny in agents\.yaml\)"):
        one_run(tmp_path / "cut-1", place, target.model_copy(update={"env": {"STOCK_URL": "x"}}), counting)
    (place / "app.py").write_text((place / "app.py").read_text() + "\n")
    (place / "more.py").write_text("")
    with pytest.raises(TargetError, match=r"has changed since run a-run began \(app.py, more.py\)"):
        one_run(tmp_path / "cut-1", place, target, counting)
    assert not +counting.did


def test_a_budget_ends_the_agents_and_a_larger_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_out_measuring(monkeypatch)
    monkeypatch.setattr("swarm.coordinator.benchmark.climb_all", unweighed)
    place = tmp_path / "target"
    target, counting = write_target(place), Counting(monkeypatch)
    report, early = ended(tmp_path / "run", place, target, counting, budget_tokens=14_000)
    assert isinstance(early, BudgetExceeded) and early.exit_code == 5
    assert "the budget of 14000 tokens has no room for a further turn" in str(early)
    assert report.run.status == "degraded"
    assert 0 < spent(report.agents).all_tokens <= 14_000
    paid = counting.did["turn"]
    whole, early = ended(tmp_path / "run", place, target, counting, budget_tokens=10**7)
    assert early is None
    assert [(a.name, a.status, a.note) for a in whole.agents if a.status != "done"] == []
    assert paid + counting.did["turn"] == sum(agent.turns for agent in whole.agents)

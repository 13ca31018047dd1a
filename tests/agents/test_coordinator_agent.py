from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarm.agents.charters import full_charter
from swarm.agents.conversation.loop import LoopLimits
from swarm.agents.conversation.surroundings import Candidate
from swarm.agents.coordinator_agent import PlanResult, run_coordinator
from swarm.core.chat import ModelFailed
from swarm.models.playbook import PlaybookModel
from tests.fakes import FakeModel, calls, finding, says, surroundings, workbench

FINDINGS = tuple(finding(f"rule-{n}", line=n, mendable=True) for n in range(1, 5))
ORDER = tuple(f.id for f in reversed(FINDINGS[:3]))
READ = calls(("read_findings", {}))


async def plan(tmp_path: Path, *models: Any) -> PlanResult:
    candidates = [Candidate(model, f"m{n}") for n, model in enumerate(models)]
    around = surroundings(workbench(tmp_path))
    limits = LoopLimits(first_wait_s=0.01)
    return await run_coordinator("lead", FINDINGS, ORDER, candidates, around, limits=limits)


async def test_the_playbook_takes_the_merges_order(tmp_path: Path):
    result = await plan(tmp_path, PlaybookModel(full_charter()))
    assert result.order == ORDER
    assert result.dropped == ()
    assert (result.info.role, result.info.status, result.info.turns) == ("coordinator", "done", 2)


async def test_a_model_may_reorder_and_drop_with_a_reason(tmp_path: Path):
    c, b, a = ORDER
    arguments = {"order": [a, c], "dropped": [{"finding_id": b, "reason": "the first makes it needless"}]}
    result = await plan(tmp_path, FakeModel(READ, calls(("submit_plan", arguments), first=5)))
    assert result.order == (a, c)
    assert result.dropped == ((b, "the first makes it needless"),)


async def test_what_a_plan_forgets_is_put_at_its_end(tmp_path: Path):
    result = await plan(tmp_path, FakeModel(READ, calls(("submit_plan", {"order": [ORDER[2]]}), first=5)))
    assert result.order == (ORDER[2], ORDER[0], ORDER[1])
    assert "2 fixes" in result.notes


@pytest.mark.parametrize(
    "wrong", [{"order": ["ffffffffff"]}, {"order": [ORDER[0], ORDER[0]]}, {"order": [FINDINGS[3].id]}]
)
async def test_a_wrong_plan_is_told_and_mended(tmp_path: Path, wrong: dict[str, Any]):
    right = calls(("submit_plan", {"order": list(ORDER)}), first=9)
    model = FakeModel(READ, calls(("submit_plan", wrong), first=5), right)
    result = await plan(tmp_path, model)
    assert model.seen[2].messages[-1].blocks[0].is_error
    assert result.order == ORDER


@pytest.mark.parametrize(
    "model",
    [FakeModel(ModelFailed("gone", retryable=False)), FakeModel(READ, says("x"), says("x"), says("x"))],
    ids=["dead", "silent"],
)
async def test_without_a_plan_the_merges_order_is_taken_and_said(tmp_path: Path, model: FakeModel):
    result = await plan(tmp_path, model)
    assert result.order == ORDER
    assert result.info.status == "degraded"
    assert "the merge's own order" in result.notes


async def test_a_dead_model_hands_over_to_the_playbook(tmp_path: Path):
    dead = FakeModel(ModelFailed("gone", retryable=False), provider="anthropic")
    result = await plan(tmp_path, dead, PlaybookModel(full_charter()))
    assert result.order == ORDER
    assert (result.info.status, result.info.provider) == ("degraded", "offline")

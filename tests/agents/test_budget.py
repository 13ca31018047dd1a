from __future__ import annotations

import pytest

from swarm.agents.budget import RunBudget
from swarm.core.chat import Usage
from swarm.core.errors import BudgetExceeded
from swarm.models.prices import load_prices
from tests.fakes import FakeClock


def test_counts_what_all_agents_spend():
    clock = FakeClock()
    budget = RunBudget(clock, load_prices(), usd=1.0, tokens=10_000, seconds=60)
    assert budget.charge("anthropic", "sonnet", Usage(1_000, 100, 500, 400)) == pytest.approx(0.00405)
    assert budget.charge("offline", "playbook", Usage(5_000, 1)) == 0.0
    assert budget.spent.tokens == 7_001
    assert budget.exceeded() is None
    budget.charge("anthropic", "opus", Usage(2_000, 999))
    assert "10000 tokens" in str(budget.exceeded())
    with pytest.raises(BudgetExceeded, match="--budget-tokens"):
        budget.check()


def test_a_deadline_passes_and_dollars_run_out():
    clock = FakeClock()
    late = RunBudget(clock, load_prices(), seconds=60)
    assert late.remaining_s == 60
    clock.advance(61)
    assert late.remaining_s == 0.0
    assert "60 s" in str(late.exceeded())
    poor = RunBudget(clock, load_prices(), usd=0.001)
    poor.charge("anthropic", "opus", Usage(0, 100))
    assert "$0.001" in str(poor.exceeded())


def test_a_model_without_a_price_is_named():
    budget = RunBudget(FakeClock(), load_prices(), usd=1)
    assert budget.charge("anthropic", "qwen3:8b", Usage(10, 10)) is None
    assert budget.exceeded() is None
    assert "qwen3:8b" in budget.notes[0]

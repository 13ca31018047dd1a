from __future__ import annotations

from pathlib import Path

import pytest

from swarm.core.chat import Usage
from swarm.core.errors import UsageError
from swarm.models.prices import load_prices


def test_every_kind_of_token_has_its_own_rate():
    prices = load_prices()
    usage = Usage(1_000_000, 100_000, cache_read_tokens=2_000_000, cache_write_tokens=400_000)
    assert prices.cost_usd("claude-sonnet-5-5", usage) == pytest.approx(2.0 + 1.0 + 0.2 + 1.0)
    assert prices.cost_usd("sonnet", usage, "1h") == pytest.approx(2.0 + 1.0 + 0.2 + 1.6)


def test_a_long_prompt_of_haiku_costs_five_times_as_much():
    prices = load_prices()
    assert prices.cost_usd("haiku", Usage(100_000, 0)) == pytest.approx(0.01)
    assert prices.cost_usd("haiku", Usage(60_000, 0, cache_read_tokens=60_000)) == pytest.approx(0.033)


def test_aliases_and_unknown_models():
    prices = load_prices()
    assert prices.model_id("opus") == "claude-opus-5-5"
    assert prices.model_id("qwen3:8b") == "qwen3:8b"
    assert prices.cost_usd("qwen3:8b", Usage(10, 10)) is None
    assert all(name in prices.rates for name in prices.aliases.values())


def test_a_file_of_the_users_is_laid_over(tmp_path: Path):
    own = tmp_path / "prices.yaml"
    own.write_text(
        "models:\n  mine: {input: 1, output: 1, cache_write_5m: 1, cache_write_1h: 1, cache_read: 1}\n"
        "aliases: {sonnet: mine}\n"
    )
    prices = load_prices(own)
    assert prices.cost_usd("sonnet", Usage(1_000_000, 0)) == pytest.approx(1.0)
    assert prices.model_id("opus") == "claude-opus-5-5"
    own.write_text("models:\n  mine: {input: -1}\n")
    with pytest.raises(UsageError, match=r"models\.mine"):
        load_prices(own)

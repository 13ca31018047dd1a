"""Tokens by kind and dollars, as reports and consoles tell them."""

from __future__ import annotations

from dataclasses import replace

from swarm.core.report import AgentInfo
from swarm.core.spending import asked_a_provider, money, spent

AGENT = AgentInfo("a", "specialist", "m", "anthropic", "done", 0, 1, 2, 3, 100, 40, 700, 200, 900, "reported", 0.5, 1)


def test_kinds_are_summed_and_told() -> None:
    both = spent([AGENT, replace(AGENT, cost_usd=0.25)])
    assert (both.read_tokens, both.all_tokens, both.from_cache, both.usd) == (2000, 2080, 0.7, 0.75)
    assert both.words == "2,000 in (1,400 from the cache, 400 written to it), 80 out"
    assert spent([replace(AGENT, cache_read_tokens=0, cache_write_tokens=0)]).words == "100 in, 40 out"


def test_a_price_that_is_not_known_is_never_nothing() -> None:
    unknown = replace(AGENT, cost_usd=None)
    assert spent([AGENT, unknown]).usd is None and money(None) == "cost unknown"
    assert asked_a_provider([unknown]) and not asked_a_provider([replace(AGENT, cost_usd=0.0)])
    assert [money(usd) for usd in (0.0, 0.00123, 0.9949, 0.9951, 1234.5)] == [
        "$0", "$0.0012", "$0.9949", "$1.00", "$1,234.50",
    ]  # fmt: skip


def test_of_nobody_there_is_nothing() -> None:
    assert spent([]).from_cache is None and spent([]).usd == 0

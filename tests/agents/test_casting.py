from __future__ import annotations

from swarm.agents.casting import cast
from swarm.config.schema import ModelAlias
from swarm.models.prices import load_prices
from tests.fakes import FakeModel

CLAUDE, PLAYBOOK = FakeModel(provider="anthropic"), FakeModel()


def ids(wanted: str, aliases=None, *, provider=CLAUDE, playbook=PLAYBOOK) -> list[str]:
    prices = load_prices()
    return [c.model_id for c in cast(wanted, aliases or {}, prices, provider=provider, playbook=playbook)]


def test_names_are_aliases_of_the_user_then_ours_then_ids():
    assert ids("sonnet") == ["claude-sonnet-5-5", "playbook"]
    assert ids("qwen3:8b") == ["qwen3:8b", "playbook"]
    assert ids("sonnet", {"sonnet": "haiku"}) == ["claude-haiku-5-5", "playbook"]


def test_fallbacks_come_before_the_playbook_and_each_once():
    chain = {"best": ModelAlias(id="opus", fallbacks=["sonnet", "claude-opus-5-5"])}
    assert ids("best", chain) == ["claude-opus-5-5", "claude-sonnet-5-5", "playbook"]


def test_offline_there_is_only_the_playbook_and_it_can_be_ruled_out():
    assert ids("opus", provider=None) == ["playbook"]
    assert ids("opus", playbook=None) == ["claude-opus-5-5"]

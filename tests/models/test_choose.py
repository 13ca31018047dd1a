from __future__ import annotations

import pytest

from swarm.core.errors import UsageError
from swarm.models.choose import choose_provider


@pytest.mark.parametrize(
    ("requested", "environ", "provider", "reason"),
    [
        ("auto", {}, "offline", "ANTHROPIC_API_KEY"),
        ("auto", {"ANTHROPIC_API_KEY": "k"}, "anthropic", "ANTHROPIC_API_KEY is set"),
        ("auto", {"ANTHROPIC_AUTH_TOKEN": "k"}, "anthropic", "ANTHROPIC_AUTH_TOKEN"),
        ("auto", {"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}, "anthropic", "ANTHROPIC_BASE_URL"),
        ("auto", {"ANTHROPIC_API_KEY": ""}, "offline", "no ANTHROPIC_API_KEY"),
        ("offline", {"ANTHROPIC_API_KEY": "k"}, "offline", "--provider offline"),
        ("anthropic", {"ANTHROPIC_API_KEY": "k"}, "anthropic", "is set"),
    ],
)
def test_the_choice_and_its_reason(requested, environ, provider, reason):
    chosen, why = choose_provider(requested, environ)
    assert chosen == provider
    assert reason in why
    assert why != "k"


def test_what_cannot_be_chosen_names_its_mend():
    with pytest.raises(UsageError, match="ANTHROPIC_API_KEY"):
        choose_provider("anthropic", {})
    with pytest.raises(UsageError, match="did you mean 'offline'"):
        choose_provider("ofline", {})

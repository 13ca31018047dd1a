"""Which texts have the form of a key that an issuer gives."""

from __future__ import annotations

import pytest

from swarm.rules.security.secrets.secret_words import has_known_form


@pytest.mark.parametrize(("text", "is_key"), [
    ("sk_live_8f2b61c09d7a4e53b1", True),
    ("mk_live_8f2b61c09d7a4e53b1", True),  # another issuer's initials
    ("pk_live_8f2b61c09d7a4e53b1", False),  # meant for browsers
    ("is_live_traffic", False),
])  # fmt: skip
def test_live_keys_of_any_issuer_are_keys_and_public_ones_are_none(text: str, is_key: bool) -> None:
    assert has_known_form(text) is is_key

"""Shared by all tests: nothing reaches a model provider by accident, and long tests begin first."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_provider_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests begin first: the short ones then fill up what is left of every worker's time."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)

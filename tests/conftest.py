"""Shared by all tests: nothing reaches a model provider by accident; who begins first, and who stays together."""

from __future__ import annotations

from typing import Any

import pytest

# One recording or one server serves all tests of such a file: in several workers, each would make its own.
TOGETHER = {
    "tests/bench/test_profile.py", "tests/bench/test_sweep.py", "tests/bench/test_tracer.py",
    "tests/target/test_replay.py", "tests/verify/test_durable.py", "tests/verify/test_proof.py",
    "service/tests/test_servers.py",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_provider_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests begin first: the short ones then fill up what is left of every worker's time."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each test goes to the next worker that is free, files of `TOGETHER` as wholes, and those first."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file in TOGETHER else nodeid

    return Scheduling(config, log)

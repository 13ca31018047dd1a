"""The generated module anew for each test, without what this machine has set, and something to ask."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.rules.kept_answers.cache_module import Source, load


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    monkeypatch.setenv("ANSWER_CACHE_PATH", str(tmp_path / "writes"))
    for name in ("REDIS_URL", "ANSWER_CACHE", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    yield load("answer_cache")
    sys.modules.pop("answer_cache", None)


@pytest.fixture
def source() -> Source:
    return Source()

"""A folder with the generated module, for ASGI and for WSGI."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.rules.answering.durably import module_text
from tests.rules.durable_work.jobs import JOBS, SCRIPT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the module and some work, importable, and its own state."""
    (tmp_path / "durable_work.py").write_text(module_text(is_wsgi=False), encoding="utf-8")
    (tmp_path / "durable_work_wsgi.py").write_text(module_text(is_wsgi=True), encoding="utf-8")
    (tmp_path / "jobs.py").write_text(JOBS, encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen.txt"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("durable_work", "durable_work_wsgi", "jobs"):
        sys.modules.pop(name, None)

"""The sample report for every test of this room, and golden files beside them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm.core.report import Report
from tests.reporting.hostile import hostile_report
from tests.reporting.sample import sample_report

HERE = Path(__file__).parent


@pytest.fixture
def report() -> Report:
    """A complete report."""
    return sample_report()


@pytest.fixture
def hostile() -> Report:
    """A report whose every text of the target's tries to break out."""
    return hostile_report()


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare with tests/reporting/golden/NAME; UPDATE_GOLDEN=1 writes it anew, to be read before it is kept."""

    def compare(name: str, text: str) -> None:
        path = HERE / "golden" / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        assert path.is_file(), f"no golden file {name}: run with UPDATE_GOLDEN=1 and read it"
        assert text == path.read_text(encoding="utf-8"), f"{name} changed: read the difference, then UPDATE_GOLDEN=1"

    return compare

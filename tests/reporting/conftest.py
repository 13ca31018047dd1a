"""The sample report for every test of this room, and golden files beside them."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from swarm.core.report import Report

HERE = Path(__file__).parent


def _sample() -> ModuleType:
    name = "tests_reporting_sample"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / "sample.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def sample() -> ModuleType:
    """The module that makes reports."""
    return _sample()


@pytest.fixture
def report() -> Report:
    """A complete report."""
    return _sample().sample_report()  # type: ignore[no-any-return]


@pytest.fixture
def hostile() -> Report:
    """A report whose every text of the target's tries to break out."""
    return _sample().hostile_report()  # type: ignore[no-any-return]


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

"""One scan: each problem once, also where one rule sees its places and another the whole."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.core.findings import Category
from swarm.rules.scan import scan
from tests.rules.mending import mend, write

APP = (
    "import logging\n\nfrom fastapi import FastAPI\n\nlog = logging.getLogger(__name__)\napp = FastAPI()\n\n\n"
    "@app.get('/a')\nasync def a(name: str):\n    log.info('a %s', name)\n\n\n"
    "@app.get('/b')\nasync def b(name: str):\n    log.info('b %s', name)\n"
)
NO_APP = (
    "import logging\n\nfrom fastapi import APIRouter\n\nlog = logging.getLogger(__name__)\nrouter = APIRouter()\n\n\n"
    "@router.get('/a')\nasync def a(name: str):\n    log.info('a %s', name)\n"
)


def logged(root: Path) -> list[tuple[str, bool]]:
    findings = scan(build_index(SourceTree.load(root)), ("security",))
    return [(f.rule, bool(f.flow)) for f in findings if f.rule in ("log-forging", "log-injection")]


def test_text_that_forges_the_log_is_told_once_and_with_its_way(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": APP})
    assert logged(tmp_path) == [("log-forging", True)]
    evidence = next(f for f in scan(build_index(SourceTree.load(tmp_path))) if f.rule == "log-forging").evidence
    assert "app.py:11, app.py:16" in evidence
    mend(tmp_path, "log-forging")
    assert logged(tmp_path) == []


def test_without_an_application_its_places_are_told(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": NO_APP})
    assert logged(tmp_path) == [("log-injection", True)]


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Threads take turns five hundred times as often as they do otherwise."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(usual_s / 500)
    yield
    sys.setswitchinterval(usual_s)


def test_specialists_that_look_side_by_side_find_what_they_find_alone(busy_threads: None) -> None:
    tree = SourceTree.load(Path(__file__).parents[2] / "service")
    categories: tuple[Category, ...] = get_args(Category)
    alone = {category: scan(build_index(tree), (category,)) for category in categories}
    assert any(alone.values())
    for _ in range(5):
        index = build_index(SourceTree.load(Path(__file__).parents[2] / "service"))
        with ThreadPoolExecutor(len(categories)) as threads:
            together = threads.map(lambda category: scan(index, (category,)), categories)  # noqa: B023 - done within
            assert dict(zip(categories, together, strict=True)) == alone

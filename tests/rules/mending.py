"""Mends a tree in memory or on disk with one rule after another, for tests."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.core.findings import Finding
from swarm.rules.registry import rule_by_id


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def find(root: Path, rule_id: str) -> list[Finding]:
    rule = rule_by_id(rule_id)
    assert rule is not None
    return list(rule.find(build_index(SourceTree.load(root))))


def mend(root: Path, *rule_ids: str) -> None:
    """Applies each rule's mends to the files; each must find and mend something, and find it gone afterwards."""
    for rule_id in rule_ids:
        rule = rule_by_id(rule_id)
        assert rule is not None
        index = build_index(SourceTree.load(root))
        findings = [finding for finding in rule.find(index) if finding.mendable]
        assert findings, f"{rule_id} finds nothing"
        for file in sorted({finding.file for finding in findings}):
            mended = rule.mend(index, [finding for finding in findings if finding.file == file])
            assert mended is not None
            for change in mended.changes:
                assert change.after is not None
                compile(change.after, change.path, "exec")
                (root / change.path).write_text(change.after)
            index = build_index(SourceTree.load(root))
        assert not [finding for finding in rule.find(index) if finding.mendable], f"{rule_id} finds it still"


@contextmanager
def loaded(root: Path, name: str) -> Iterator[Any]:
    """A module of `root`, imported afresh; everything that it imported from there is forgotten afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(root))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(root))
        for module in set(sys.modules) - before:
            origin = getattr(sys.modules[module], "__file__", None) or ""
            if origin.startswith(str(root)):
                del sys.modules[module]
        importlib.invalidate_caches()

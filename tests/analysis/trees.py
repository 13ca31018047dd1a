"""A tree of files, and its index."""

from __future__ import annotations

from pathlib import Path

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree


def index_of(root: Path, files: dict[str, str]) -> Index:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return build_index(SourceTree.load(root))


def first(index: Index, qualname: str):  # type: ignore[no-untyped-def]
    function = next(f for f in index.functions if f.qualname == qualname)
    return function.module, function.node.body[0]

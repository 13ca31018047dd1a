"""Paths that a tool may read: below the copy of the target, symbolic links resolved first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from swarm.core.errors import ToolFailed

_SKIPPED = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache"})
TEXT_BYTES = 2_000_000


def inside(root: Path, relative: str) -> Path:
    """The file or folder that `relative` names below `root`.

    Raises ToolFailed where it leads outside (also through a link) or does not exist.
    """
    base = root.resolve()
    try:
        path = (base / relative).resolve()
    except (OSError, ValueError, RuntimeError):
        raise ToolFailed(f"{relative!r} is no usable path") from None
    if not path.is_relative_to(base):
        raise ToolFailed(f"{relative!r} leads out of the target; give a path relative to its root")
    if not path.exists():
        raise ToolFailed(f"{relative!r} does not exist; list_files shows what does")
    return path


def walk(root: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Files below `folder`, sorted, as (path relative to `root`, path); links out of `root` are skipped."""
    base = root.resolve()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(base)
        if _SKIPPED.intersection(relative.parts) or not path.is_file():
            continue
        if path.resolve().is_relative_to(base):
            yield relative.as_posix(), path


def read_text(path: Path) -> str | None:
    """The file's text, None where it is binary, too large or unreadable."""
    try:
        if path.stat().st_size > TEXT_BYTES:
            return None
        text = path.read_bytes()
    except OSError:
        return None
    if b"\0" in text[:4096]:
        return None
    return text.decode("utf-8", errors="replace")

"""Where a target lies: absolute folders and the interpreter, worked out once from its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TargetPlace:
    """The user's tree.

    `workspace` is the folder that is copied: the nearest that holds both `path` and `cwd`.
    `advisories` is the advisory database, where one is named. All are absolute and resolved; `path` and `cwd` are
    `workspace` or below it.
    """

    name: str
    path: Path
    cwd: Path
    workspace: Path
    python: Path
    advisories: Path | None = None

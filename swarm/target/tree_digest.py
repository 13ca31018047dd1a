"""What a target's code was when a run began, file by file, so that a resumed run knows whether it is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm.config.choice import CONFIG_NAME
from swarm.target.copies import Copy

_SHOWN = 16  # characters of a digest


@dataclass(frozen=True, slots=True)
class TreeDigest:
    """Digests by path, relative to the workspace, with `/`."""

    files: Mapping[str, str]

    @property
    def whole(self) -> str:
        """One digest of all of them."""
        told = "\n".join(f"{path} {digest}" for path, digest in sorted(self.files.items()))
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()

    def changed(self, other: TreeDigest) -> tuple[str, ...]:
        """The paths that differ, or are on one side alone, sorted."""
        mine, theirs = self.files, other.files
        return tuple(sorted(path for path in {*mine, *theirs} if mine.get(path) != theirs.get(path)))


def tree_digest(copy: Copy) -> TreeDigest:
    """Of a fresh copy: every file below the target's path, and code elsewhere in the workspace, which it may import.

    agents.yaml is left out: what it says of the target is compared by itself, and a budget in it may change.
    """
    found: dict[str, str] = {}
    for file in sorted(copy.workspace.rglob("*")):
        wanted = file.suffix == ".py" or file.is_relative_to(copy.path)
        if wanted and file.name != CONFIG_NAME and file.is_file():  # a link that leads nowhere in the copy is nothing
            found[file.relative_to(copy.workspace).as_posix()] = _digest(file)
    return TreeDigest(found)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:_SHOWN]

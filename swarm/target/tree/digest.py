"""What a target's code was when a run began, file by file, so that a resumed run knows whether it is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from swarm.config.choice import CONFIG_NAME
from swarm.target.tree.copies import Copy

_SHOWN = 16  # characters of a digest
_LOOKED_AT = 8_192  # bytes in which a file that is no text has a zero


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
    """Of a fresh copy: every text below the target's path, and code elsewhere in the workspace, which it may import.

    agents.yaml is left out: what it says of the target is compared by itself, and a budget in it may change. So are
    logs and files that are no text: a service that its owner runs in the tree writes to them.
    """
    found: dict[str, str] = {}
    for file in sorted(copy.workspace.rglob("*")):
        wanted = file.suffix == ".py" or file.is_relative_to(copy.path)
        if not wanted or file.name == CONFIG_NAME or file.suffix == ".log":
            continue
        if file.is_file():  # a link that leads nowhere in the copy is nothing
            data = file.read_bytes()
            if b"\0" not in data[:_LOOKED_AT]:
                found[file.relative_to(copy.workspace).as_posix()] = hashlib.sha256(data).hexdigest()[:_SHOWN]
    return TreeDigest(found)

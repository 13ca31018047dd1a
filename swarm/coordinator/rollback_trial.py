"""Tries on a scratch copy what `swarm apply` and `swarm rollback` do: the tree must come back byte for byte."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from swarm.core.errors import TargetError
from swarm.core.patches import FileChange, Patch
from swarm.core.place import TargetPlace
from swarm.core.report import ReadinessLine
from swarm.target.tree.copies import make_copy
from swarm.target.tree.user_tree import apply_changes, backwards

NAME = "Rollback procedures tested"


def try_rollback(place: TargetPlace, patches: Sequence[Patch], scratch: Path, group: str) -> ReadinessLine:
    """Apply all patches to a copy of the user's tree and take them back."""
    if not patches:
        return ReadinessLine(NAME, None, "no patch was accepted, so there is nothing to take back", group)
    changes: list[FileChange] = [change for patch in patches for change in patch.changes]
    began_s = time.monotonic()
    try:
        copy = make_copy(place, scratch / "rollback")
        before = _digests(copy.workspace)
        apply_changes(copy.path, changes, "")
        applied = _digests(copy.workspace)
        apply_changes(copy.path, backwards(changes), "")
        after = _digests(copy.workspace)
    except TargetError as error:
        return ReadinessLine(NAME, False, str(error).splitlines()[0], group)
    finally:
        shutil.rmtree(scratch / "rollback", ignore_errors=True)
    touched = sum(before.get(name) != applied.get(name) for name in before.keys() | applied.keys())
    what = f"{len(patches)} patches applied to a copy ({touched} files) and taken back"
    took = f"in {time.monotonic() - began_s:.1f} s"
    if before != after:
        return ReadinessLine(NAME, False, f"{what}: {_differing(before, after)} differ from the original", group)
    return ReadinessLine(NAME, True, f"{what} {took}: the tree is as it was, byte for byte", group)


def _digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _differing(before: dict[str, str], after: dict[str, str]) -> str:
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return ", ".join(names[:3])

"""Applies a run's accepted patches to the user's tree and keeps what is needed to take them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from swarm.config.choice import Choice
from swarm.core.errors import UsageError
from swarm.core.metrics import did_you_mean
from swarm.target.user_tree import DoesNotFit, apply_patches, commit_patches, fits, revert_commits

RECORD = "applied.json"


@dataclass(frozen=True, slots=True)
class Applied:
    """What `swarm apply` did, for `swarm rollback`."""

    path: str
    patches: tuple[str, ...]
    commits: tuple[str, ...]
    branch: str | None


def series(folder: Path, only: Sequence[str]) -> list[Path]:
    """The accepted patches of a run in order, or those named by id or number."""
    listing = folder / "patches" / "series"
    names = listing.read_text(encoding="utf-8").split() if listing.exists() else []
    if not names:
        raise UsageError(f"run {folder.name} has no accepted patch; nothing to apply")
    ids = [name.removesuffix(".patch") for name in names]
    chosen: list[str] = []
    for word in only:
        match = [name for name in ids if name == word or name.split("-")[0] == word.zfill(3)]
        if not match:
            raise UsageError(
                f"no patch {word!r} in run {folder.name}; it has {', '.join(ids)}{did_you_mean(word, ids)}"
            )
        chosen += match
    return [folder / "patches" / f"{name}.patch" for name in ids if not only or name in chosen]


def apply_run(
    folder: Path, choice: Choice, *, only: Sequence[str], branch: str | None, commit: bool, check: bool
) -> list[str]:
    """Apply all accepted patches or `only` some; gives their names. Raises DoesNotFit, UsageError, TargetError."""
    path = (choice.folder / choice.target.path).resolve()
    patches = series(folder, only)
    names = [patch.stem for patch in patches]
    if check:
        wrong = fits(path, patches)
        if wrong:
            raise DoesNotFit(f"would not fit: {wrong.splitlines()[0].removeprefix('error: ')}")
        return names
    if (folder / RECORD).exists():
        raise UsageError(f"run {folder.name} is applied already; take it back with: swarm rollback {folder.name}")
    commits: tuple[str, ...] = ()
    if commit or branch:
        commits = commit_patches(path, patches, branch=branch)
    else:
        apply_patches(path, patches)
    record = Applied(str(path), tuple(names), commits, branch)
    (folder / RECORD).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    return names


def rollback_run(folder: Path) -> Applied:
    """Take back what `apply_run` did.

    Raises UsageError where nothing was applied, DoesNotFit where the patched lines have changed since.
    """
    record = folder / RECORD
    if not record.exists():
        raise UsageError(f"run {folder.name} was not applied; nothing to take back")
    data = json.loads(record.read_text(encoding="utf-8"))
    applied = Applied(data["path"], tuple(data["patches"]), tuple(data["commits"]), data["branch"])
    if applied.commits:
        revert_commits(Path(applied.path), applied.commits)
    else:
        patches = [folder / "patches" / f"{name}.patch" for name in applied.patches]
        apply_patches(Path(applied.path), patches, reverse=True)
    record.unlink()
    return applied

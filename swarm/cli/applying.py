"""Applies a run's accepted patches to the user's tree and keeps what is needed to take them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from swarm.config.choice import Choice
from swarm.core.errors import TargetError, UsageError
from swarm.core.metrics import did_you_mean
from swarm.core.patches import Accepted, FileChange, Patch
from swarm.core.report import Report
from swarm.target.tree.user_tree import DoesNotFit, apply_changes, backwards, commit_patches, misfit, revert_commits

RECORD = "applied.json"


@dataclass(frozen=True, slots=True)
class Applied:
    """What one `swarm apply` did, for `swarm rollback`."""

    path: str
    patches: tuple[str, ...]
    commits: tuple[str, ...]
    branch: str | None


def chosen_patches(report: Report, only: Sequence[str]) -> list[Patch]:
    """The accepted patches of a run in order, or those named by id or number.

    Raises UsageError where the run has none, or none of that name.
    """
    patches = [judged.patch for judged in report.patches if isinstance(judged.verdict, Accepted)]
    if not patches:
        raise UsageError(f"run {report.run.id} has no accepted patch; nothing to apply")
    ids = [patch.id for patch in patches]
    chosen: set[str] = set()
    for word in only:
        match = {name for name in ids if name == word or name.split("-")[0] == word.zfill(3)}
        if not match:
            raise UsageError(
                f"no accepted patch {word!r} in run {report.run.id}{did_you_mean(word, ids)}; it has {', '.join(ids)}"
            )
        chosen |= match
    return [patch for patch in patches if not only or patch.id in chosen]


def apply_run(
    folder: Path,
    report: Report,
    choice: Choice,
    *,
    only: Sequence[str],
    branch: str | None,
    commit: bool,
    check: bool,
) -> list[Patch]:
    """Apply all accepted patches or `only` some; gives them. Raises DoesNotFit, UsageError, TargetError."""
    path = (choice.folder / choice.target.path).resolve()
    if not path.is_dir():
        raise TargetError(f"target {choice.target_name!r}: {path} is no folder; mend its `path` in agents.yaml")
    patches = chosen_patches(report, only)
    done = read_record(folder)
    again = [patch.id for patch in patches if any(patch.id in one.patches for one in done)]
    if again:
        raise UsageError(
            f"{again[0]} of run {report.run.id} is applied already; take it back with: swarm rollback {folder.name}"
        )
    changes = [change for patch in patches for change in patch.changes]
    mend = _mend(patches, only)
    if check:
        wrong = misfit(path, changes)
        if wrong:
            raise DoesNotFit(f"would not fit: {wrong}.\n{mend}")
        return patches
    names = tuple(patch.id for patch in patches)
    write_record(folder, done)  # a folder that cannot keep the record is told before the tree is touched
    if commit or branch:
        files = [folder / "patches" / f"{name}.patch" for name in names]
        commits = commit_patches(path, files, branch=branch)
    else:
        apply_changes(path, changes, mend)
        commits = ()
    write_record(folder, [*done, Applied(str(path), names, commits, branch)])
    return patches


def _mend(patches: Sequence[Patch], only: Sequence[str]) -> str:
    if only:
        return f"A patch counts on those before it: apply them together with {patches[-1].id}, or all of them."
    return "Run swarm again on the tree as it is now, or undo the edits of those lines."


def rollback_run(folder: Path, report: Report) -> list[str]:
    """Take back what `apply_run` did, the last first; gives the names of the patches.

    Raises UsageError where nothing was applied, DoesNotFit where the patched lines have changed since.
    """
    done = read_record(folder)
    if not done:
        raise UsageError(f"run {report.run.id} was not applied; nothing to take back")
    by_id = {judged.patch.id: judged.patch for judged in report.patches}
    taken: list[str] = []
    while done:
        last = done[-1]
        path = Path(last.path)
        if not path.is_dir():
            raise TargetError(f"{path}, where the patches were applied, is no folder any more")
        if last.commits:
            revert_commits(path, last.commits)
        else:
            changes: list[FileChange] = [change for name in last.patches for change in by_id[name].changes]
            apply_changes(path, backwards(changes), "The patched lines have changed since: undo those edits first.")
        done.pop()
        write_record(folder, done)
        taken += last.patches
    return taken


def read_record(folder: Path) -> list[Applied]:
    """What was applied of a run and not taken back, oldest first. Raises UsageError where that cannot be read."""
    try:
        data = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / RECORD} cannot be read: {error}") from None
    return [
        Applied(one["path"], tuple(one["patches"]), tuple(one["commits"]), one["branch"]) for one in data["applied"]
    ]


def write_record(folder: Path, applied: Sequence[Applied]) -> None:
    """Keep what is applied; no file where nothing is. Raises UsageError where it cannot be written."""
    record = folder / RECORD
    text = json.dumps({"applied": [asdict(one) for one in applied]}, indent=2) + "\n"
    try:
        part = record.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(record)
        if not applied:
            record.unlink()
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror}), and what is applied is kept there; mend its permissions"
        ) from None

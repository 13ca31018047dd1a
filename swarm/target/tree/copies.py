"""Copies the user's tree to where it may be changed and run, reads such a copy, and applies changes to it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from swarm.core.errors import SwarmError, TargetError
from swarm.core.patches import FileChange
from swarm.core.place import TargetPlace
from swarm.target.processes.scratch import scratch_root

MAX_FILES = 20_000
MAX_BYTES = 500_000_000
SETUP_DONE = ".swarm-setup-done"
_LEFT_OUT = frozenset(
    {
        ".git", ".hg", ".svn", "__pycache__", "node_modules", ".mypy_cache", ".pytest_cache", ".ruff_cache",
        ".import_linter_cache", ".hypothesis", ".tox", ".nox", ".cache", ".eggs", ".ipynb_checkpoints",
        "htmlcov",
    }
)  # fmt: skip
_RUN_FILES = ("report.json", "journal.jsonl", "journal", "transcripts")
_RECORDING = b'{"kind": "recording", '  # how the heading of recorded model traffic begins


class PatchDoesNotApply(SwarmError):
    """A change does not fit the copy, in the file `path`; nothing of its batch was written."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"{path}: {why}")


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of `TargetPlace.workspace`; `path` and `cwd` are the copy's counterparts of the place's."""

    workspace: Path
    path: Path
    cwd: Path


def make_copy(place: TargetPlace, destination: Path) -> Copy:
    """Copy the workspace to `destination`, which must not exist yet or be empty.

    What git ignores, virtual environments, caches and swarm's own runs are left out; so are links that leave
    the tree. Raises TargetError where the tree is larger than swarm copies.
    """
    destination.mkdir(parents=True, exist_ok=True)
    # A temporary folder may lie inside the user's tree: a copy never holds copies.
    apart = [f for f in (destination.resolve(), scratch_root()) if f.is_relative_to(place.workspace)]
    made: set[Path] = set()
    files = total_bytes = 0
    for relative in _listed(place):
        source = place.workspace / relative
        if any(source.is_relative_to(folder) for folder in apart):
            continue
        try:
            status = source.lstat()
        except OSError:
            continue  # git lists what was deleted, and files may vanish meanwhile
        files += 1
        total_bytes += status.st_size
        if files > MAX_FILES or total_bytes > MAX_BYTES:
            raise _too_large(place, files, total_bytes)
        goal = destination / relative
        if goal.parent not in made:
            goal.parent.mkdir(parents=True, exist_ok=True)
            made.add(goal.parent)
        if stat.S_ISLNK(status.st_mode):
            _copy_link(source, goal, place.workspace)
        elif stat.S_ISREG(status.st_mode):
            _copy_file(source, goal, place)
    workspace = destination.resolve()
    copy = Copy(workspace, moved(place.path, place, workspace), moved(place.cwd, place, workspace))
    copy.path.mkdir(parents=True, exist_ok=True)
    copy.cwd.mkdir(parents=True, exist_ok=True)
    return copy


def clone(copy: Copy, place: TargetPlace, destination: Path) -> Copy:
    """One more copy, of a copy in which nothing has run; `destination` must not exist yet.

    As `make_copy`, and several times as quick: what belongs to the target is known already.
    """
    try:
        argv = ["cp", "-a", f"{copy.workspace}/.", str(destination)]
        destination.mkdir(parents=True)
        done = subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        done = False
    if not done:
        shutil.rmtree(destination, ignore_errors=True)
        return make_copy(place, destination)
    workspace = destination.resolve()
    return Copy(workspace, moved(place.path, place, workspace), moved(place.cwd, place, workspace))


def moved(path: Path, place: TargetPlace, workspace: Path) -> Path:
    """The counterpart in a copy of a path below the place's workspace."""
    return workspace / path.relative_to(place.workspace)


def apply_changes(copy: Copy, changes: Iterable[FileChange]) -> None:
    """Write changes into a copy, all or none.

    Raises PatchDoesNotApply where a file differs from `before`, or where a path leaves the copy.
    """
    batch = [(change, _inside(copy, change.path)) for change in changes]
    state: dict[Path, str | None] = {}
    for change, file in batch:
        present = state[file] if file in state else _text_of(file, change.path)
        if present != change.before:
            raise PatchDoesNotApply(change.path, _difference(present, change.before))
        state[file] = change.after
    for file, text in state.items():
        if text is None:
            file.unlink(missing_ok=True)
        else:
            _write(file, text)


def _listed(place: TargetPlace) -> Iterator[Path]:
    """Paths to copy, relative to the workspace: git's word where there is one, else a walk."""
    from_git = _git_files(place.workspace)
    if from_git is None or not _covers(from_git, place):
        yield from _walk(place.workspace)
        return
    kept: dict[Path, bool] = {}
    for relative in from_git:
        if not _below_left_out(place.workspace, relative, kept):
            if (place.workspace / relative).is_dir() and not (place.workspace / relative).is_symlink():
                # a submodule, or a repository inside the repository: git names the folder alone
                inner = place.workspace / relative
                yield from (relative / path for path in _walk(inner))
            else:
                yield relative


def _git_files(workspace: Path) -> list[Path] | None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    argv = ["git", "-c", "core.fsmonitor=false", "ls-files", "-co", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(
            argv,
            cwd=workspace,
            env={**env, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return sorted({Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name})


def _covers(files: list[Path], place: TargetPlace) -> bool:
    """Whether git's list holds anything of the target: it does not where git ignores the target itself."""
    inside = place.path.relative_to(place.workspace)
    return any(path.is_relative_to(inside) for path in files)


def _below_left_out(workspace: Path, relative: Path, known: dict[Path, bool]) -> bool:
    folder = relative.parent
    if folder not in known:
        known[folder] = folder != Path() and (
            _is_left_out(workspace / folder) or _below_left_out(workspace, folder, known)
        )
    return known[folder]


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in links and not _is_left_out(here / name))
        for name in sorted(files + links):
            yield (here / name).relative_to(root)


def _is_left_out(folder: Path) -> bool:
    if folder.name in _LEFT_OUT or folder.name.endswith(".egg-info"):
        return True
    if folder.parent.name == "reports" and any((folder / name).exists() for name in _RUN_FILES):
        return True
    return (folder / "pyvenv.cfg").exists() or _is_of_a_run(folder)


def _is_of_a_run(folder: Path) -> bool:
    """Whether swarm writes there itself, wherever --out and --record have put it: it grows while a run goes on."""
    if (folder / "journal.jsonl").exists() and (folder / "transcripts").is_dir():
        return True
    try:
        with (folder / "recording.jsonl").open("rb") as file:
            return file.read(len(_RECORDING)) == _RECORDING
    except OSError:
        return False


def _copy_file(source: Path, goal: Path, place: TargetPlace) -> None:
    try:
        shutil.copyfile(source, goal)
        shutil.copystat(source, goal)
    except OSError as error:
        raise TargetError(f"target {place.name}: {source} cannot be copied: {error.strerror or error}") from None


def _copy_link(source: Path, goal: Path, workspace: Path) -> None:
    """Make the link again, relative, where it stays in the tree; leave it out otherwise."""
    target = source.resolve()
    if not target.is_relative_to(workspace.resolve()):
        return
    inside = target.relative_to(workspace.resolve())
    depth = len(source.relative_to(workspace).parts) - 1
    goal.symlink_to(Path(*[".."] * depth, inside))


def _too_large(place: TargetPlace, files: int, total_bytes: int) -> TargetError:
    return TargetError(
        f"target {place.name}: {place.workspace} is too large to copy (over {files - 1} files, "
        f"{total_bytes // 1_000_000} MB; the bounds are {MAX_FILES} files, {MAX_BYTES // 1_000_000} MB); "
        "let git ignore what the service does not need, or set `path` and `cwd` to smaller folders"
    )


def _inside(copy: Copy, relative: str) -> Path:
    pure = PurePosixPath(relative)
    if not relative or pure.is_absolute() or ".." in pure.parts:
        raise PatchDoesNotApply(relative, "leaves the target")
    file = (copy.path / pure).resolve()
    if not file.is_relative_to(copy.workspace.resolve()):
        raise PatchDoesNotApply(relative, "leaves the target by a link")
    return file


def _text_of(file: Path, relative: str) -> str | None:
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise PatchDoesNotApply(relative, "is not a text file in UTF-8") from None


def _difference(present: str | None, before: str | None) -> str:
    if present is None:
        return "does not exist"
    if before is None:
        return "exists already"
    for number, (ours, theirs) in enumerate(zip(present.split("\n"), before.split("\n"), strict=False), start=1):
        if ours != theirs:
            return f"line {number} is not what the patch expects"
    return "has other lines at its end than the patch expects"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    old_s = int(file.stat().st_mtime) if file.exists() else 0
    file.write_bytes(text.encode("utf-8"))
    # Bytecode is told stale by whole seconds and size: two edits in one second must differ in time.
    new_s = max(int(time.time()), old_s + 1)
    os.utime(file, (new_s, new_s))

"""Scratch folders, one a run, each naming the swarm that owns it, so that a dead one's can be removed."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
import time
from pathlib import Path

from swarm.core.errors import TargetError
from swarm.target.processes import procfs

_OWNER_FILE = ".swarm-owner"
_UNFINISHED_AGE_S = 3600.0


@functools.cache
def _mark_of(pid: int) -> str:
    stat = procfs.read_stat(pid)
    return f"{pid}:{stat.started_ticks if stat else 0}"


def owner_mark() -> str:
    """This process as `pid:starttime`, which no later process can share."""
    return _mark_of(os.getpid())


def owner_is_alive(mark: str) -> bool:
    """Whether the process of a mark lives; so it is taken to where the mark cannot be read."""
    pid, _, started = mark.partition(":")
    if not (pid.isdigit() and started.isdigit()):
        return True
    if not procfs.PROC.is_dir():
        return _answers(int(pid))
    return procfs.is_alive(int(pid), int(started))


def scratch_root() -> Path:
    """The folder of all scratch folders of this user, closed to others. Raises TargetError where it is another's."""
    root = Path(tempfile.gettempdir()).resolve() / f"swarm-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise TargetError(f"{root} belongs to somebody else; set TMPDIR to a folder of your own")
    return root


def scratch_folder(run_id: str) -> Path:
    """The run's scratch folder, made where it is not there; removed by `remove_folder` or the next start."""
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in run_id).strip(".") or "run"
    folder = scratch_root() / f"{safe}-{os.getpid()}"
    if folder.is_dir() and _owner_of(folder) == _full_mark():
        return folder
    remove_folder(folder)
    unfinished = Path(tempfile.mkdtemp(prefix=".new-", dir=scratch_root()))
    (unfinished / _OWNER_FILE).write_text(_full_mark(), encoding="utf-8")
    unfinished.rename(folder)
    return folder


def dead_folders() -> list[Path]:
    """Scratch folders whose owner is dead, and folders that were never finished."""
    found = []
    for folder in sorted(scratch_root().iterdir()):
        if folder.is_symlink() or not folder.is_dir():
            continue
        mark, _, namespace = _owner_of(folder).partition(" ")
        if not mark:
            with contextlib.suppress(OSError):
                if time.time() - folder.stat().st_mtime > _UNFINISHED_AGE_S:
                    found.append(folder)
        elif namespace == procfs.pid_namespace() and not owner_is_alive(mark):
            found.append(folder)
    return found


def remove_folder(folder: Path) -> None:
    """Remove a folder with all in it, also where a target took away its own write permission."""

    def retry(function: object, path: str, _: object) -> None:
        with contextlib.suppress(OSError):
            Path(path).parent.chmod(0o700)
            Path(path).chmod(0o700)
            if Path(path).is_dir() and not Path(path).is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                Path(path).unlink()

    if folder.exists():
        shutil.rmtree(folder, onerror=retry)


def _full_mark() -> str:
    return f"{owner_mark()} {procfs.pid_namespace()}"


def _owner_of(folder: Path) -> str:
    try:
        return (folder / _OWNER_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""Works out where a target lies: its folders, and the interpreter that has its dependencies."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from swarm.config.schema import Target
from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace


def resolve_place(name: str, target: Target, folder: Path) -> TargetPlace:
    """Make the target's folders absolute; `folder` is where agents.yaml lies.

    Raises TargetError where a folder is missing, where `path` and `cwd` share no usable folder, or where the
    interpreter cannot be run.
    """
    path = _existing_folder(name, "path", target.path, folder)
    cwd = path if target.cwd is None else _existing_folder(name, "cwd", target.cwd, folder)
    workspace = Path(os.path.commonpath([path, cwd]))
    if workspace in (Path(workspace.anchor), Path.home().resolve()) and path != workspace:
        raise TargetError(
            f"target {name}: path {path} and cwd {cwd} meet only in {workspace}, which is too much to copy; "
            "put `cwd` nearer to `path` in agents.yaml"
        )
    advisories = None if target.advisories is None else _existing(name, "advisories", target.advisories, folder)
    return TargetPlace(name, path, cwd, workspace, _interpreter(name, target.python, folder), advisories)


def _existing(name: str, key: str, written: str, folder: Path) -> Path:
    found = (folder / Path(written).expanduser()).resolve()
    if found.exists():
        return found
    raise TargetError(
        f"target {name}: {key} {written!r} ({found}) does not exist; mend targets.{name}.{key} in agents.yaml"
    )


def _existing_folder(name: str, key: str, written: str, folder: Path) -> Path:
    found = (folder / Path(written).expanduser()).resolve()
    if found.is_dir():
        return found
    what = "is a file, not a folder" if found.exists() else "does not exist"
    raise TargetError(f"target {name}: {key} {written!r} ({found}) {what}; mend targets.{name}.{key} in agents.yaml")


def _interpreter(name: str, written: str | None, folder: Path) -> Path:
    """The interpreter as an absolute path; links are kept, for a virtual environment is known by its link."""
    if written is None:
        return Path(sys.executable).absolute()
    found: Path | None = None
    if os.sep not in written and not (folder / written).exists():
        program = shutil.which(written)
        found = Path(program) if program else None
    else:
        found = folder / Path(written).expanduser()
    if found is not None and found.is_dir():
        found = next((f for f in (found / "bin" / "python", found / "python") if f.exists()), found)
    if found is not None and found.is_file() and os.access(found, os.X_OK):
        return Path(os.path.abspath(found))  # noqa: PTH100 - Path.resolve() would follow the link out of the venv
    raise TargetError(
        f"target {name}: python {written!r} is no interpreter that can be run; "
        f"set targets.{name}.python to one that has the target's dependencies, or to null: {sys.executable}"
    )

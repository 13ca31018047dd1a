"""Builds the environment of a child of the target's: allowed variables, and import folders of the copy."""

from __future__ import annotations

import ast
import functools
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from swarm.config.schema import Target
from swarm.core.place import TargetPlace
from swarm.target.processes.scratch import scratch_root
from swarm.target.running.commandline import fill, search_path, site_packages
from swarm.target.tree.copies import Copy, moved

INJECT = Path(__file__).parent.parent / "inject"
GUARD = INJECT / "guard.py"
CONTROL = ".swarm"  # swarm's own folder below {tmp}: home, logs
STATE = "state"
_ALLOWED = ("PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


def control_folder(tmp: Path) -> Path:
    """Where swarm keeps its own files of one start, beside what the target writes to `tmp`."""
    folder = tmp / CONTROL
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def child_environment(
    place: TargetPlace, copy: Copy, target: Target, tmp: Path, port: int | None, extra: Mapping[str, str]
) -> dict[str, str]:
    """Everything that a child gets to see, and nothing else of swarm's own environment.

    Order of precedence: swarm's settings, then `extra` (upstream URLs), then the target's `env`.
    """
    control = control_folder(tmp)
    for name in ("home", "tmp"):
        (control / name).mkdir(exist_ok=True)
    env = {name: value for name in _ALLOWED if (value := os.environ.get(name))}
    env |= {name: value for name, value in os.environ.items() if name.startswith("LC_")}
    env |= {"HOME": str(control / "home"), "TMPDIR": str(control / "tmp"), "PYTHONUNBUFFERED": "1"}
    env["XDG_STATE_HOME"] = str(tmp / STATE)  # what a service keeps beside its database: each copy its own
    env |= {"SWARM_TARGET_ROOT": str(copy.path), "SWARM_EGRESS_LOG": str(control / "egress.log")}
    env |= {name: fill(value, tmp, port) for name, value in target.env.items()}
    env |= extra
    env["PATH"] = search_path(place.python, env.get("PATH"))
    prefix = place.python.parent.parent
    if (prefix / "pyvenv.cfg").exists():
        env["VIRTUAL_ENV"] = str(prefix)
    env |= _bytecode_settings(place.python)
    env["PYTHONPATH"] = os.pathsep.join(map(str, _python_path(place, copy, env.get("PYTHONPATH", ""))))
    injected = [entry for entry in env.get("SWARM_INJECT", "").split(os.pathsep) if entry and entry != str(GUARD)]
    env["SWARM_INJECT"] = os.pathsep.join([str(GUARD), *injected])
    env["SWARM_HIDDEN"] = str(place.workspace)
    env["SWARM_WRITABLE"] = os.pathsep.join([str(copy.workspace), str(tmp)])
    return env


def _python_path(place: TargetPlace, copy: Copy, own: str) -> Iterable[Path]:
    """The copy's import folders, before anything that an editable install of the original says."""
    folders = [INJECT, copy.cwd, copy.path, copy.cwd / "src", copy.path / "src"]
    for entry in filter(None, own.split(os.pathsep)):
        written = copy.cwd / entry
        folders.append(moved(written, place, copy.workspace) if written.is_relative_to(place.workspace) else written)
    editable = _editable_roots(place.python, place.workspace)
    folders += [moved(folder, place, copy.workspace) for folder in editable]
    return dict.fromkeys(folder for folder in folders if folder.is_dir())


def _editable_roots(python: Path, workspace: Path) -> Iterable[Path]:
    """Folders of the user's tree that the interpreter imports from by an editable install."""
    for site in site_packages(python):
        for file in sorted(site.glob("*.pth")):
            for line in _text(file).splitlines():
                if line.startswith(os.sep) and Path(line.strip()).is_relative_to(workspace):
                    yield Path(line.strip())
        for file in sorted(site.glob("__editable___*_finder.py")):
            for source in _finder_sources(_text(file)):
                if source.is_relative_to(workspace) and source != workspace:
                    yield source.parent


def _finder_sources(text: str) -> Iterable[Path]:
    """The package folders in the MAPPING of setuptools' editable finder."""
    if found := re.search(r"^MAPPING\b[^=]*= (\{.*\})$", text, re.MULTILINE):
        try:
            mapping = ast.literal_eval(found[1])
        except (ValueError, SyntaxError):
            return
        yield from (Path(value) for value in mapping.values() if isinstance(value, str))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@functools.cache
def _has_bytecode(python: Path) -> bool:
    """Whether the installed packages are compiled already (pip does it, some installers don't)."""
    packages = [folder for site in site_packages(python) for folder in sorted(site.iterdir()) if folder.is_dir()]
    modules = [folder for folder in packages if (folder / "__init__.py").exists()]
    return not modules or sum((folder / "__pycache__").is_dir() for folder in modules) * 2 > len(modules)


def _bytecode_settings(python: Path) -> dict[str, str]:
    """Keep bytecode out of the user's folders.

    A prefix hides the bytecode that installed packages have, so it is set only where they have none.
    """
    if _has_bytecode(python):
        return {"PYTHONDONTWRITEBYTECODE": "1"}
    return {"PYTHONPYCACHEPREFIX": str(scratch_root() / "bytecode")}

"""Finds the interpreter that has the target's dependencies, and says which of its imports are missing there."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swarm.analysis.index import Index

_VENVS = (".venv", "venv", "env", ".env", "virtualenv")
_TIMEOUT_S = 30.0
_ASK = (
    "import importlib.util,json,sys\n"
    "def there(n):\n"
    "    try:\n        return importlib.util.find_spec(n) is not None\n"
    "    except Exception:\n        return False\n"
    "print(json.dumps([n for n in json.loads(sys.argv[1]) if not there(n)]))\n"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`python` as agents.yaml writes it (None: swarm's own); `missing` maps a module to where it is imported."""

    path: Path
    python: str | None
    missing: dict[str, str]
    minor: int = 0  # of Python 3; 0 where it does not say

    def has(self, *modules: str) -> bool:
        """Whether all of these can be imported."""
        return not _absent(self.path, list(modules))


def find_interpreter(root: Path, index: Index, given: Path | None = None) -> Interpreter:
    """The one given, else a virtual environment of the tree's own, poetry's, the active one, swarm's."""
    path: Path | None = given
    for folder in (root, root.parent):
        for name in _VENVS:
            candidate = folder / name / "bin" / "python"
            if path is None and (folder / name / "pyvenv.cfg").exists() and candidate.exists():
                path = candidate
    path = path or _poetry(root) or _active()
    own = {folder.name for folder in root.iterdir() if folder.is_dir() and any(folder.glob("*.py"))}  # tests as well
    modules = {name: place for name, place in imported(index).items() if name not in own}
    absent = _absent(path or Path(sys.executable), list(modules))
    written = None if path is None else _written(path, root)
    return Interpreter(path or Path(sys.executable), written, {name: modules[name] for name in absent}, _minor(path))


def _minor(path: Path | None) -> int:
    if path is None:
        return sys.version_info.minor
    try:
        done = subprocess.run(
            [str(path), "-c", "import sys; print(sys.version_info[1])"],
            capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return int(done.stdout) if done.stdout.strip().isdigit() else 0


def imported(index: Index) -> dict[str, str]:
    """Top-level modules that the service's own code imports at its start, and where; its own ones left out."""
    own = {module.dotted.split(".")[0] for module in index.tree.modules.values()}
    own |= {part.removesuffix(".py") for module in index.tree.modules.values() for part in module.path.split("/")}
    found: dict[str, str] = {}
    for module in index.tree.modules.values():
        nodes: list[ast.Import | ast.ImportFrom] = [*module.nodes(ast.Import), *module.nodes(ast.ImportFrom)]
        for node in nodes:
            if module.enclosing_function(node) is not None:
                continue
            if any(isinstance(around, ast.Try | ast.If) for around in module.ancestors(node)):
                continue  # it does without, or only a type checker reads it
            for name in _tops(node):
                if name not in own and name not in sys.stdlib_module_names:
                    found.setdefault(name, f"{module.path}:{node.lineno}")
    return found


def _tops(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif not node.level and node.module:
        yield node.module.split(".")[0]


def _absent(python: Path, names: list[str]) -> list[str]:
    try:
        done = subprocess.run(
            [str(python), "-c", _ASK, json.dumps(sorted(names))],
            capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )  # fmt: skip
        return [str(name) for name in json.loads(done.stdout)] if done.returncode == 0 else []
    except (OSError, subprocess.TimeoutExpired, json.JSONDecodeError):
        return []


def _poetry(root: Path) -> Path | None:
    pyproject = root / "pyproject.toml"
    if not pyproject.is_file() or "[tool.poetry]" not in pyproject.read_text(encoding="utf-8", errors="replace"):
        return None
    try:
        done = subprocess.run(
            ["poetry", "env", "info", "--executable"],
            cwd=root, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = Path(done.stdout.strip())
    return found if done.returncode == 0 and found.is_file() else None


def _active() -> Path | None:
    active = os.environ.get("VIRTUAL_ENV")
    found = Path(active) / "bin" / "python" if active else None
    same = found is not None and found.absolute() == Path(sys.executable).absolute()
    return found if found is not None and found.exists() and not same else None


def _written(path: Path, root: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(root)) if path.is_relative_to(root) else os.path.relpath(path, root) \
        if path.is_relative_to(root.parent) else str(path)  # fmt: skip

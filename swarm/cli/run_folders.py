"""Finds the folders of earlier runs."""

from __future__ import annotations

from pathlib import Path

from swarm.core.errors import UsageError
from swarm.core.metrics import did_you_mean

LATEST = "latest"


def run_folders(out: Path) -> list[Path]:
    """Folders that hold a report, newest first."""
    if not out.is_dir():
        return []
    found = [p for p in out.iterdir() if p.name != LATEST and p.is_dir() and (p / "report.json").exists()]
    return sorted(found, key=lambda path: path.name, reverse=True)


def find_run(word: str, out: Path) -> Path:
    """The folder meant by a run's id, its folder's path, or `latest`. Raises UsageError."""
    if Path(word).is_dir() and (Path(word) / "report.json").exists():
        return Path(word).resolve()
    folders = run_folders(out)
    if word == LATEST:
        if not folders:
            raise UsageError(f"no run in {out}; make one with: swarm run")
        return folders[0].resolve()
    for folder in folders:
        if folder.name == word:
            return folder.resolve()
    known = [folder.name for folder in folders]
    raise UsageError(f"no run {word!r} in {out}; `swarm runs` lists them{did_you_mean(word, known)}")

"""Finds the folders of earlier runs."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from swarm.cli.options import DEFAULT_OUT
from swarm.config.choice import CONFIG_NAME, Choice
from swarm.console.journal import NAME as JOURNAL
from swarm.console.journal import read_journal
from swarm.core.errors import UsageError
from swarm.core.metrics import did_you_mean

LATEST = "latest"
# A folder of another name was put there by somebody, and is nobody's latest run.
_RUN_ID = re.compile(r"\d{8}-\d{6}-")


def run_folders(out: Path) -> list[Path]:
    """Folders that hold a report, newest first; those that are not named by a run's id come last."""
    if not out.is_dir():
        return []
    found = [p for p in out.iterdir() if p.name != LATEST and p.is_dir() and (p / "report.json").exists()]
    return sorted(found, key=lambda path: (bool(_RUN_ID.match(path.name)), path.name), reverse=True)


def cut_off_runs(out: Path) -> list[Path]:
    """Folders of runs that were killed before they had a report, newest first."""
    found = (path for path in _with_journal(out) if _RUN_ID.match(path.name))
    return sorted((path for path in found if not (path / "report.json").exists()), reverse=True)


def find_run(word: str, out: Path) -> Path:
    """The folder meant by a run's id, its folder's path, or `latest`. Raises UsageError."""
    if Path(word).is_dir() and (Path(word) / "report.json").exists():
        return Path(word).resolve()
    folders = run_folders(out)
    if word == LATEST:
        if not folders or not _RUN_ID.match(folders[0].name):
            raise UsageError(f"no run in {out}; make one with: swarm run")
        return folders[0].resolve()
    for folder in folders:
        if folder.name == word:
            return folder.resolve()
    known = [folder.name for folder in folders]
    raise UsageError(f"no run {word!r} in {out}; `swarm runs` lists them{did_you_mean(word, known)}")


def unfinished_run(word: str, out: Path) -> Path:
    """The folder of a cut-off run by its id, its path, or `latest`: with a journal, and with a report or without.

    Raises UsageError for one that is not there, or that came to its end.
    """
    found = _with_journal(out)
    folders = sorted((p for p in found if _RUN_ID.match(p.name)), key=lambda path: path.name, reverse=True)
    if word == LATEST and folders:
        folder = folders[0]
    elif (Path(word) / JOURNAL).exists():
        folder = Path(word).resolve()
    else:
        if word == LATEST:
            raise UsageError(f"no run in {out} to go on with; begin one with: swarm run")
        by_name = {path.name: path for path in found}
        if word not in by_name:
            near = did_you_mean(word, [path.name for path in folders])
            raise UsageError(f"no run {word!r} with a journal in {out}; `swarm runs` lists them{near}")
        folder = by_name[word]
    ends = [record for record in read_journal(folder) if record.get("event") == "RunFinished"]
    if ends and ends[-1].get("exit_code") in (0, 1):
        raise UsageError(f"{folder.name} came to its end; show it with: swarm report {word_for(folder, out)}")
    return folder


def _with_journal(out: Path) -> list[Path]:
    return [p for p in out.iterdir() if p.name != LATEST and (p / JOURNAL).exists()] if out.is_dir() else []


def word_for(folder: Path, out: Path) -> str:
    """The shortest word that names a run's folder on the command line, from the current folder."""
    if out == DEFAULT_OUT and folder.parent.resolve() == out.resolve():
        return folder.name
    return shlex.quote(_shown(folder))


def config_words(config: Path | None) -> list[str]:
    """`-c FILE` as it must be typed again, or nothing."""
    return [] if config is None else ["-c", shlex.quote(str(config))]


def config_of(choice: Choice) -> Path | None:
    """The file that a later command must name with -c to mean the same target; None where it finds it by itself."""
    if not choice.agents.targets or choice.agents.source == Path(CONFIG_NAME).resolve():
        return None
    return Path(_shown(choice.agents.source))


def _shown(path: Path) -> str:
    """Relative to the current folder where it lies below it."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path.resolve())

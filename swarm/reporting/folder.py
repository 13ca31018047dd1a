"""Writes a run's folder, each file whole or not at all, and reads its report back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from swarm.core.errors import UsageError
from swarm.core.report import Report
from swarm.reporting.catalogue import all_formats
from swarm.reporting.masking import masked
from swarm.reporting.patch_files import patch_files
from swarm.reporting.reading import read_report

NOT_IN_A_FOLDER = ("junit", "gitlab")  # CI asks for these with `swarm report --format`


def write_run(
    report: Report,
    folder: Path,
    *,
    extras: Mapping[str, str] | None = None,
    mask: Callable[[str], str] | None = None,
) -> list[str]:
    """Write every file of the contract, and `latest` beside the folder.

    `extras` are further files by their path in the folder (`monitoring/…`, `transcripts/…`); `mask` hides known
    secrets in all texts but the patches' lines. Returns the paths written, sorted.
    Raises UsageError where the folder cannot be written.
    """
    shown = masked(report, mask) if mask else report
    files = {item.filename: item.render(shown) for item in all_formats() if item.name not in NOT_IN_A_FOLDER}
    files.update(patch_files(shown))
    files.update({name: mask(text) if mask else text for name, text in (extras or {}).items()})
    try:
        for name in sorted(files):
            write_file(folder, name, files[name])
        point_latest(folder)
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written: {error.strerror}; name another folder with --out DIR"
        ) from None
    return sorted(files)


def write_file(folder: Path, name: str, text: str) -> None:
    """Write one file under `folder`: to a temporary name, then renamed, so that no reader sees half of it.

    Raises ValueError for a name that leads out of the folder.
    """
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts or "\\" in name:
        raise ValueError(f"{name!r} is no path inside a run's folder")
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "replace"))
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def point_latest(folder: Path) -> None:
    """Make `latest` beside the folder lead to it: a symbolic link, or a text file where there are none."""
    latest = folder.parent / "latest"
    temporary = folder.parent / f".latest.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(folder.name, target_is_directory=True)
    except (OSError, NotImplementedError):
        temporary.write_text(folder.name + "\n", encoding="utf-8")
    temporary.replace(latest)


def load_report(folder: Path) -> Report:
    """The report of a run's folder. Raises UsageError where it holds none that can be read."""
    path = folder / "report.json"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path}: cannot be read; `swarm runs` lists the runs there are") from None
    return read_report(text)

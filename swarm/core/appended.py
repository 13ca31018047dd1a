"""Files that grow line by line, and whose writer may have been killed in the middle of one."""

from __future__ import annotations

from pathlib import Path


def cut_torn_line(path: Path) -> None:
    """Take away what a killed writer left of its last line, so that the next record has a line of its own."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)

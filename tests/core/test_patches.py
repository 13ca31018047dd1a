"""Diffs that git takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from swarm.core.patches import FileChange


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\nc\n", "a\nB\nc\n"),
        ("a\nb", "a\nb\nc"),
        ("a\nb", "a\nb\n"),
        (None, "new\n"),
        ("gone\n", None),
        ("a\r\nb\r\n", "a\r\nB\r\n"),
        ("x = 'ü\x0c'\ny\n", "x = 'ü\x0c'\nz\n"),
    ],
)
def test_git_applies_the_diff(tmp_path: Path, before: str | None, after: str | None) -> None:
    file = tmp_path / "a.py"
    if before is not None:
        file.write_bytes(before.encode())
    diff = FileChange("a.py", before, after).diff()
    done = subprocess.run(["git", "apply", "-p1", "-"], input=diff.encode(), cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (file.read_bytes().decode() if file.exists() else None) == after


def test_no_change_is_no_diff() -> None:
    assert FileChange("a.py", "x\n", "x\n").diff() == ""

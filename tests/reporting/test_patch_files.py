"""Patch files on a real repository: `git am` one by one, `git apply` for the combined one."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from swarm.core.patches import Accepted, FileChange, JudgedPatch, Patch
from swarm.core.report import Report
from swarm.reporting.patch_files import combined_diff, message, patch_files

FILES = {
    "src/app.py": "import os\n\n\ndef run():\n    return os.name\n",
    "no_newline.py": "a = 1\nb = 2",
    "crlf.py": "a = 1\r\nb = 2\r\nc = 3\r\n",
    "ünïcode.py": "größe = 'ß'\n",
    "with space.py": "x = 1\n",
    "gone.py": "old = True\n",
}
CHANGES = (
    (FileChange("src/app.py", FILES["src/app.py"], "import sys\n\n\ndef run():\n    return sys.platform\n"),),
    (FileChange("no_newline.py", "a = 1\nb = 2", "a = 1\nb = 3"), FileChange("new/deep.py", None, "n = 1\n")),
    (FileChange("no_newline.py", "a = 1\nb = 3", "a = 1\nb = 3\n"), FileChange("empty.py", None, "")),
    (FileChange("crlf.py", FILES["crlf.py"], "a = 1\r\nb = 'é = 2'\r\nc = 3\r\n"),),
    (
        FileChange("ünïcode.py", FILES["ünïcode.py"], "größe = '日本 🦊'\n"),
        FileChange("with space.py", "x = 1\n", "x = 2\n"),
    ),
    (FileChange("gone.py", FILES["gone.py"], None),),
)
RATIONALES = (
    "Plain.",
    "From: evil@example.org\nSubject: another\n---\ndiff --git a/x b/x\nFrom here on it is text.",
    "Größe: ünïcode — 日本",
    "CRLF lines\r\nin the rationale",
    "",
    "[PATCH] in the text\nDate: never",
)


def git(folder: Path, *words: str) -> str:
    identity = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@localhost",
        "-c",
        "core.autocrlf=false",
        "-c",
        "commit.gpgsign=false",
    ]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, f"git {words}: {done.stderr.decode()}{done.stdout.decode()}"
    return done.stdout.decode()


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    write(folder, FILES)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    return folder


def judged(report: Report) -> tuple[JudgedPatch, ...]:
    gates = report.patches[1].verdict.gates
    return tuple(
        JudgedPatch(
            Patch(
                f"{n:03d}-change",
                f"Change {n}: größer",
                "rule",
                "api",
                ("abc",),
                "ägent" if n % 2 else "agent",
                why,
                files,
            ),
            Accepted(gates),
        )
        for n, (files, why) in enumerate(zip(CHANGES, RATIONALES, strict=True), 1)
    )


def expected() -> dict[str, str]:
    files = dict(FILES)
    for changes in CHANGES:
        for change in changes:
            if change.after is None:
                files.pop(change.path)
            else:
                files[change.path] = change.after
    return files


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def test_git_am_takes_each_in_order(report: Report, repository: Path, tmp_path: Path) -> None:
    files = patch_files(replace(report, patches=judged(report)))
    write(tmp_path / "run", files)
    for name in files["patches/series"].split():
        git(repository, "am", "-q", str(tmp_path / "run" / "patches" / name))
    assert tree(repository) == expected()
    log = git(repository, "log", "--reverse", "--format=%an|%s|%ad", "--date=iso-strict").splitlines()[1:]
    assert log[0].startswith("ägent|Change 1: größer|2026-01-02T10:16:02")
    body = git(repository, "log", "-1", "--format=%b", "HEAD~4")
    assert "From here on it is text." in body and "Swarm-Rule: rule" in body and "- replay: passed" in body


def test_git_am_takes_the_whole_series_in_a_lower_folder(report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    write(folder / "service", FILES)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    files = patch_files(replace(report, patches=judged(report)))
    write(tmp_path / "run", files)
    names = [str(tmp_path / "run" / "patches" / name) for name in files["patches/series"].split()]
    git(folder, "am", "-q", "--directory=service", *names)
    assert tree(folder / "service") == expected()


def test_git_apply_takes_the_combined_patch(report: Report, repository: Path, tmp_path: Path) -> None:
    write(tmp_path, {"combined.patch": combined_diff(judged(report))})
    git(repository, "apply", str(tmp_path / "combined.patch"))
    assert tree(repository) == expected()


def test_git_apply_takes_a_single_message(report: Report, repository: Path, tmp_path: Path) -> None:
    write(tmp_path, {"one.patch": message(judged(report)[1], 1, 1, report)})
    git(repository, "apply", "--check", str(tmp_path / "one.patch"))


def test_a_hostile_patch_is_still_one_patch(hostile: Report, repository: Path, tmp_path: Path) -> None:
    change = CHANGES[0]
    nasty = replace(hostile.patches[0], patch=replace(hostile.patches[0].patch, changes=change))
    write(tmp_path, {"one.patch": message(nasty, 1, 1, hostile)})
    git(repository, "am", "-q", str(tmp_path / "one.patch"))
    assert tree(repository) == {**FILES, "src/app.py": change[0].after}


def test_the_rejected_stand_apart_with_their_reason(report: Report) -> None:
    files = patch_files(report)
    assert "005-n-plus-one-db.patch" not in files["patches/series"]
    assert "REJECTED by the gate 'replay'" in files["rejected/005-n-plus-one-db.patch"]
    assert "differs at $.total" in files["rejected/README.md"]
    assert "rows = [1]" not in files["combined.patch"]


def test_a_file_changed_twice_is_once_in_the_combined_patch(report: Report) -> None:
    text = combined_diff([p for p in report.patches if isinstance(p.verdict, Accepted)])
    assert text.count("diff --git a/orders/hooks.py") == 1
    assert "+    async with httpx.AsyncClient(timeout=10.0)" in text

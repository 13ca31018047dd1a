"""apply and rollback: all or nothing, and back to the same bytes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

WATCHED = ("agents.yaml", "app.py", "app.txt", "dos.txt", "more/new.txt")


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        name: ((folder / name).read_bytes(), (folder / name).stat().st_mode)
        for name in WATCHED
        if (folder / name).exists()
    }


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.example"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(applicable: Path) -> Path:
    git(applicable, "init", "-q", "-b", "trunk")
    (applicable / ".gitignore").write_text("reports/\n")
    git(applicable, "add", "-A")
    git(applicable, "commit", "-q", "-m", "as it was")
    return applicable


def test_a_folder_that_is_named_by_hand_is_never_the_latest_run(cli: Cli, applicable: Path) -> None:
    reports = applicable / "reports"
    (run,) = [path for path in reports.iterdir() if path.is_dir() and not path.is_symlink()]
    shutil.copytree(run, reports / "sample")
    assert "20260101-000000-tiny-abcd" in cli("apply", "--check").out
    assert not (reports / "sample" / "applied.json").exists()
    shutil.rmtree(run)
    refused = cli("apply", "--check")
    assert (refused.code, "make one with: swarm run" in refused.err) == (2, True)
    assert cli("apply", "sample", "--check").code == 0


def test_apply_and_rollback_leave_the_same_bytes(cli: Cli, applicable: Path) -> None:
    (applicable / "app.txt").chmod(0o600)
    before = state(applicable)
    said = cli("apply")
    assert (said.code, said.err) == (0, "")
    assert "3 patches applied" in said.out
    assert said.out.splitlines()[-1] == "next: swarm rollback 20260101-000000-tiny-abcd"
    assert b"line five\n" in (applicable / "app.txt").read_bytes()
    assert (applicable / "dos.txt").read_bytes() == b"first\r\nzweite\r\nthird\r\n"
    assert (applicable / "more/new.txt").read_text() == "brand new\nand newer\n"
    assert (applicable / "app.txt").stat().st_mode & 0o777 == 0o600
    back = cli("rollback")
    assert back.code == 0
    assert state(applicable) == before
    assert not (applicable / "more").exists()
    assert cli("rollback").code == 2


def test_check_changes_nothing(cli: Cli, applicable: Path) -> None:
    before = state(applicable)
    said = cli("apply", "--check")
    assert said.code == 0
    assert "3 patches would fit; nothing was changed" in said.out
    assert state(applicable) == before
    assert not list(applicable.glob("reports/*/applied*"))


def test_only_some_one_after_the_other(cli: Cli, applicable: Path) -> None:
    before = state(applicable)
    assert "1 patch applied" in cli("apply", "--only", "1").out
    after_first = state(applicable)
    assert "line 25 and a half" not in (applicable / "app.txt").read_text()
    twice = cli("apply")
    assert twice.code == 2 and "001-first-lines of run" in twice.err and "applied already" in twice.err
    assert state(applicable) == after_first
    assert cli("apply", "--only", "002-new-file", "--only", "3").code == 0
    assert "3 patches taken back" in cli("rollback").out
    assert state(applicable) == before


def test_only_what_there_is(cli: Cli, applicable: Path) -> None:
    said = cli("apply", "--only", "004-lost")
    assert said.code == 2
    assert "no accepted patch '004-lost'" in said.err
    assert "did you mean '001-first-lines'" in cli("apply", "--only", "001-first-line").err


def test_patch_that_counts_on_another_is_refused_alone(cli: Cli, applicable: Path) -> None:
    before = state(applicable)
    for words in (["apply", "--only", "3"], ["apply", "--only", "3", "--check"]):
        said = cli(*words)
        assert said.code == 3
        assert "more/new.txt" in said.err and "those before it" in said.err
        assert len(said.err.splitlines()) <= 2
        assert state(applicable) == before


def test_tree_that_does_not_fit_stays_as_it_is(cli: Cli, applicable: Path) -> None:
    text = (applicable / "dos.txt").read_bytes().replace(b"second", b"changed meanwhile")
    (applicable / "dos.txt").write_bytes(text)
    before = state(applicable)
    for words in (["apply"], ["apply", "--check"]):
        said = cli(*words)
        assert said.code == 3
        assert "dos.txt" in said.err
        assert len(said.err.splitlines()) <= 2
        assert state(applicable) == before
    assert cli("rollback").code == 2


def test_rollback_keeps_what_was_done_since(cli: Cli, applicable: Path) -> None:
    assert cli("apply").code == 0
    file = applicable / "app.txt"
    file.write_text("a new first line\n" + file.read_text().replace("line 15\n", "line fifteen\n"))
    (applicable / "mine.txt").write_text("mine\n")
    assert cli("rollback").code == 0
    text = file.read_text()
    assert text.startswith("a new first line\n") and "line fifteen\n" in text
    assert "line 5\n" in text and "and a half" not in text
    assert (applicable / "mine.txt").read_text() == "mine\n"


def test_rollback_is_refused_where_patched_lines_changed(cli: Cli, applicable: Path) -> None:
    assert cli("apply").code == 0
    file = applicable / "app.txt"
    file.write_text(file.read_text().replace("line five\n", "line 5 and more\n"))
    before = state(applicable)
    said = cli("rollback")
    assert said.code == 3
    assert "app.txt" in said.err and "changed since" in said.err
    assert state(applicable) == before
    file.write_text(file.read_text().replace("line 5 and more\n", "line five\n"))
    assert cli("rollback").code == 0


def test_tree_whose_write_fails_halfway_is_put_back(cli: Cli, applicable: Path) -> None:
    (applicable / "more").write_text("a file where the patch wants a folder\n")
    before = state(applicable)
    said = cli("apply")
    assert said.code == 3
    assert "more" in said.err and "nothing was changed" in said.err
    assert state(applicable) == before
    assert (applicable / "more").read_text() == "a file where the patch wants a folder\n"


def test_file_that_leads_out_of_the_tree_is_left_alone(cli: Cli, applicable: Path) -> None:
    outside = applicable.parent / f"{applicable.name}-outside.txt"
    (applicable / "app.txt").rename(outside)
    (applicable / "app.txt").symlink_to(outside)
    before = outside.read_bytes()
    said = cli("apply")
    assert said.code == 3
    assert "app.txt lies outside" in said.err
    assert outside.read_bytes() == before


def test_without_git(cli: Cli, applicable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(applicable))
    said = cli("apply")
    assert said.code == 3
    assert "install git" in said.err


def test_one_commit_a_patch(cli: Cli, repository: Path) -> None:
    before = state(repository)
    said = cli("apply", "--commit")
    assert (said.code, said.err) == (0, "")
    assert git(repository, "log", "--format=%s").splitlines() == [
        "Mend line-ends", "Mend new-file", "Mend first-lines", "as it was",
    ]  # fmt: skip
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "dos.txt").read_bytes() == b"first\r\nzweite\r\nthird\r\n"
    assert cli("rollback").code == 0
    assert state(repository) == before
    assert len(git(repository, "log", "--format=%h").splitlines()) == 7


def test_commits_on_a_branch(cli: Cli, repository: Path) -> None:
    said = cli("apply", "--branch", "mended")
    assert said.code == 0
    assert "3 patches applied as commits on branch mended" in said.out
    assert git(repository, "rev-list", "--count", "trunk..mended") == "3"
    git(repository, "checkout", "-q", "trunk")
    before = git(repository, "rev-parse", "HEAD")
    elsewhere = cli("rollback")
    assert elsewhere.code == 3 and "not on the branch" in elsewhere.err
    assert git(repository, "rev-parse", "HEAD") == before
    git(repository, "checkout", "-q", "mended")
    assert cli("rollback").code == 0
    assert git(repository, "diff", "trunk", "mended") == ""


def test_commits_of_a_target_below_the_top(cli: Cli, applicable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = applicable.parent / f"{applicable.name}-top"
    top.mkdir()
    applicable.rename(top / "service")
    git(top, "init", "-q", "-b", "trunk")
    git(top, "add", "service/app.txt", "service/dos.txt", "service/agents.yaml")
    git(top, "commit", "-q", "-m", "as it was")
    monkeypatch.chdir(top / "service")
    said = cli("apply", "--commit")
    assert (said.code, said.err) == (0, "")
    assert git(top, "show", "--stat", "--format=", "HEAD~1").splitlines()[0].split()[0] == "service/app.txt"
    (top / "service").rename(applicable)


@pytest.mark.parametrize("option", [["--commit"], ["--branch", "mended"]])
def test_commits_that_do_not_fit_leave_the_repository(cli: Cli, repository: Path, option: list[str]) -> None:
    (repository / "dos.txt").write_bytes(b"something else\r\n")
    git(repository, "commit", "-q", "-a", "-m", "other")
    head, before = git(repository, "rev-parse", "HEAD"), state(repository)
    said = cli("apply", *option)
    assert said.code == 3
    assert "dos.txt" in said.err and len(said.err.splitlines()) <= 2
    assert git(repository, "rev-parse", "--abbrev-ref", "HEAD") == "trunk"
    assert (git(repository, "rev-parse", "HEAD"), state(repository)) == (head, before)
    assert git(repository, "branch", "--format=%(refname:short)") == "trunk"
    assert git(repository, "status", "--porcelain") == ""


def test_commits_want_a_clean_repository(cli: Cli, repository: Path) -> None:
    (repository / "app.txt").write_text("dirty\n")
    said = cli("apply", "--commit")
    assert said.code == 3
    assert "uncommitted changes" in said.err


def test_commits_want_a_repository(cli: Cli, applicable: Path) -> None:
    before = state(applicable)
    said = cli("apply", "--branch", "mended")
    assert said.code == 3
    assert "in no git work tree" in said.err
    assert state(applicable) == before


def test_branch_that_is_there_already(cli: Cli, repository: Path) -> None:
    git(repository, "branch", "mended")
    said = cli("apply", "--branch", "mended")
    assert said.code == 3
    assert "already exists" in said.err
    assert git(repository, "rev-parse", "--abbrev-ref", "HEAD") == "trunk"


def test_run_folder_that_keeps_no_record_stops_before_the_tree_is_touched(cli: Cli, applicable: Path) -> None:
    (folder,) = [path for path in (applicable / "reports").iterdir() if not path.is_symlink()]
    (folder / "applied.part").mkdir()
    before = state(applicable)
    said = cli("apply")
    assert said.code == 2
    assert "cannot be written" in said.err
    assert state(applicable) == before


def test_run_without_patches(cli: Cli, applicable: Path) -> None:
    (folder,) = [path for path in (applicable / "reports").iterdir() if not path.is_symlink()]
    data = json.loads((folder / "report.json").read_text())
    data["patches"] = []
    (folder / "report.json").write_text(json.dumps(data))
    said = cli("apply")
    assert said.code == 2
    assert "no accepted patch; nothing to apply" in said.err

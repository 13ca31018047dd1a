from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from swarm.core.errors import TargetError
from swarm.core.patches import FileChange
from swarm.core.place import TargetPlace
from swarm.models.recording import Heading, Recorder
from swarm.target.tree import copies
from swarm.target.tree.copies import Copy, PatchDoesNotApply, apply_changes, clone, make_copy


def place_of(root: Path, path: str = ".") -> TargetPlace:
    root = root.resolve()
    return TargetPlace("t", (root / path).resolve(), root, root, Path("/usr/bin/python3"))


def plant(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"text of {name}\n")


def names(root: Path) -> set[str]:
    return {file.relative_to(root).as_posix() for file in root.rglob("*") if not file.is_dir()}


LITTER = (
    "app/__pycache__/m.pyc", "node_modules/x/index.js", "my-env/pyvenv.cfg", "my-env/lib/python3/site.py",
    "reports/20260101-1/report.json", "reports/20260101-1/patches/001.patch",
    "elsewhere/20260101-2/journal.jsonl", "elsewhere/20260101-2/transcripts/a.jsonl", ".pytest_cache/v",
)  # fmt: skip


@pytest.mark.parametrize("with_git", [False, True])
def test_what_does_not_belong_to_the_service_is_left_out(tmp_path: Path, with_git: bool) -> None:
    root = tmp_path / "user"
    plant(root, "app/m.py", "reports/README.md", "new.py", *LITTER)
    if with_git:
        plant(root, "secret.env")
        (root / ".gitignore").write_text("*.env\nnode_modules\n__pycache__\n")
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        subprocess.run(["git", "add", "app", "reports/README.md", ".gitignore"], cwd=root, check=True)
    copy = make_copy(place_of(root), tmp_path / "copy")
    wanted = {"app/m.py", "reports/README.md", "new.py"} | ({".gitignore"} if with_git else set())
    assert names(copy.workspace) == wanted


def test_what_a_run_keeps_of_its_models_is_no_part_of_the_service(tmp_path: Path) -> None:
    root = tmp_path / "user"
    plant(root, "app.py", "own/recording.jsonl")
    Recorder(root / "kept", Heading("small", "t", "parallel"), lambda text: text)
    assert (root / "kept" / "recording.jsonl").exists()
    assert names(make_copy(place_of(root), tmp_path / "copy").workspace) == {"app.py", "own/recording.jsonl"}


def test_a_target_that_git_ignores_is_copied_all_the_same(tmp_path: Path) -> None:
    root = tmp_path / "user"
    plant(root, "seen.py", "hidden/app.py")
    (root / ".gitignore").write_text("hidden\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    copy = make_copy(place_of(root, "hidden"), tmp_path / "copy")
    assert (copy.path / "app.py").exists()


def test_a_file_deleted_but_still_known_to_git_is_no_error(tmp_path: Path) -> None:
    root = tmp_path / "user"
    plant(root, "a.py", "b.py")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    (root / "b.py").unlink()
    assert names(make_copy(place_of(root), tmp_path / "copy").workspace) == {"a.py"}


def test_links_that_leave_the_tree_are_left_out_and_inner_ones_point_into_the_copy(tmp_path: Path) -> None:
    root = tmp_path / "user"
    plant(root, "app/real.py", "app/deep/x.py")
    plant(tmp_path, "outside.txt")
    (root / "leaves").symlink_to(tmp_path / "outside.txt")
    (root / "app/deep/inner").symlink_to(root / "app/real.py")
    (root / "folder").symlink_to(root / "app")
    copy = make_copy(place_of(root), tmp_path / "copy")
    assert not (copy.workspace / "leaves").is_symlink()
    assert (copy.workspace / "app/deep/inner").resolve() == copy.workspace / "app/real.py"
    assert (copy.workspace / "folder").resolve() == copy.workspace / "app"


def test_a_change_in_the_copy_never_reaches_the_original(tmp_path: Path) -> None:
    root = tmp_path / "user"
    plant(root, "a.py")
    copy = make_copy(place_of(root), tmp_path / "copy")
    with (copy.path / "a.py").open("a") as file:
        file.write("more")
    assert (root / "a.py").read_text() == "text of a.py\n"


def test_too_large_a_tree_is_refused_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path / "user", "a", "b", "c")
    monkeypatch.setattr(copies, "MAX_FILES", 2)
    with pytest.raises(TargetError, match="let git ignore"):
        make_copy(place_of(tmp_path / "user"), tmp_path / "copy")


def test_copying_some_hundred_files_is_fast(tmp_path: Path) -> None:
    plant(tmp_path / "user", *(f"p{n % 20}/m{n}.py" for n in range(400)))
    started = time.perf_counter()
    make_copy(place_of(tmp_path / "user"), tmp_path / "copy")
    assert time.perf_counter() - started < 2.0  # 0.05 s when nothing else runs


def texts(root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): file.read_text() for file in root.rglob("*") if file.is_file()}


def made(tmp_path: Path, **files: str) -> Copy:
    root = tmp_path / "user"
    root.mkdir()
    for name, text in files.items():
        (root / f"{name}.py").write_text(text)
    return make_copy(place_of(root), tmp_path / "copy")


def test_changes_edit_create_and_delete(tmp_path: Path) -> None:
    copy = made(tmp_path, a="1\n", b="2\n")
    apply_changes(
        copy,
        [
            FileChange("a.py", "1\n", "one\n"),
            FileChange("b.py", "2\n", None),
            FileChange("new/c.py", None, "3\n"),
            FileChange("a.py", "one\n", "ONE\n"),
        ],
    )
    assert texts(copy.path) == {"a.py": "ONE\n", "new/c.py": "3\n"}


@pytest.mark.parametrize(
    "bad",
    [
        FileChange("b.py", "other\n", "x"),
        FileChange("b.py", None, "x"),
        FileChange("gone.py", "2\n", "x"),
        FileChange("../out.py", None, "x"),
        FileChange("/etc/out.py", None, "x"),
    ],
)
def test_a_change_that_does_not_fit_leaves_the_whole_copy_as_it_was(tmp_path: Path, bad: FileChange) -> None:
    copy = made(tmp_path, a="1\n", b="2\n")
    with pytest.raises(PatchDoesNotApply) as raised:
        apply_changes(copy, [FileChange("a.py", "1\n", "one\n"), bad])
    assert raised.value.path == bad.path
    assert texts(copy.path) == {"a.py": "1\n", "b.py": "2\n"}
    assert not (tmp_path / "out.py").exists()


def test_a_change_through_a_link_out_of_the_copy_is_refused(tmp_path: Path) -> None:
    copy = made(tmp_path, a="1\n")
    (copy.path / "link").symlink_to(tmp_path)
    with pytest.raises(PatchDoesNotApply, match="link"):
        apply_changes(copy, [FileChange("link/out.py", None, "x")])


def test_two_edits_of_the_same_size_in_one_second_differ_in_whole_seconds(tmp_path: Path) -> None:
    copy = made(tmp_path, a="1\n")
    apply_changes(copy, [FileChange("a.py", "1\n", "2\n")])
    first_s = int((copy.path / "a.py").stat().st_mtime)
    apply_changes(copy, [FileChange("a.py", "2\n", "3\n")])
    assert int((copy.path / "a.py").stat().st_mtime) > first_s


def test_a_copy_never_holds_copies(tmp_path: Path) -> None:
    """TMPDIR may lie inside the user's tree."""
    plant(tmp_path, "a.py")
    for number in range(2):
        copy = make_copy(place_of(tmp_path), tmp_path / f"scratch/copy{number}")
    assert "scratch/copy1/a.py" not in names(copy.workspace)
    assert (copy.workspace / "a.py").exists()


@pytest.mark.parametrize("with_cp", [True, False])
def test_a_clone_holds_the_same_and_is_nobody_elses(
    tmp_path: Path, with_cp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "user"
    plant(root, "app/m.py", "app/sub/n.py")
    (root / "link.py").symlink_to("app/m.py")
    place = place_of(root, "app")
    copy = make_copy(place, tmp_path / "copy")
    if not with_cp:
        monkeypatch.setenv("PATH", str(tmp_path))
    other = clone(copy, place, tmp_path / "other" / "tree")
    assert names(other.workspace) == {"app/m.py", "app/sub/n.py", "link.py"}
    assert (other.workspace / "link.py").is_symlink()
    assert other.path == other.workspace / "app"
    assert (other.path / "m.py").stat().st_mtime == (copy.path / "m.py").stat().st_mtime
    apply_changes(other, [FileChange("m.py", "text of app/m.py\n", "changed\n")])
    assert (copy.path / "m.py").read_text() == (root / "app/m.py").read_text() == "text of app/m.py\n"

"""The only place that writes into the user's tree: applies a run's patches, and takes them back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from swarm.core.errors import TargetError
from swarm.core.patches import FileChange

_GIT_TIMEOUT_S = 120.0


class DoesNotFit(TargetError):
    """The patches don't fit on the tree, which is left as it was."""


def backwards(changes: Sequence[FileChange]) -> list[FileChange]:
    """The changes that take `changes` back, last first."""
    return [FileChange(change.path, change.after, change.before) for change in reversed(changes)]


def misfit(path: Path, changes: Sequence[FileChange]) -> str:
    """ "" where all changes fit in order on the tree at `path`, else git's words on the first that does not."""
    result = _staged(path, changes)
    return result if isinstance(result, str) else ""


def apply_changes(path: Path, changes: Sequence[FileChange], mend: str) -> None:
    """Make all changes or none; `mend` ends the message where they don't fit.

    Lines elsewhere in the files may have been edited since. Raises DoesNotFit or TargetError with the tree left
    as it was.
    """
    result = _staged(path, changes)
    if isinstance(result, str):
        raise DoesNotFit(f"{result}; nothing was changed.\n{mend}")
    before = {name: _content(path / name) for name in result}
    try:
        for name, content in result.items():
            _put(path, name, content)
    except OSError as error:
        for name, content in before.items():
            with contextlib.suppress(OSError):
                _put(path, name, content)
        raise TargetError(f"{error.filename} cannot be written ({error.strerror}); nothing was changed") from None


def _staged(path: Path, changes: Sequence[FileChange]) -> dict[str, bytes | None] | str:
    """Every touched file as the changes leave it, worked out on copies of those files, or why they don't fit."""
    names = list(dict.fromkeys(change.path for change in changes))
    for name in names:
        if not (path / name).resolve().is_relative_to(path.resolve()):
            return f"{name} lies outside of {path}"
    with tempfile.TemporaryDirectory(prefix="swarm-apply-") as folder:
        stage, diff = Path(folder) / "tree", Path(folder) / "change.diff"
        stage.mkdir()
        for name in names:
            content = _content(path / name)
            if content is not None:
                (stage / name).parent.mkdir(parents=True, exist_ok=True)
                (stage / name).write_bytes(content)
        for change in changes:
            diff.write_bytes(change.diff().encode())
            wrong = _git_apply(stage, diff) if diff.stat().st_size else ""
            if wrong:
                return wrong
        return {name: _content(stage / name) for name in names}


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _put(path: Path, name: str, content: bytes | None) -> None:
    """Give a file its content (its mode stays), or take it and the folders that it leaves empty away."""
    file = path / name
    if content is not None:
        if _content(file) != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return
    file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        for folder in list(file.relative_to(path).parents)[:-1]:
            (path / folder).rmdir()


def _git_apply(stage: Path, diff: Path) -> str:
    """Apply a diff below `stage` as if that were no repository; "" or git's words on why it does not fit."""
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(stage.parent), "GIT_DIR": str(stage / ".no-repository")}
    argv = ["git", "-c", "core.autocrlf=false", "-c", "core.safecrlf=false", "apply"]
    argv += ["--whitespace=nowarn", "--no-ignore-whitespace", "-p1", str(diff)]
    done = _run(argv, stage, env)
    if done.returncode == 0:
        return ""
    lines = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error:")]
    return lines[0] if lines else (done.stderr.strip().splitlines() or ["git apply failed"])[-1]


def commit_patches(path: Path, patches: Sequence[Path], *, branch: str | None) -> tuple[str, ...]:
    """One commit a patch with `git am`, on a new branch where one is named; the commits, oldest first.

    Raises TargetError where the tree is no clean git work tree, DoesNotFit where a patch does not fit;
    both leave the tree as it was.
    """
    top = Path(_git(path, "rev-parse", "--show-toplevel").strip())
    if _git(path, "status", "--porcelain", "--untracked-files=no").strip():
        raise TargetError("the work tree has uncommitted changes; commit or stash them, then apply again")
    if (top / _git(path, "rev-parse", "--git-path", "rebase-apply").strip()).exists():
        raise TargetError("a `git am` or `git rebase` is under way in this tree; finish it first")
    before = _git(path, "rev-parse", "HEAD").strip()
    was_on = _git(path, "rev-parse", "--abbrev-ref", "HEAD").strip()
    prefix = path.resolve().relative_to(top.resolve()).as_posix()
    if branch:
        _git(path, "checkout", "-q", "-b", branch)
    argv = ["git", "am", "-q", "--keep-cr", *([f"--directory={prefix}"] if prefix != "." else [])]
    done = _run([*argv, *[str(patch.resolve()) for patch in patches]], top, _committer(path))
    if done.returncode != 0:
        _run(["git", "am", "--abort"], path, dict(os.environ))
        _git(path, "reset", "-q", "--keep", before)
        if branch:
            _git(path, "checkout", "-q", was_on if was_on != "HEAD" else before)
            _git(path, "branch", "-q", "-D", branch)
        said = next((line for line in done.stderr.splitlines() if line.startswith("error:")), "git am failed")
        raise DoesNotFit(
            f"the patches do not fit on this tree ({said.removeprefix('error: ')}); nothing was changed.\n"
            "Run swarm again on the tree as it is now."
        )
    return tuple(_git(path, "rev-list", "--reverse", f"{before}..HEAD").split())


def revert_commits(path: Path, commits: Sequence[str]) -> None:
    """Take commits back, newest first, by commits of their own. Raises TargetError, or DoesNotFit."""
    missing = [one for one in commits if _run(["git", "cat-file", "-e", one], path, dict(os.environ)).returncode]
    if missing:
        raise DoesNotFit(f"commit {missing[0][:12]} is gone from this repository; there is nothing to take back")
    last = commits[-1]
    if _run(["git", "merge-base", "--is-ancestor", last, "HEAD"], path, dict(os.environ)).returncode:
        raise DoesNotFit(
            f"commit {last[:12]} is not on the branch that is checked out; switch to the branch that "
            "`swarm apply` made its commits on, or delete that branch"
        )
    if _git(path, "status", "--porcelain", "--untracked-files=no").strip():
        raise TargetError("the work tree has uncommitted changes; commit or stash them, then roll back again")
    before = _git(path, "rev-parse", "HEAD").strip()
    done = _run(["git", "revert", "--no-edit", *reversed(commits)], path, _committer(path))
    if done.returncode != 0:
        _run(["git", "revert", "--abort"], path, dict(os.environ))
        _git(path, "reset", "-q", "--keep", before)
        raise DoesNotFit(
            "the patches cannot be taken back: later commits changed the same lines; nothing was changed.\n"
            f"Revert by hand: git revert {commits[0][:12]}^..{last[:12]}"
        )


def _committer(path: Path) -> dict[str, str]:
    """The user's own identity where git knows one; a neutral one where it does not."""
    env = dict(os.environ)
    if _run(["git", "config", "user.email"], path, env).returncode != 0:
        env |= {"GIT_COMMITTER_NAME": "swarm", "GIT_COMMITTER_EMAIL": "swarm@localhost"}
        env |= {"GIT_AUTHOR_NAME": "swarm", "GIT_AUTHOR_EMAIL": "swarm@localhost"}
    return env


def _git(path: Path, *words: str) -> str:
    done = _run(["git", *words], path, dict(os.environ))
    if done.returncode == 0:
        return done.stdout
    if "not a git repository" in done.stderr:
        raise TargetError(f"{path} is in no git work tree; leave out --commit and --branch")
    said = done.stderr.strip().splitlines() or ["it failed"]
    raise TargetError(f"git {words[0]}: {said[-1].removeprefix('fatal: ')}; nothing was changed")


def _run(argv: Sequence[str], path: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv, cwd=path, env={**env, "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=_GIT_TIMEOUT_S, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise TargetError("git is not on PATH, and `swarm apply` works with it; install git") from None
    except subprocess.TimeoutExpired:
        raise TargetError(
            f"{' '.join(argv[:2])} took longer than {_GIT_TIMEOUT_S:g} s; is it asking something?"
        ) from None

"""The only place that writes into the user's tree: applies a run's patches, and takes them back."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
    done = _git_apply(path, changes, "--check")
    if done.returncode == 0:
        return ""
    lines = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error:")]
    return lines[0] if lines else (done.stderr.strip().splitlines() or ["git apply failed"])[-1]


def apply_changes(path: Path, changes: Sequence[FileChange], mend: str) -> None:
    """Make all changes or none; `mend` ends the message where they don't fit.

    Lines elsewhere in the files may have been edited since. Raises DoesNotFit or TargetError with the tree left
    as it was.
    """
    wrong = misfit(path, changes)
    if wrong:
        raise DoesNotFit(f"{wrong}; nothing was changed.\n{mend}")
    with _as_it_was(path, [change.path for change in changes]):
        done = _git_apply(path, changes)
        if done.returncode != 0:
            raise TargetError(f"git apply failed, nothing was changed: {done.stderr.strip().splitlines()[-1]}")


@dataclass(frozen=True, slots=True)
class _Kept:
    content: bytes | None
    mode: int


@contextmanager
def _as_it_was(path: Path, names: Sequence[str]) -> Iterator[None]:
    """Put the files back where the body raises; git gives a rewritten file a mode of its own, so keep the old one."""
    before: dict[Path, _Kept] = {}
    for name in dict.fromkeys(names):
        file = path / name
        before[file] = _Kept(file.read_bytes(), file.stat().st_mode) if file.is_file() else _Kept(None, 0)
    try:
        yield
    except BaseException:
        for file, kept in before.items():
            if kept.content is None:
                file.unlink(missing_ok=True)
            elif not file.is_file() or file.read_bytes() != kept.content:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(kept.content)
        raise
    finally:
        for file, kept in before.items():
            if kept.content is not None and file.is_file():
                file.chmod(kept.mode & 0o7777)


def _git_apply(path: Path, changes: Sequence[FileChange], *options: str) -> subprocess.CompletedProcess[str]:
    """`git apply` below `path` as if it were no repository, so paths count from `path` itself.

    All changes go in as one diff: git then checks each on what the ones before it leave, and writes all or none.
    """
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(path.parent), "GIT_DIR": str(path / ".no-repository")}
    argv = ["git", "-c", "core.autocrlf=false", "-c", "core.safecrlf=false", "apply"]
    argv += ["--whitespace=nowarn", "--no-ignore-whitespace", *options, "-p1"]
    with tempfile.TemporaryDirectory(prefix="swarm-apply-") as folder:
        diff = Path(folder) / "changes.diff"
        diff.write_bytes("".join(change.diff() for change in changes).encode())
        return _run([*argv, str(diff)], path, env)


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

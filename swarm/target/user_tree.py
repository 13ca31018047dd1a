"""The only place that writes into the user's tree: applies a run's patches, and takes them back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from swarm.core.errors import TargetError


class DoesNotFit(TargetError):
    """The patches don't fit on the tree, which is left as it was."""


def fits(path: Path, patches: Sequence[Path], *, reverse: bool = False) -> str:
    """ "" where all patches fit in order on the tree at `path`, else git's words on what does not."""
    done = _git_apply(path, patches, "--check", reverse=reverse)
    return "" if done.returncode == 0 else done.stderr.strip()


def apply_patches(path: Path, patches: Sequence[Path], *, reverse: bool = False) -> None:
    """Apply all or none. Raises DoesNotFit with the tree left as it was."""
    wrong = fits(path, patches, reverse=reverse)
    if wrong:
        raise DoesNotFit(_explain(wrong, reverse))
    done = _git_apply(path, patches, reverse=reverse)
    if done.returncode != 0:
        raise DoesNotFit(_explain(done.stderr.strip(), reverse))


def _explain(words: str, reverse: bool) -> str:
    first = next((line for line in words.splitlines() if line.startswith("error:")), words)
    what = "cannot be taken back: the patched lines have changed since" if reverse else "do not fit on this tree"
    mend = "undo those edits first" if reverse else "run swarm again on it as it is now"
    return f"the patches {what} ({first.removeprefix('error: ')}); nothing was changed. To go on, {mend}."


def _git_apply(
    path: Path, patches: Sequence[Path], *options: str, reverse: bool = False
) -> subprocess.CompletedProcess[str]:
    """`git apply` below `path` as if it were no repository, so paths count from `path` itself."""
    order = list(reversed(patches)) if reverse else list(patches)
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(path.parent), "GIT_DIR": str(path / ".no-repository")}
    argv = ["git", "apply", "--whitespace=nowarn", *options, *(["-R"] if reverse else []), "-p1"]
    return subprocess.run(
        [*argv, *[str(patch.resolve()) for patch in order]],
        cwd=path, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def commit_patches(path: Path, patches: Sequence[Path], *, branch: str | None) -> tuple[str, ...]:
    """One commit a patch with `git am`, on a new branch where one is named; the commits, oldest first.

    Raises TargetError where the tree is no clean git work tree, DoesNotFit where a patch does not fit;
    both leave the tree as it was.
    """
    top = _git(path, "rev-parse", "--show-toplevel").strip()
    if _git(path, "status", "--porcelain", "--untracked-files=no").strip():
        raise TargetError("the work tree has uncommitted changes; commit or stash them, then apply again")
    before = _git(path, "rev-parse", "HEAD").strip()
    was_on = _git(path, "rev-parse", "--abbrev-ref", "HEAD").strip()
    prefix = path.resolve().relative_to(Path(top).resolve()).as_posix()
    if branch:
        _git(path, "checkout", "-q", "-b", branch)
    argv = ["git", "am", "-q", "--keep-cr", *([f"--directory={prefix}"] if prefix != "." else [])]
    done = subprocess.run(
        [*argv, *[str(patch.resolve()) for patch in patches]],
        cwd=top, capture_output=True, text=True, timeout=120, check=False, env=_committer(),
    )  # fmt: skip
    if done.returncode != 0:
        _git(path, "am", "--abort")
        if branch:
            _git(path, "checkout", "-q", was_on)
            _git(path, "branch", "-q", "-D", branch)
        raise DoesNotFit(_explain(done.stderr.strip() or done.stdout.strip(), reverse=False))
    return tuple(_git(path, "rev-list", "--reverse", f"{before}..HEAD").split())


def revert_commits(path: Path, commits: Sequence[str]) -> None:
    """Take commits back, newest first, by commits of their own. Raises DoesNotFit."""
    done = subprocess.run(
        ["git", "revert", "--no-edit", *reversed(commits)],
        cwd=path, capture_output=True, text=True, timeout=120, check=False, env=_committer(),
    )  # fmt: skip
    if done.returncode != 0:
        subprocess.run(["git", "revert", "--abort"], cwd=path, capture_output=True, timeout=60, check=False)
        raise DoesNotFit(_explain(done.stderr.strip(), reverse=True))


def _committer() -> dict[str, str]:
    """The user's own identity where git knows one; a neutral one where it does not."""
    env = dict(os.environ)
    known = subprocess.run(["git", "config", "user.email"], capture_output=True, timeout=10, check=False)
    if known.returncode != 0:
        env |= {"GIT_COMMITTER_NAME": "swarm", "GIT_COMMITTER_EMAIL": "swarm@localhost"}
        env |= {"GIT_AUTHOR_NAME": "swarm", "GIT_AUTHOR_EMAIL": "swarm@localhost"}
    return env


def _git(path: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=path, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        if "not a git repository" in done.stderr:
            raise TargetError(f"{path} is in no git work tree; leave out --commit and --branch")
        raise TargetError(
            f"git {words[0]}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}"
        )
    return done.stdout

"""Runs one command on a copy within limits: by bubblewrap where it works, else by process limits."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.core.errors import TargetError
from swarm.core.ports import CommandLimits, CommandResult, Sandbox
from swarm.target.processes import procfs
from swarm.target.processes.children import Child, spawn

_POLL_S = 0.02
_WATCH_S = 0.1
_CHOICE = "SWARM_SANDBOX"
_OWN_FAILURE = re.compile(r"bwrap: (?!execvp)")
ONLY_COPY = "SWARM_ONLY_COPY"  # set: a command sees programs, libraries and the copy, and nothing else of the disk
# Where programs and libraries lie, and what they read of the machine's settings.
_SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/localtime", "/etc/mime.types", "/etc/nsswitch.conf", "/etc/protocols",
    "/etc/services", "/etc/ssl",
)  # fmt: skip
# What a command has no business to read, even on a read-only root.
_PRIVATE = (
    ".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure", ".config/gcloud", ".config/gh", ".netrc",
    ".pypirc", ".git-credentials", ".npmrc",
)  # fmt: skip


_APART = ("--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent")


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """A session of its own with limits of time, memory and output; the guard keeps Python to loopback."""

    @property
    def name(self) -> str:
        """As the report says it."""
        return "process limits"

    async def run(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], limits: CommandLimits
    ) -> CommandResult:
        """Run to the end or to a limit."""
        return await _run_limited(argv, argv, cwd, env, limits)


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """A read-only root, the copy and {tmp} writable, a loopback of its own, no other process in sight."""

    program: str

    @property
    def name(self) -> str:
        """As the report says it."""
        return "bubblewrap"

    async def run(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], limits: CommandLimits
    ) -> CommandResult:
        """Run to the end or to a limit. Raises TargetError where bubblewrap itself fails."""
        wrapped = [self.program, *_isolation(argv, cwd, env), "--", *argv]
        result = await _run_limited(wrapped, argv, cwd, env, limits)
        if result.exit_code == 1 and _OWN_FAILURE.match(result.output):
            raise TargetError(
                f"the sandbox cannot be set up: {result.output.strip()}; "
                f"set {_CHOICE}=limits to do without bubblewrap"
            )
        return result


@functools.cache
def choose_sandbox() -> Sandbox:
    """Bubblewrap where it is installed and a trial run works, else process limits; tried once.

    SWARM_SANDBOX=limits does without bubblewrap.
    """
    program = shutil.which("bwrap")
    if program is None or os.environ.get(_CHOICE) == "limits":
        return ProcessLimits()
    trial = [program, *_isolation(["true"], Path("/"), {}), "--", "true"]
    try:
        works = subprocess.run(trial, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        works = False
    return Bubblewrap(program) if works else ProcessLimits()


def _isolation(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> list[str]:
    """bubblewrap's arguments.

    SWARM_WRITABLE names what may be written, else cwd, HOME and TMPDIR may. SWARM_HIDDEN names the original tree:
    out of sight, for what runs is to be proof of the copy alone. SWARM_ONLY_COPY leaves the rest of the disk out too.
    """
    if env.get(ONLY_COPY):
        return [*_copy_alone(argv, env), *_APART, "--chdir", str(cwd)]
    temporary = Path(tempfile.gettempdir())
    original = env.get("SWARM_HIDDEN", "")
    hidden = [temporary, Path(original)] if original and Path(original).is_dir() else [temporary]
    words = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for folder in hidden:
        words += ["--tmpfs", str(folder)]
    words += _masked_home()
    for folder in _needed_below(hidden, argv, env):
        words += ["--ro-bind", str(folder), str(folder)]
    fallback = os.pathsep.join([env.get("HOME", ""), env.get("TMPDIR", ""), str(cwd) if cwd != Path("/") else ""])
    for entry in env.get("SWARM_WRITABLE", fallback).split(os.pathsep):
        if entry and Path(entry).is_dir():
            words += ["--bind", entry, entry]
    for folder in hidden[1:]:
        words += ["--remount-ro", str(folder)]
    return [*words, *_APART, "--chdir", str(cwd)]


def _copy_alone(argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """What a command of a model's sees: no home, no other project, none of the machine's own data."""
    words = ["--tmpfs", "/", "--dev", "/dev", "--proc", "/proc"]
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), name]
        elif path.exists():
            words += ["--ro-bind", name, name]
    for folder in _needed_below([Path("/")], argv, env):
        if not folder.is_relative_to("/usr") and folder not in (Path.home(), Path("/home"), Path("/")):
            words += ["--ro-bind", str(folder), str(folder)]
    for entry in env.get("SWARM_WRITABLE", "").split(os.pathsep):
        if entry and Path(entry).is_dir():
            words += ["--bind", entry, entry]
    return words


def _masked_home() -> list[str]:
    """Arguments that empty the folders of the user's home that hold secrets."""
    words = []
    for private in (Path.home() / name for name in _PRIVATE):
        if private.is_dir():
            words += ["--tmpfs", str(private)]
        elif private.exists():
            words += ["--ro-bind", "/dev/null", str(private)]
    return words


def _needed_below(hidden: Sequence[Path], argv: Sequence[str], env: Mapping[str, str]) -> list[Path]:
    """Folders of the interpreter and of PYTHONPATH that the hidden folders would take away."""
    program = shutil.which(argv[0], path=env.get("PATH")) or argv[0]
    interpreters = [Path(program), Path(env.get("PATH", "").split(os.pathsep)[0]) / "python"]
    folders = [way.parent.parent for python in interpreters for way in (python.absolute(), python.resolve())]
    folders += [Path(entry) for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry]
    folders += [Path(entry).parent for entry in env.get("SWARM_INJECT", "").split(os.pathsep) if entry]
    inside = [
        folder
        for folder in folders
        if folder.is_dir() and any(folder != top and folder.is_relative_to(top) for top in hidden)
    ]
    return [folder for folder in dict.fromkeys(inside) if folder not in hidden]


async def _run_limited(
    argv: Sequence[str], shown: Sequence[str], cwd: Path, env: Mapping[str, str], limits: CommandLimits
) -> CommandResult:
    started = time.monotonic()
    log = Path(tempfile.gettempdir()) / f"swarm-command-{uuid.uuid4().hex}.log"
    try:
        child = spawn(
            argv, cwd=cwd, env=env, log=log, head_bytes=limits.output_bytes // 2,
            tail_bytes=limits.output_bytes - limits.output_bytes // 2, limits=_resource_limits(limits),
        )  # fmt: skip
    except TargetError as error:
        return CommandResult(tuple(shown), 127, str(error), time.monotonic() - started)
    try:
        ended_by = await _watch(child, limits, started)
        exit_code = child.exit_code
        child.kill()
        text = child.log_text()
    finally:
        child.kill()
        log.unlink(missing_ok=True)
    return CommandResult(
        argv=tuple(shown),
        exit_code=None if ended_by else exit_code,
        output=text,
        duration_s=time.monotonic() - started,
        ended_by=ended_by,
        truncated=child.log.truncated,
    )


async def _watch(child: Child, limits: CommandLimits, started: float) -> str:
    """Wait for the end; the limit that was passed, or ""."""
    next_look = started + _WATCH_S
    while child.alive():
        now = time.monotonic()
        if now - started > limits.timeout_s:
            return "time"
        if child.log.total_bytes > 50 * max(limits.output_bytes, 100_000):
            return "output"
        if now >= next_look:
            next_look = now + _WATCH_S
            if sum(stat.rss_bytes for stat in procfs.family(child.pid)) > limits.memory_bytes:
                return "memory"
        await asyncio.sleep(_POLL_S)
    return ""


def _resource_limits(limits: CommandLimits) -> dict[int, int]:
    """The kernel's stops behind the watcher; data, for address space is reserved freely by many runtimes."""
    return {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: limits.memory_bytes * 2,
        resource.RLIMIT_FSIZE: 4 * 1024**3,
    }

"""Starts and ends the target's processes so that none outlives its swarm, whatever way a run ends.

Every child leads a session of its own, is killed by the kernel when swarm dies, and carries two marks in
its environment: SWARM_OWNER (the swarm that started it) and SWARM_CHILD (this very child). Descendants
inherit the marks; `reap_orphans` finds by them what the kernel's signal did not reach.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import functools
import os
import resource
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from swarm.core.errors import TargetError
from swarm.target.processes import procfs
from swarm.target.processes.boundedlog import HEAD_BYTES, TAIL_BYTES, BoundedLog
from swarm.target.processes.scratch import dead_folders, owner_is_alive, owner_mark, remove_folder

OWNER = "SWARM_OWNER"
OWNER_NAMESPACE = "SWARM_OWNER_NS"
CHILD = "SWARM_CHILD"
_PR_SET_PDEATHSIG = 1
_living: dict[int, Child] = {}


class Process(Protocol):
    """What is known of a started program itself; subprocess.Popen is one."""

    pid: int

    def poll(self) -> int | None:
        """How it ended, None while it lives."""

    def wait(self, timeout: float | None = None) -> int:
        """The same once it has ended; raises subprocess.TimeoutExpired."""


class Child:
    """One started program with everything that it starts in turn. Its output goes to a bounded log."""

    def __init__(self, process: Process, mark: str, log: BoundedLog) -> None:
        self._process = process
        self._mark = mark
        self._log = log
        self._ended = False
        self.pid = process.pid

    @property
    def exit_code(self) -> int | None:
        """How the started program ended; None while it lives."""
        return self._process.poll()

    @property
    def log(self) -> BoundedLog:
        """Where its output goes."""
        return self._log

    def alive(self) -> bool:
        """Whether the started program lives."""
        return self._process.poll() is None

    def log_text(self) -> str:
        """What it and its descendants wrote so far, bounded."""
        return self._log.text()

    def pids(self) -> set[int]:
        """It and all that it started, as far as they share its session or descend from it."""
        return {stat.pid for stat in procfs.family(self.pid)}

    def rss_bytes(self) -> int:
        """Resident memory of the whole family."""
        return sum(stat.rss_bytes for stat in procfs.family(self.pid))

    def cpu_s(self) -> float:
        """CPU time used by the whole family so far."""
        return sum(stat.cpu_s for stat in procfs.family(self.pid))

    async def stop(self, grace_s: float = 2.0) -> None:
        """Ask the family to end, then end it. Safe to call twice."""
        if self.alive():
            _signal_group(self.pid, signal.SIGTERM)
            deadline = time.monotonic() + grace_s
            while self.alive() and time.monotonic() < deadline:  # noqa: ASYNC110 - nothing tells of its end
                await asyncio.sleep(0.01)
        self.kill()

    def kill(self) -> None:
        """End the family at once, daemons that left the session included. Safe to call twice."""
        if self._ended:  # its pid may be somebody else's by now
            return
        self._ended = True
        _signal_group(self.pid, signal.SIGKILL)
        _kill_until_gone(lambda: self._remains())
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._log.close()
        _living.pop(self.pid, None)

    def _remains(self) -> set[int]:
        own = {stat.pid for stat in procfs.family(self.pid)}
        return (own | _marked(CHILD, {self._mark})) - {os.getpid()}


def spawn(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    head_bytes: int = HEAD_BYTES,
    tail_bytes: int = TAIL_BYTES,
    limits: Mapping[int, int] | None = None,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a program in a session of its own with exactly the environment given and swarm's marks.

    `limits` are the kernel's, by the names of `resource`; `head_bytes` and `tail_bytes` bound the log; `pass_fds` are
    descriptors that stay open for it.

    Raises TargetError where the program cannot be started at all. Call it from a thread that lives as long as
    the child should: the kernel ends the child with the thread that started it.
    """
    marked = marks(env)
    try:
        popen = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=marked,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_before_exec(limits or {}),
        )
    except FileNotFoundError:
        missing = cwd if not cwd.is_dir() else argv[0]
        raise TargetError(f"cannot start {argv[0]}: {missing} does not exist") from None
    except (OSError, ValueError) as error:
        raise TargetError(f"cannot start {argv[0]}: {error}") from None
    assert popen.stdout is not None
    return adopt(popen, marked, BoundedLog(popen.stdout, log, head_bytes=head_bytes, tail_bytes=tail_bytes))


def marks(env: Mapping[str, str]) -> dict[str, str]:
    """An environment with swarm's marks for one child."""
    return {**env, OWNER: owner_mark(), OWNER_NAMESPACE: procfs.pid_namespace(), CHILD: uuid.uuid4().hex}


def adopt(process: Process, env: Mapping[str, str], log: BoundedLog) -> Child:
    """A process that leads a session of its own, with the marked environment `env`, as a child of this swarm."""
    child = Child(process, env[CHILD], log)
    _kill_all_at_exit(os.getpid())
    _living[child.pid] = child
    return child


def reap_orphans() -> list[int]:
    """End every process and remove every scratch folder whose owning swarm is dead; the pids that ended."""
    folders = dead_folders()
    roots = tuple(f"{folder}/" for folder in folders)
    ended: set[int] = set()

    def orphans() -> set[int]:
        found = _marked_orphans()
        if roots:
            found |= {pid for pid in _own_pids() if f"{procfs.working_folder(pid)}/".startswith(roots)}
        ended.update(found)
        return found

    _kill_until_gone(orphans)
    for folder in folders:
        remove_folder(folder)
    return sorted(ended)


def _before_exec(limits: Mapping[int, int]) -> Callable[[], None]:
    """What the child does before exec: set its limits, and ask to be killed when its parent dies."""
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        prctl = None
    parent = os.getpid()
    bounds = [(name, _bound(name, value)) for name, value in limits.items()]

    def prepare() -> None:
        for name, bound in bounds:
            resource.setrlimit(name, bound)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before the request was made
                os._exit(1)

    return prepare


def _bound(name: int, value: int) -> tuple[int, int]:
    """A limit that does not pass the hard limit that is there already."""
    hard = resource.getrlimit(name)[1]
    top = value if hard == resource.RLIM_INFINITY else min(value, hard)
    return top, top


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _kill_until_gone(find: Callable[[], Iterable[int]], rounds: int = 20) -> None:
    """SIGKILL what `find` names until it names nothing: a process may fork while it is being looked for."""
    for number in range(rounds):
        pids = set(find())
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002 * (number + 1))


def _own_pids() -> list[int]:
    uid = os.getuid()
    found = []
    for stat in procfs.all_stats():
        with contextlib.suppress(OSError):
            if (procfs.PROC / str(stat.pid)).stat().st_uid == uid and stat.state not in "ZX":
                found.append(stat.pid)
    return [pid for pid in found if pid != os.getpid()]


def _marked(name: str, values: set[str]) -> set[int]:
    return {pid for pid in _own_pids() if procfs.variables_of(pid, name).get(name) in values}


def _marked_orphans() -> set[int]:
    namespace = procfs.pid_namespace()
    found = set()
    for pid in _own_pids():
        env = procfs.variables_of(pid, OWNER, OWNER_NAMESPACE)
        owner = env.get(OWNER)
        if owner and env.get(OWNER_NAMESPACE, "") == namespace and not owner_is_alive(owner):
            found.add(pid)
    return found


@functools.cache
def _kill_all_at_exit(owner: int) -> None:
    def kill_all() -> None:
        if os.getpid() == owner:  # a fork of swarm ends without ending the children of the original
            for child in list(_living.values()):
                child.kill()

    atexit.register(kill_all)

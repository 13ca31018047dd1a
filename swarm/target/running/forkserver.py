"""Starts the target's programs from processes that have imported their libraries already.

A service is started some forty times a run, and most of a start is the import of the same libraries. The first start
of a program notes what it imports; then a fork server in the target's own interpreter imports the libraries among
that, and every later start is a fork of it (inject/forkserver.py tells how, and what is left to each start).

Whatever is in the way means a start as ever: a program that is no Python, a tracer, a library that starts threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace
from swarm.target.processes.boundedlog import BoundedLog
from swarm.target.processes.children import Child, adopt, marks, spawn
from swarm.target.running.environment import INJECT

REDIRECT = INJECT / "redirect.py"
RUN_SCRIPT = INJECT / "run_script.py"
IMPORTS = "SWARM_IMPORTS"
CHOICE = "SWARM_FORK_STARTS"  # 0: every start is a start of the interpreter
_CHANNEL = "SWARM_FORKSERVER"
_LENGTH = struct.Struct("!I")
_ROUNDS = 4  # of leaving to each start what looks at what differs
_READY_S = 60.0
_ANSWER_S = 5.0
_PATCHES_ALL = frozenset({"gevent", "eventlet"})  # they change what was imported before them
_ALWAYS_OWN = frozenset({"__main__", "sitecustomize", "usercustomize"})


@dataclass(frozen=True, slots=True)
class Start:
    """A start of a program. `differing` are the variables whose values another start may not share."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    differing: frozenset[str]


class ForkServers:
    """The fork servers of a run, one for each program; use within `fork_servers()`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, ...], Forkable] = {}

    def program(self, argv: Sequence[str], place: TargetPlace) -> Forkable | None:
        """What is known of a program; None where it is none that can be forked."""
        waiting = waiting_argv(argv, place)
        if waiting is None:
            return None
        key = (str(place.workspace), *_named(waiting))
        if key not in self._known:
            self._known[key] = Forkable(waiting, self._folder / f"forks-{len(self._known)}")
        return self._known[key]

    async def close(self) -> None:
        """End them."""
        for program in self._known.values():
            await program.close()


_AT_HAND: ContextVar[ForkServers | None] = ContextVar("fork_servers", default=None)


def differing(env: Mapping[str, str], own: Sequence[object], extra: Mapping[str, str] = {}) -> frozenset[str]:
    """The variables whose values belong to one start: those of `extra`, and those with something in them that is its
    `own` (folders, a port).
    """
    return frozenset({name for name, value in env.items() if any(str(one) in value for one in own)} | set(extra))


@asynccontextmanager
async def fork_servers(folder: Path) -> AsyncIterator[None]:
    """For the block, programs that are started often start by a fork; `folder` is for swarm's own files of it."""
    if os.environ.get(CHOICE) == "0" or not hasattr(os, "pidfd_open"):
        yield
        return
    servers = ForkServers(folder)
    token = _AT_HAND.set(servers)
    try:
        yield
    finally:
        _AT_HAND.reset(token)
        await servers.close()


@dataclass(frozen=True, slots=True)
class Begun:
    """A program that was started, and by a fork or not."""

    child: Child
    forked: bool
    _program: Forkable | None

    def is_up(self) -> None:
        """It came up: what it imported need not be imported again."""
        if self._program is not None:
            self._program.is_up()

    def in_vain(self) -> None:
        """The fork did not come up, and a start of the interpreter did: none is tried any more."""
        if self._program is not None:
            self._program.unfit()


async def begin(start: Start, place: TargetPlace, log: Path, *, fork: bool = True) -> Begun:
    """Start a program by a fork where that can be, else as ever. Raises TargetError where it cannot be started.

    Whether a fork that does not come up is the program's fault is for a start without `fork` to say.
    """
    servers = _AT_HAND.get() if fork else None
    program = servers.program(start.argv, place) if servers is not None else None
    forked = await asyncio.to_thread(program.fork, start, log) if program is not None else None
    if forked is not None:
        return Begun(forked, True, program)
    heard = program.heard(start) if program is not None else {}
    return Begun(spawn(start.argv, cwd=start.cwd, env={**start.env, **heard}, log=log), False, program)


def waiting_argv(argv: Sequence[str], place: TargetPlace) -> tuple[str, ...] | None:
    """What the interpreter is started with, to wait for orders before it runs the program; None for no Python.

    A script is run by RUN_SCRIPT: its name would be taken for one in the fork server's own folder.
    """
    first = Path(argv[0])
    if first == place.python:
        rest = tuple(argv[1:])
        if len(rest) >= 2 and rest[0] == "-m":
            return tuple(argv)
        if rest and not rest[0].startswith("-"):
            return (argv[0], str(RUN_SCRIPT), *rest)
        return None
    if first.is_absolute() and first.parent == place.python.parent and _is_python_script(first):
        return tuple(argv)
    return None


def _named(waiting: Sequence[str]) -> tuple[str, ...]:
    """The words that say which program it is."""
    return tuple(waiting[:3] if waiting[1:2] in (("-m",), (str(RUN_SCRIPT),)) else waiting[:1])


def _is_python_script(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            first = opened.readline(512)
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first


@dataclass
class Forkable:
    """One program: what its first start imported, and the fork server that has imported it since."""

    waiting: tuple[str, ...]
    folder: Path
    _state: str = "unknown"  # heard: its first start is heard; warming; ready; unfit
    _first: Start | None = None
    _server: _Server | None = None
    _looked: dict[str, str | None] = field(default_factory=dict)
    _warming: asyncio.Task[None] | None = None

    def heard(self, start: Start) -> dict[str, str]:
        """What the environment of a start needs for its imports to be heard: of the first one alone."""
        if self._state != "unknown":
            return {}
        self._state, self._first = "heard", start
        self.folder.mkdir(parents=True, exist_ok=True)
        return {IMPORTS: str(self.folder / "imports")}

    def is_up(self) -> None:
        """The start that was heard is up: what it imported is imported for all others, meanwhile."""
        if self._state == "heard" and self._first is not None:
            self._state = "warming"
            self._warming = asyncio.get_running_loop().create_task(self._warm(self._first))

    def fork(self, start: Start, log: Path) -> Child | None:
        """A start by a fork; None where one cannot be had (yet)."""
        server = self._server
        if self._state != "ready" or server is None or self._first is None:
            return None
        if any(start.env.get(key) != value for key, value in self._looked.items()):
            return None
        if _settings_of(start.env) != _settings_of(self._first.env):
            return None
        try:
            return server.fork(start, log)
        except OSError:
            self._state = "unfit"
            return None

    def unfit(self) -> None:
        """A fork did not come up where a start of the interpreter did: none is tried any more."""
        self._state = "unfit"

    async def close(self) -> None:
        """End the fork server."""
        self._state = "unfit"
        if self._server is not None:
            await asyncio.to_thread(self._server.close)
        if self._warming is not None:
            await asyncio.gather(self._warming, return_exceptions=True)

    async def _warm(self, first: Start) -> None:
        try:
            names = _imported(self.folder / "imports")
            if _PATCHES_ALL & {name.partition(".")[0] for name in names}:
                raise OSError("it changes libraries that were imported before")
            order = {
                "imports": [name for name in names if name.rpartition(".")[2] not in _ALWAYS_OWN],
                "own": sorted(_own_names(first.env)), "differing": sorted(first.differing),
            }  # fmt: skip
            apart: set[str] = set()
            for _ in range(_ROUNDS):
                # in this thread: the kernel ends a child with the thread that started it
                server = self._server = _Server.started(self.waiting, first.env, self.folder)
                said = await asyncio.to_thread(server.ask, {**order, "apart": sorted(apart)}, (), _READY_S)
                if not said["touched"]:
                    self._looked = {key: first.env.get(key) for key in said["looked"] if key != "PYTHONPATH"}
                    self._state = "ready" if self._state == "warming" else self._state
                    return
                apart |= set(said["touched"])
                await asyncio.to_thread(server.close)
            raise OSError("its libraries differ from start to start")
        except (OSError, ValueError, KeyError, TargetError):
            self._state = "unfit"
            if self._server is not None:
                await asyncio.to_thread(self._server.close)


class _Server:
    """A fork server and the channel to it."""

    def __init__(self, child: Child, channel: socket.socket) -> None:
        self.child = child
        self._channel = channel
        self._lock = threading.Lock()

    @classmethod
    def started(cls, argv: Sequence[str], env: Mapping[str, str], folder: Path) -> _Server:
        """Start the interpreter; it waits for the order of what to import."""
        own, theirs = socket.socketpair()
        with theirs:
            kept = {name: value for name, value in env.items() if name not in ("SWARM_INJECT", IMPORTS)}
            kept |= {"PYTHONPATH": str(INJECT), _CHANNEL: str(theirs.fileno())}
            child = spawn(argv, cwd=folder, env=kept, log=folder / "log", pass_fds=[theirs.fileno()])
        return cls(child, own)

    def ask(self, message: Mapping[str, Any], descriptors: Sequence[int] = (), within_s: float = _ANSWER_S) -> Any:
        """One question and its answer. Raises OSError where none comes."""
        data = json.dumps(message).encode()
        with self._lock:
            self._channel.settimeout(within_s)
            sent = socket.send_fds(self._channel, [_LENGTH.pack(len(data)) + data], descriptors)
            self._channel.sendall((_LENGTH.pack(len(data)) + data)[sent:])
            return json.loads(self._exactly(_LENGTH.unpack(self._exactly(_LENGTH.size))[0]))

    def fork(self, start: Start, log: Path) -> Child:
        """A child that goes on as if it had just been started. Raises OSError."""
        env = marks(start.env)
        reading, writing = os.pipe()
        try:
            path = [str(folder) for folder in _own_folders(start.env)]
            order = {"argv": list(start.argv), "cwd": str(start.cwd), "env": env, "path": path}
            pid = int(self.ask(order, [writing])["pid"])
            forked = Forked(pid, self)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return adopt(forked, env, BoundedLog(os.fdopen(reading, "rb"), log))

    def close(self) -> None:
        """End it, and with it what it forked."""
        self.child.kill()
        self._channel.close()

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            part = self._channel.recv(size)
            if not part:
                raise OSError("the fork server has ended")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class Forked:
    """A child of a fork server, as subprocess.Popen would tell of it."""

    def __init__(self, pid: int, server: _Server) -> None:
        self.pid = pid
        self._server = server
        self._end = os.pidfd_open(pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        """How it ended, None while it lives."""
        if self._code is None and select.select([self._end], [], [], 0)[0]:
            self._code = self._ended()
            os.close(self._end)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """The same once it has ended. Raises subprocess.TimeoutExpired."""
        if self._code is None:
            select.select([self._end], [], [], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def _ended(self) -> int:
        try:
            return int(self._server.ask({"ended": self.pid})["exit"])
        except (OSError, ValueError, KeyError):
            return -signal.SIGKILL  # with its fork server


def _imported(file: Path) -> list[str]:
    """The names that the first start imported, in order, each once."""
    return list(dict.fromkeys(file.read_text(encoding="utf-8", errors="replace").splitlines()))


def _own_folders(env: Mapping[str, str]) -> list[Path]:
    """The import folders that a start adds to the interpreter's."""
    written = (Path(entry) for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry)
    return [folder for folder in written if folder != INJECT]


def _own_names(env: Mapping[str, str]) -> set[str]:
    """The names of modules in the target's own import folders."""
    found: set[str] = set()
    for folder in _own_folders(env):
        with contextlib.suppress(OSError):
            found |= {entry.name.partition(".")[0] for entry in folder.iterdir()}
    return found


def _settings_of(env: Mapping[str, str]) -> dict[str, str]:
    """What the interpreter and the loader read before any code runs."""
    return {
        name: value for name, value in env.items()
        if name.startswith(("PYTHON", "LD_", "DYLD_", "LC_", "LANG", "TZ")) and name != "PYTHONPATH"
    }  # fmt: skip

"""Starts the target's programs from processes that have imported their libraries already.

A service is started some forty times a run, and most of a start is the import of the same libraries. The first start
of a program notes what it imports; then a fork server in the target's own interpreter imports the libraries among
that, and every later start is a fork of it (inject/forkserver.py tells how, and what is left to each start).

Whatever is in the way means a start as ever: a program that is no Python, a tracer, a library that starts threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace
from swarm.target.processes.children import Child, spawn
from swarm.target.running.environment import INJECT
from swarm.target.running.forkserver import IMPORTS, ForkServer, Start, own_folders

REDIRECT = INJECT / "redirect.py"
RUN_SCRIPT = INJECT / "run_script.py"
CHOICE = "SWARM_FORK_STARTS"  # 0: every start is a start of the interpreter
_ROUNDS = 4  # of leaving to each start what looks at what differs
_READY_S = 60.0
_CERTIFICATES = frozenset({"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"})
_LENT = "HOME"  # libraries look there for settings of their own: one empty folder is as good as another
_FORKS_WELL = ("numpy",)  # its threads are OpenBLAS's, which starts them anew after a fork
_PATCHERS = ("gevent.monkey", "eventlet.patcher")  # they change what was imported before them
_ALWAYS_OWN = frozenset({"__main__", "sitecustomize", "usercustomize"})


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
    `own` (folders, a port). Certificates are a run's.
    """
    belonging = {name for name, value in env.items() if any(str(one) in value for one in own)}
    return frozenset((belonging | set(extra)) - _CERTIFICATES)


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


class Tries:
    """The starts of one program until it comes up: by forks where that can be, once a fork was in vain as ever.

    Whether a fork that does not come up is the program's fault is for a start of the interpreter to say.
    """

    def __init__(self, place: TargetPlace, *, fork: bool = True) -> None:
        self._place = place
        self._fork = fork
        self._program: Forkable | None = None  # what is known of the one that was started last
        self._forked = False
        self._in_vain: Forkable | None = None

    async def begin(self, start: Start, log: Path) -> Child:
        """Start it once more. Raises TargetError where it cannot be started."""
        servers = _AT_HAND.get() if self._fork else None
        program = self._program = servers.program(start.argv, self._place) if servers is not None else None
        forked = await asyncio.to_thread(program.fork, start, log) if program is not None else None
        self._forked = forked is not None
        if forked is not None:
            return forked
        heard = program.heard(start) if program is not None else {}
        return spawn(start.argv, cwd=start.cwd, env={**start.env, **heard}, log=log)

    def is_up(self) -> None:
        """It came up: what it imported need not be imported again. Where a fork did not, none is tried any more."""
        if self._program is not None:
            self._program.is_up()
        if self._in_vain is not None:
            self._in_vain.unfit()

    def may_come_up_unforked(self) -> bool:
        """It did not come up. Whether that was a fork: the next try is then a start of the interpreter."""
        if self._forked:
            self._fork, self._in_vain = False, self._program
        return self._forked


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
    _state: Literal["unknown", "heard", "warming", "ready", "unfit"] = "unknown"
    _first: Start | None = None
    _server: ForkServer | None = None
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
        except (OSError, ValueError, KeyError):  # it has ended, or answers something else
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
            ready = await self._imports_all(first)
        except (OSError, ValueError, KeyError, TargetError):  # it ended, or said something else
            ready = False
        if self._state == "warming":
            self._state = "ready" if ready else "unfit"
        if self._state == "unfit" and self._server is not None:
            await asyncio.to_thread(self._server.close)

    async def _imports_all(self, first: Start) -> bool:
        """Start a fork server that imports what the first start did, and again without what must not be shared."""
        names = _imported(self.folder / "imports")
        order = {
            "imports": [name for name in names if name.rpartition(".")[2] not in _ALWAYS_OWN],
            "own": sorted(_own_names(first.env)), "differing": sorted(first.differing - {_LENT}),
            "forks_well": _FORKS_WELL, "patchers": _PATCHERS,
        }  # fmt: skip
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        apart: set[str] = set()
        for _ in range(_ROUNDS):
            # in this thread: the kernel ends a child with the thread that started it
            server = self._server = ForkServer.started(self.waiting, {**first.env, _LENT: str(home)}, self.folder)
            said = await asyncio.to_thread(server.ask, {**order, "apart": sorted(apart)}, (), _READY_S)
            if said["patched"]:
                return False
            if not said["touched"]:
                self._looked = {key: first.env.get(key) for key in said["looked"] if key not in ("PYTHONPATH", _LENT)}
                return True
            apart |= set(said["touched"])
            await asyncio.to_thread(server.close)
        return False


def _imported(file: Path) -> list[str]:
    """The names that the first start imported, in order, each once."""
    return list(dict.fromkeys(file.read_text(encoding="utf-8", errors="replace").splitlines()))


def _own_names(env: Mapping[str, str]) -> set[str]:
    """The names of modules in the target's own import folders."""
    found: set[str] = set()
    for folder in own_folders(env):
        with contextlib.suppress(OSError):
            found |= {entry.name.partition(".")[0] for entry in folder.iterdir()}
    return found


def _settings_of(env: Mapping[str, str]) -> dict[str, str]:
    """What the interpreter and the loader read before any code runs."""
    return {
        name: value for name, value in env.items()
        if name.startswith(("PYTHON", "LD_", "DYLD_", "LC_", "LANG", "TZ")) and name != "PYTHONPATH"
    }  # fmt: skip

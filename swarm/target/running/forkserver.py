"""A process of the target's own interpreter that has imported its libraries and forks a child for each start.

What runs in it is inject/forkserver.py.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.target.processes.boundedlog import BoundedLog
from swarm.target.processes.children import Child, adopt, marks, spawn
from swarm.target.running.environment import INJECT

IMPORTS = "SWARM_IMPORTS"
_CHANNEL = "SWARM_FORKSERVER"
_LENGTH = struct.Struct("!I")
_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Start:
    """A start of a program. `differing` are the variables whose values another start may not share."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    differing: frozenset[str]


def own_folders(env: Mapping[str, str]) -> list[Path]:
    """The import folders that a start adds to the interpreter's."""
    written = (Path(entry) for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry)
    return [folder for folder in written if folder != INJECT]


class ForkServer:
    """A fork server and the channel to it."""

    def __init__(self, child: Child, channel: socket.socket) -> None:
        self.child = child
        self._channel = channel
        self._lock = threading.Lock()

    @classmethod
    def started(cls, argv: Sequence[str], env: Mapping[str, str], folder: Path) -> ForkServer:
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
        data = _LENGTH.pack(len(data)) + data
        with self._lock:
            self._channel.settimeout(within_s)
            sent = socket.send_fds(self._channel, [data], descriptors)
            self._channel.sendall(data[sent:])
            return json.loads(self._exactly(_LENGTH.unpack(self._exactly(_LENGTH.size))[0]))

    def fork(self, start: Start, log: Path) -> Child:
        """A child that goes on as if it had just been started. Raises OSError."""
        env = marks(start.env)
        reading, writing = os.pipe()
        try:
            path = [str(folder) for folder in own_folders(start.env)]
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

    def __init__(self, pid: int, server: ForkServer) -> None:
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

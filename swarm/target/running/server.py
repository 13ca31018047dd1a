"""Starts the target's server on a copy, waits until it answers, and ends it with all that it started."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.config.schema import Target
from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace
from swarm.core.ports import CommandLimits
from swarm.target.processes import procfs
from swarm.target.processes.children import Child
from swarm.target.processes.procfs import Listener
from swarm.target.running.commandline import check_port, command_line
from swarm.target.running.environment import GUARD, child_environment, control_folder
from swarm.target.running.forkserver import Start
from swarm.target.running.sandbox import ProcessLimits
from swarm.target.running.start_failure import ADDRESS_IN_USE, describe_start_failure, last_lines
from swarm.target.running.starts import REDIRECT, Tries, differing
from swarm.target.tree.copies import SETUP_DONE, Copy

_ATTEMPTS = 4
_HOSTS = ("127.0.0.1", "::1")
_SETUP_TIMEOUT_S = 120.0
_CONNECT_S = 0.2
_PORTS = range(20_000, 32_000)  # below the ports that the kernel gives to outgoing connections


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers. `tmp` is what {tmp} was."""

    base_url: str
    port: int
    pid: int
    tmp: Path
    child: Child

    def log_text(self) -> str:
        """What it wrote to stdout and stderr, bounded."""
        return self.child.log_text()

    def rss_bytes(self) -> int:
        """Resident memory of all its processes."""
        return self.child.rss_bytes()

    def cpu_s(self) -> float:
        """CPU seconds used by all its processes."""
        return self.child.cpu_s()

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.child.alive()

    def refused_egress(self) -> tuple[str, ...]:
        """`host:port` of the connections beyond loopback that it tried, in order, each once."""
        try:
            lines = (control_folder(self.tmp) / "egress.log").read_text(encoding="utf-8").splitlines()
        except OSError:
            return ()
        return tuple(dict.fromkeys(lines))

    def kill(self) -> None:
        """End it and all that it started at once, as a crash would. It may be started again on the same `tmp`."""
        self.child.kill()

    async def stop(self) -> None:
        """End it and all that it started; its port is free afterwards."""
        await self.child.stop()


async def start_server(
    place: TargetPlace,
    copy: Copy,
    target: Target,
    *,
    upstream_env: Mapping[str, str],
    inject: Sequence[Path] = (),
    extra_env: Mapping[str, str] = {},
    tmp: Path,
    deadline_s: float | None = None,
    exact: bool = False,
) -> RunningServer:
    """Start the target on a free port of loopback and wait until its health answers.

    Where `health` is null any HTTP answer on `/` will do. `tmp` may be that of a server that has ended. With `exact`
    it is never started by a fork, so that its memory is all its own. Raises TargetError with the log's last lines
    where it does not start within `deadline_s`, the target's own `start_seconds` where that is None.
    """
    within_s = target.start_seconds if deadline_s is None else deadline_s
    check_port(target, place)
    tmp.mkdir(parents=True, exist_ok=True)
    extra = {**upstream_env, **extra_env, "SWARM_INJECT": os.pathsep.join(map(str, inject))}
    await _set_up_once(place, copy, target, tmp, extra)
    tries = Tries(place, fork=not exact and set(inject) <= {GUARD, REDIRECT})
    for attempt in range(_ATTEMPTS):
        port = free_port()
        env = child_environment(place, copy, target, tmp, port, extra)
        argv = command_line(target.start, place, tmp=tmp, port=port)
        log = control_folder(tmp) / f"server-{attempt}-{port}.log"
        start = Start(tuple(argv), copy.cwd, env, differing(env, (tmp, copy.workspace, port), extra))
        child = await tries.begin(start, log)
        try:
            host, reason = await _wait_until_up(child, port, target.health, within_s)
        except BaseException:
            child.kill()
            raise
        if host:
            tries.is_up()
            shown = f"[{host}]" if ":" in host else host
            return RunningServer(f"http://{shown}:{port}", port, child.pid, tmp, child)
        await child.stop(grace_s=0.5)
        if tries.may_come_up_unforked():
            continue
        if not (ADDRESS_IN_USE.search(child.log_text()) and attempt + 1 < _ATTEMPTS):
            raise _not_started(place, child.log_text().replace(f"{copy.cwd}/", ""), reason)
    raise TargetError(f"target {place.name} does not start: every port that was tried was taken meanwhile")


def free_port() -> int:
    """A port of loopback that nobody listens on right now."""
    for _ in range(200):
        port = random.choice(_PORTS)
        if can_bind(port):
            return port
    with socket.socket() as anywhere:
        anywhere.bind(("127.0.0.1", 0))
        return int(anywhere.getsockname()[1])


def can_bind(port: int) -> bool:
    """Whether a loopback port is free at this moment."""
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _set_up_once(place: TargetPlace, copy: Copy, target: Target, tmp: Path, extra: Mapping[str, str]) -> None:
    """Run `setup` once for a copy; where it can touch what is fresh at every start, once for each.

    Fresh are {tmp}, and a database that an upstream's program serves.
    """
    if target.setup is None:
        return
    served = any(upstream.start and not upstream.url.startswith("http") for upstream in target.upstreams)
    per_tmp = served or any("{tmp}" in text for text in (target.setup, *target.env.values()))
    done = (control_folder(tmp) if per_tmp else copy.workspace) / SETUP_DONE
    if done.exists():
        return
    argv = command_line(target.setup, place, tmp=tmp, port=None)
    env = child_environment(place, copy, target, tmp, None, extra)
    result = await ProcessLimits().run(argv, copy.cwd, env, CommandLimits(timeout_s=_SETUP_TIMEOUT_S))
    if result.exit_code != 0:
        how = f"was ended by its {result.ended_by} limit" if result.ended_by else f"exits {result.exit_code}"
        why = describe_start_failure(result.output)
        raise TargetError(f"target {place.name}: setup {target.setup!r} {how}: {why}\n{last_lines(result.output)}")
    done.touch()


async def _wait_until_up(child: Child, port: int, health: str | None, deadline_s: float) -> tuple[str | None, str]:
    """The host that answers, or None and what was seen instead."""
    deadline = time.monotonic() + deadline_s
    path = "/" + (health or "").lstrip("/")
    seen = "nothing listened on its port"
    pause_s = 0.02
    while time.monotonic() < deadline:
        if not child.alive():
            return None, f"it ended with exit code {child.exit_code}"
        # who listens is asked only once somebody does: a whole /proc is read for that
        listener = procfs.listener(port, child.pids) if _is_listened_on(port) else Listener.NOBODY
        if listener is Listener.STRANGER:
            seen = f"port {port} is held by another program"
        elif listener is not Listener.NOBODY:
            for host in _HOSTS:
                status = await _status(host, port, path, min(5.0, deadline_s))
                if status is not None and (health is None or status < 500):
                    return host, ""
                if status is not None:
                    seen = f"{path} answers {status}"
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.3, 0.1)
    return None, f"{seen} within {deadline_s:g} s"


def _is_listened_on(port: int) -> bool:
    """Whether a connection can be had; loopback tells at once."""
    for host in _HOSTS:
        try:
            with socket.create_connection((host, port), timeout=_CONNECT_S):
                return True
        except TimeoutError:
            return True  # too many wait to be taken: somebody listens
        except OSError:
            continue
    return False


async def _status(host: str, port: int, path: str, timeout_s: float) -> int | None:
    """The status of a GET; None where there is no HTTP answer."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            words = (await reader.readline()).split()
    except (OSError, TimeoutError, ValueError):
        return None
    finally:
        if writer is not None:
            writer.close()
    if len(words) >= 2 and words[0].startswith(b"HTTP/") and words[1].isdigit():
        return int(words[1])
    return None


def _not_started(place: TargetPlace, log: str, reason: str) -> TargetError:
    told = describe_start_failure(log) if "answers" not in reason else ""
    slow = " (a slow one gets more by `start_seconds`)" if " within " in reason and not told else ""
    text = f"target {place.name} does not start: {reason}{slow}{'; ' + told if told else ''}"
    return TargetError(f"{text}\n{last_lines(log)}" if log.strip() else text)

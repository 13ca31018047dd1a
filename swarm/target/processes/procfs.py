"""Reads /proc: who lives, in which session, with what memory and CPU, and who listens on a port.

Where there is no /proc every answer is empty, and callers fall back on what they know of their own children.
"""

# ruff: noqa: PTH115, PTH208 - /proc is read whole and often, and os is several times as fast here

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SCHEDULED = 2  # with the pid: the kernel's number of a process's CPU clock (clock_getcpuclockid)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """One process. `started_ticks` and the pid name it beyond reuse; `cpu_s` includes ended children."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    cpu_s: float
    started_ticks: int
    rss_bytes: int


def read_stat(pid: int) -> ProcessStat | None:
    """What /proc/PID/stat says; None where there is no such process."""
    fields = _stat_fields(pid)
    if fields is None:
        return None
    return ProcessStat(
        pid=pid,
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        cpu_s=_own_cpu_s(pid, fields) + sum(int(field) for field in fields[13:15]) / _TICKS_PER_S,
        started_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def _stat_fields(pid: int | str, first: int = -1) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on, or the first so many and the rest unparted."""
    try:
        file = os.open(f"{PROC}/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        text = os.read(file, 4096)
    except OSError:  # it ended just now
        return None
    finally:
        os.close(file)
    return text[text.rindex(b")") + 2 :].decode("ascii", "replace").split(maxsplit=first)


def _own_cpu_s(pid: int, fields: list[str]) -> float:
    """CPU time of all threads, ended ones too: by the process's own clock, in nanoseconds, where it can be read.

    /proc counts in ticks of 10 ms, which is too coarse for a few requests.
    """
    try:
        return time.clock_gettime((~pid << 3) | _SCHEDULED)
    except OSError:
        return sum(int(field) for field in fields[11:13]) / _TICKS_PER_S


def all_stats() -> Iterator[ProcessStat]:
    """Every process that can be seen."""
    try:
        names = os.listdir(PROC)
    except OSError:
        return
    for name in names:
        if name.isdigit() and (stat := read_stat(int(name))) is not None:
            yield stat


def family(leader: int) -> list[ProcessStat]:
    """The living processes of the leader's session and group, and all their descendants."""
    parents: dict[int, int] = {}
    chosen: set[int] = set()
    for pid, (state, parent, group, session) in _ties():
        if state not in "ZX":
            parents[pid] = parent
            if leader in (pid, session, group):
                chosen.add(pid)
    grew = True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in chosen} - chosen
        chosen |= more
        grew = bool(more)
    stats = (read_stat(pid) for pid in sorted(chosen))
    return [stat for stat in stats if stat is not None and stat.state not in "ZX"]


def _ties() -> Iterator[tuple[int, tuple[str, int, int, int]]]:
    """State, parent, group and session of every process that can be seen: all that tells whose it is."""
    try:
        names = os.listdir(PROC)
    except OSError:
        return
    for name in names:
        if name.isdigit() and (fields := _stat_fields(name, 4)) is not None:
            yield int(name), (fields[0], int(fields[1]), int(fields[2]), int(fields[3]))


def is_alive(pid: int, started_ticks: int) -> bool:
    """Whether exactly this process lives (a zombie does not)."""
    stat = read_stat(pid)
    return stat is not None and stat.started_ticks == started_ticks and stat.state not in "ZX"


def variables_of(pid: int, *names: str) -> dict[str, str]:
    """Those of the named variables that a process was started with; none where they may not be read.

    Everybody's are looked at to find one's own, so no environment is taken apart.
    """
    try:
        raw = b"\0" + (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    found = {}
    for name in names:
        _, there, rest = raw.partition(f"\0{name}=".encode())
        if there:
            found[name] = rest.partition(b"\0")[0].decode("utf-8", "replace")
    return found


def working_folder(pid: int) -> str:
    """A process's current folder; "" where it may not be read."""
    try:
        return os.readlink(PROC / str(pid) / "cwd")
    except OSError:
        return ""


def pid_namespace() -> str:
    """Names the set of pids that this process sees; pids of another set mean nothing here."""
    try:
        return os.readlink(PROC / "self" / "ns" / "pid")
    except OSError:
        return ""


class Listener(Enum):
    """Who holds the listening socket of a port."""

    NOBODY = "nobody"
    OURS = "ours"
    STRANGER = "stranger"
    UNKNOWN = "unknown"


def listener(port: int, pids: Callable[[], set[int]]) -> Listener:
    """Who listens on `port`: nobody, one of `pids`, somebody else, or unknown where /proc does not tell."""
    inodes = _listening_inodes(port)
    if not inodes:
        return Listener.UNKNOWN if inodes is None else Listener.NOBODY
    wanted = {f"socket:[{inode}]" for inode in inodes}
    hidden = False
    for pid in pids():
        folder = PROC / str(pid) / "fd"
        try:
            for name in os.listdir(folder):
                with contextlib.suppress(FileNotFoundError):
                    if os.readlink(folder / name) in wanted:
                        return Listener.OURS
        except PermissionError:
            hidden = True
        except OSError:
            continue
    return Listener.UNKNOWN if hidden else Listener.STRANGER


def _listening_inodes(port: int) -> set[str] | None:
    found: set[str] = set()
    readable = False
    for name in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        readable = True
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found if readable else None

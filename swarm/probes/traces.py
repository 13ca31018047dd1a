"""Where something that was sent lies afterwards: a search for its bytes in all that the service wrote."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path

from swarm.probes.probe import ProbeContext
from swarm.target.running.environment import control_folder

_MAX_FILES = 200
_MAX_BYTES = 64 * 1024 * 1024
_SETTLE_S, _SETTLED_WITHIN_S = 0.15, 3.0
_ASK_AGAIN_S = 0.15
LATER_S = 2.5


async def settled(context: ProbeContext, calm_s: float = _SETTLE_S) -> None:
    """Await work that goes on after the answer: no upstream call in flight or begun for `calm_s`, then a moment."""
    quiet = getattr(context.upstreams, "quiet", None)
    if quiet is not None:
        await quiet(calm_s, _SETTLED_WITHIN_S)
    await asyncio.sleep(_SETTLE_S)


async def until(holds: Callable[[], Awaitable[bool]], within_s: float | None = None) -> bool:
    """Whether something holds within a time: work that a service does after its answer takes a while to show."""
    deadline_s = time.monotonic() + (LATER_S if within_s is None else within_s)
    while not await holds():
        if time.monotonic() >= deadline_s:
            return False
        await asyncio.sleep(_ASK_AGAIN_S)
    return True


def files_holding(context: ProbeContext, needles: Collection[str]) -> dict[str, tuple[str, ...]]:
    """By file below the service's scratch folder (the captured log left out), the needles that it holds."""
    found: dict[str, tuple[str, ...]] = {}
    root = Path(context.server.tmp)
    for file in written_files(root):
        try:
            content = file.read_bytes()
        except OSError:
            continue
        here = tuple(needle for needle in needles if needle.encode() in content)
        if here:
            found[file.relative_to(root).as_posix()] = here
    return found


def held(found: dict[str, tuple[str, ...]]) -> frozenset[str]:
    """All needles that some file holds."""
    return frozenset(needle for here in found.values() for needle in here)


def written_files(root: Path) -> Iterable[Path]:
    """The files below a service's scratch folder that are its own, at most 200, none of them huge."""
    hidden = control_folder(root)
    count = 0
    for file in sorted(root.rglob("*")):
        # swarm's own captures lie right in the control folder; the service's home and state lie in folders below it
        if file.parent == hidden or file.is_symlink():
            continue
        try:
            about = file.stat()
        except OSError:
            continue
        if stat.S_ISREG(about.st_mode) and about.st_size <= _MAX_BYTES:
            count += 1
            yield file
        if count >= _MAX_FILES:
            return

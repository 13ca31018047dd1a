"""Work that goes on behind an answer: waits until it is over, and finds whether a failed event was kept."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from swarm.target.replay.stored_state import copied, sqlite_files
from swarm.target.upstream.calls import UpstreamCall
from swarm.target.upstream.known_work import KnownWork, kinds_of
from swarm.target.upstream.upstreams import Upstreams
from swarm.target.volatile import parse_body

_LIMIT_S = 3.0
_PATIENCE_S = 0.4
_RETRY_PAUSE_S = 1.6  # what fails behind the answer may be tried again after pauses, on a busy machine late
_SLACK_S = 0.06
_SETTLED_S = 0.12
_SHORTEST_LEAF = 3


async def wait_for_work(
    upstreams: Upstreams, known: KnownWork | None, calls: Callable[[], Sequence[UpstreamCall]], began_s: float,
    status: int = 0,
) -> bool:  # fmt: skip
    """Wait until what a request caused is over; False where its calls do not come to an end.

    Where the answer came sooner than the original's, or before writes that the original made, the work may go on
    behind it: pauses between its calls, as long as the original's, are then no sign of its end. So does a good
    answer (`status`) to what failed in the original: that may have been quick to fail.
    """
    answered_s = time.monotonic()
    if known is None:
        return await _unknown_work(upstreams, calls, answered_s)
    quiet = await upstreams.quiet()
    if not quiet:
        return quiet
    is_early = answered_s - began_s < known.duration_s / 2 or (200 <= status < 300 and known.status >= 500)
    if known.writes <= kinds_of(calls()) and not is_early and not known.behind:
        return quiet
    ends_s = answered_s + _LIMIT_S
    if is_early:  # the work may take as long as it took before the answer
        await asyncio.sleep(max(0.0, min(began_s + known.duration_s, ends_s) - time.monotonic()))
    while not known.writes <= kinds_of(calls()) and time.monotonic() < ends_s:
        seen = len(calls())
        await upstreams.quiet(max(_PATIENCE_S, 3 * known.pause_s), max(0.1, ends_s - time.monotonic()))
        if len(calls()) == seen:
            break
    tail_s = _SLACK_S + 2 * (known.pause_s if known.behind else known.tail_s)
    return await upstreams.quiet(max(tail_s, _RETRY_PAUSE_S) if known.met_failure else tail_s, _LIMIT_S)


async def _unknown_work(upstreams: Upstreams, calls: Callable[[], Sequence[UpstreamCall]], answered_s: float) -> bool:
    """The same where nothing is known yet: a target may work behind its answers by itself."""
    quiet = await upstreams.quiet(_PATIENCE_S, _LIMIT_S)
    behind = [call for call in calls() if call.end_s > answered_s]
    if quiet and any(call.status >= 500 for call in behind):
        return await upstreams.quiet(_RETRY_PAUSE_S, _LIMIT_S)
    return quiet


async def settled(folder: Path, leave_out: Sequence[str], limit_s: float = _LIMIT_S) -> None:
    """Wait until no file below `folder` changes any more: rows may be written after the last call."""
    ends_s = time.monotonic() + limit_s
    before = await asyncio.to_thread(_marks, folder, leave_out)
    while time.monotonic() < ends_s:
        await asyncio.sleep(_SETTLED_S)
        now = await asyncio.to_thread(_marks, folder, leave_out)
        if now == before:
            return
        before = now


def _marks(folder: Path, leave_out: Sequence[str]) -> dict[str, tuple[int, int]]:
    marks = {}
    for file in folder.rglob("*"):
        with suppress(OSError):
            if file.relative_to(folder).parts[0] not in leave_out and file.is_file():
                about = file.stat()
                marks[str(file)] = (about.st_size, about.st_mtime_ns)
    return marks


def kept_in(folder: Path, body: bytes, leave_out: Sequence[str]) -> frozenset[str]:
    """The tables of SQLite files below `folder` (`file table`) with a row that holds all texts of a request's body.

    Rows are read as SQLite gives them: what was deleted and still lies in a free page is not kept. A body without
    texts to be known by is kept nowhere.
    """
    texts = _texts(parse_body(body))
    found: set[str] = set()
    for database in sqlite_files(folder, leave_out) if texts else ():
        with copied(database) as copy, suppress(sqlite3.DatabaseError):
            found.update(f"{database.relative_to(folder).as_posix()} {table}" for table in _tables_with(copy, texts))
    return frozenset(found)


def _texts(value: Any) -> tuple[str, ...]:
    """The body's texts that look the same wherever they are written down."""
    if isinstance(value, dict):
        return tuple(text for item in value.values() for text in _texts(item))
    if isinstance(value, list):
        return tuple(text for item in value for text in _texts(item))
    if isinstance(value, str) and len(value) >= _SHORTEST_LEAF and json.dumps(value) == f'"{value}"':
        return (value,)
    return ()


def _tables_with(file: Path, texts: Sequence[str]) -> Iterator[str]:
    with closing(sqlite3.connect(file)) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            quoted = '"' + table.replace('"', '""') + '"'
            with suppress(sqlite3.DatabaseError):
                for row in connection.execute(f"SELECT * FROM {quoted}"):
                    told = "\n".join(_told(value) for value in row)
                    if all(text in told for text in texts):
                        yield table
                        break


def _told(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

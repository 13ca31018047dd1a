"""What requests did outside: upstream writes, and rows in the SQLite files of the service's scratch folder."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from swarm.probes.kept import places_holding
from swarm.probes.payloads import read, strings
from swarm.probes.probe import Answer, Effects, ProbeContext
from swarm.probes.traces import settled

if TYPE_CHECKING:
    from swarm.target.traffic import WebhookRequest

_MAX_FILES = 10
_SETTLE_S = 0.15
_CALM_S = 0.1
_LIMIT_S = 3.5
_REST_S = 0.6


async def send_watched(context: ProbeContext, request: WebhookRequest) -> tuple[Answer, Effects]:
    """Send one request and see what it did, work that goes on after the answer included."""
    writes, rows = writes_seen(context), rows_seen(context)
    answer = await context.send(request)
    await asyncio.sleep(_SETTLE_S)
    await over(context, request)
    return answer, Effects(writes_seen(context) - writes, growth(rows, rows_seen(context)))


async def send_known(context: ProbeContext, request: WebhookRequest) -> tuple[Answer, Effects]:
    """The same for a request that should do nothing any more: where writes are seen, it counts what it does when it
    is sent once more after all has come to rest. What earlier requests left undone comes once; an effect of its own
    comes each time."""
    answer, effects = await send_watched(context, request)
    if effects.writes:
        await settled(context, _REST_S)
        answer, effects = await send_watched(context, request)
    return answer, effects


async def over(context: ProbeContext, request: WebhookRequest) -> None:
    """Wait until no call is under way, and neither calls nor rows grow any more, and while the event lies whole where
    it waits for its work: bounded. Where events lie whole for good, that is waited for once a session."""
    texts = frozenset(value for _, value in strings(read(request.body)) if value)
    ends_s = time.monotonic() + _LIMIT_S
    before = None
    while time.monotonic() < ends_s:
        await context.upstreams.quiet(_CALM_S, max(_CALM_S, ends_s - time.monotonic()))
        now = (len(context.upstreams.snapshot()), await asyncio.to_thread(rows_seen, context))
        if now == before:
            waits = texts and not context.keeps_events and await asyncio.to_thread(_lies_whole, context, texts)
            if not waits:
                return
            if time.monotonic() + _SETTLE_S >= ends_s:
                context.keeps_events = True
        before = now


def _lies_whole(context: ProbeContext, texts: frozenset[str]) -> bool:
    return any(place.holds >= texts for place in places_holding(context, texts))


def writes_seen(context: ProbeContext) -> int:
    """How many upstream writes there were so far."""
    return sum(1 for call in context.upstreams.snapshot() if call.effect == "write")


def rows_seen(context: ProbeContext) -> dict[str, int]:
    """Rows by table in every SQLite file under the service's scratch folder."""
    counts: dict[str, int] = {}
    for file in databases(Path(context.server.tmp)):
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=1.0)) as connection:
                tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                for (table,) in tables:
                    quoted = str(table).replace('"', '""')
                    count = connection.execute(f'SELECT COUNT(*) FROM "{quoted}"').fetchone()[0]
                    counts[f"{file.name}:{table}"] = int(count)
        except sqlite3.Error:
            continue
    return counts


def databases(folder: Path) -> list[Path]:
    """The SQLite files below a folder, at most ten."""
    found = []
    for file in sorted(folder.rglob("*")):
        try:
            with file.open("rb") as stream:
                if stream.read(16) == b"SQLite format 3\0":
                    found.append(file)
        except OSError:
            continue
        if len(found) == _MAX_FILES:
            break
    return found


def growth(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Tables that gained rows, and how many."""
    return {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}

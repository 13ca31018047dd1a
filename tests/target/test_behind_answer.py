"""What is waited for behind an answer, and what counts as kept."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from swarm.target.replay.behind_answer import kept_in, settled, wait_for_work
from swarm.target.upstream.calls import CallLog, UpstreamCall, effect_of
from swarm.target.upstream.known_work import KnownWork, known_work

EVENT = {"type": "order.created", "id": "9f1c-77", "lines": [{"item": "tea"}], "count": 3}
BODY = json.dumps(EVENT).encode()


def call(method: str, path: str, start_s: float, end_s: float) -> UpstreamCall:
    return UpstreamCall("crm", method, path, "", b"", 200, start_s, end_s, effect_of(method), {})


def test_what_the_original_teaches() -> None:
    calls = [call("GET", "/a/17", 10.1, 10.2), call("PUT", "/a/17", 10.6, 10.7)]
    known = known_work(calls, 10.0, 1.0, 200)
    assert known.writes == {("crm", "PUT", "/a/*")}
    assert known.pause_s == pytest.approx(0.4)
    assert known.tail_s == pytest.approx(0.3)


class Played:
    """Upstreams whose calls come at the given moments (seconds from now)."""

    def __init__(self, *calls: tuple[str, str, float]) -> None:
        self.log = CallLog()
        self._tasks = [asyncio.ensure_future(self._come(*planned)) for planned in calls]

    async def _come(self, method: str, path: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        with self.log.flight() as start_s:
            await asyncio.sleep(0.01)
            self.log.add(call(method, path, start_s, time.monotonic()))

    async def quiet(self, calm_s: float = 0.06, limit_s: float = 3.0) -> bool:
        return await self.log.quiet(calm_s, limit_s)

    def calls(self) -> Sequence[UpstreamCall]:
        return self.log.calls


async def waited(played: Played, known: KnownWork | None, status: int = 0) -> tuple[bool, float]:
    began_s = time.monotonic()
    quiet = await wait_for_work(played, known, played.calls, began_s, status)  # type: ignore[arg-type]
    return quiet, time.monotonic() - began_s


PUT_AND_POST = frozenset({("crm", "PUT", "/a"), ("crm", "POST", "/b")})


async def test_a_pause_in_the_work_is_not_its_end() -> None:
    played = Played(("PUT", "/a", 0.0), ("POST", "/b", 0.45))
    await waited(played, KnownWork(PUT_AND_POST, 0.6, 0.4, 0.0, 200))
    assert [c.method for c in played.calls()] == ["PUT", "POST"]


async def test_the_first_look_waits_for_work_that_a_target_leaves_behind_its_answers() -> None:
    played = Played(("PUT", "/a", 0.2), ("PUT", "/a", 0.5))
    began_s = time.monotonic()
    await waited(played, None)
    assert [c.method for c in played.calls()] == ["PUT", "PUT"]
    known = known_work(played.calls(), began_s, 0.005, 200)
    assert known.behind
    again = Played(("PUT", "/a", 0.2), ("PUT", "/a", 0.5))
    await waited(again, known)
    assert len(again.calls()) == 2


async def test_work_without_calls_gets_the_time_that_it_took() -> None:
    _, took_s = await waited(Played(), KnownWork(frozenset(), 0.5, 0.5, 0.5, 200))
    assert took_s >= 0.5


async def test_writes_that_never_come_are_not_waited_for_long() -> None:
    quiet, took_s = await waited(Played(("PUT", "/a", 0.0)), KnownWork(PUT_AND_POST, 0.2, 0.05, 0.0, 200))
    assert quiet
    assert took_s < 2.0


async def test_who_answers_after_the_work_is_not_kept_waiting() -> None:
    played = Played(("PUT", "/a", 0.0), ("POST", "/b", 0.0))
    await asyncio.sleep(0.05)
    _, took_s = await waited(played, KnownWork(PUT_AND_POST, 0.0, 0.4, 0.4, 200))
    assert took_s < 0.2


async def test_a_good_answer_to_what_failed_quickly_has_its_retries_behind_it() -> None:
    quick_to_fail = KnownWork(frozenset(), 0.0, 0.0, 0.0, 502, met_failure=True)
    played = Played(("GET", "/a", 0.0), ("GET", "/a", 0.3))
    await waited(played, quick_to_fail, 200)
    assert len(played.calls()) == 2
    _, took_s = await waited(Played(("GET", "/a", 0.0)), quick_to_fail, 502)
    assert took_s < 0.5, "an answer that failed as well came after its work"


async def test_rows_that_are_still_written_are_waited_for(tmp_path: Path) -> None:
    async def write() -> None:
        for number in range(4):
            (tmp_path / "data.txt").write_text("x" * number)
            await asyncio.sleep(0.05)

    writing = asyncio.ensure_future(write())
    await settled(tmp_path, ())
    assert writing.done()


def store(folder: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "work.db")) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement, values in statements:
            connection.execute(statement, values)


def test_a_row_with_the_whole_event_keeps_it(tmp_path: Path) -> None:
    store(
        tmp_path / "state",
        ("CREATE TABLE jobs (arguments TEXT)", ()),
        ("CREATE TABLE parts (id TEXT)", ()),
        ("INSERT INTO jobs VALUES (?)", (json.dumps([EVENT]),)),
        ("INSERT INTO parts VALUES (?)", (EVENT["id"],)),
    )
    assert kept_in(tmp_path, BODY, ()) == {"state/work.db jobs"}
    assert kept_in(tmp_path, BODY, ("state",)) == frozenset()
    assert kept_in(tmp_path, json.dumps({**EVENT, "id": "another"}).encode(), ()) == frozenset()


def test_a_deleted_row_and_a_line_of_a_log_keep_nothing(tmp_path: Path) -> None:
    store(
        tmp_path,
        ("CREATE TABLE jobs (arguments TEXT)", ()),
        ("INSERT INTO jobs VALUES (?)", (json.dumps([EVENT]),)),
        ("DELETE FROM jobs", ()),
    )
    (tmp_path / "service.log").write_text(f"failed: {EVENT}\n")
    assert kept_in(tmp_path, BODY, ()) == frozenset()
    assert kept_in(tmp_path, b'{"count": 3}', ()) == frozenset()

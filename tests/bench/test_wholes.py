"""Requests seen to their end: pairs of the same request, failing calls, writes that must have come."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest

from swarm.bench.watched import CALM_S, Watched, Whole
from swarm.bench.wholes import WritesByKind, compare_wholes, failing_share, successful_writes
from swarm.target.upstream.calls import CallLog, Effect, UpstreamCall
from swarm.target.upstream.view import View


def call(status: int = 200, effect: Effect = "write") -> UpstreamCall:
    return UpstreamCall("crm", "PUT", "/x", "", b"", status, 1.0, 1.1, effect, {})


def whole(number: int, whole_ms: float, *, ok: bool = True, calls: int = 0) -> Whole:
    return Whole(number, 200 if ok else 500, ok, 5.0, whole_ms, tuple(call() for _ in range(calls)))


def test_the_same_requests_are_compared_and_failed_ones_left_out() -> None:
    before = [whole(n, 100.0 + n) for n in range(16)]
    after = [whole(n, 50.0 + n / 2, ok=n != 3) for n in range(16)]
    comparison = compare_wholes("x", before, after, seed=1)
    assert comparison.before is not None and comparison.before.n == 16
    assert comparison.after is not None and comparison.after.n == 15
    assert comparison.ratio_p50 is not None and comparison.ratio_p50.value == pytest.approx(0.5, abs=0.01)
    assert comparison.ratio_p50.change == "better"
    alone = compare_wholes("x", before, [whole(99, 1.0)], seed=1)
    assert alone.ratio_p95 is None, "no request was answered well on both sides"


def test_writes_that_never_came_are_missed() -> None:
    one, other = (0, 0), (0, 1)
    seen = [
        (one, whole(1, 9, calls=2)),
        (one, whole(2, 9, calls=3)),
        (other, whole(3, 9)),
        (other, whole(4, 9, ok=False)),
    ]
    learned = WritesByKind.learned(seen)
    assert learned.expected([one, one, other, (0, 7)]) == 2
    assert successful_writes([call(), call(500), call(effect="read")]) == 1


def at(start_s: float, path: str, status: int = 200) -> UpstreamCall:
    return UpstreamCall("crm", "PUT", path, "", b"", status, start_s, start_s + 0.1, "write", {})


def test_calls_fail_by_status() -> None:
    assert failing_share([at(1, "/a"), at(1, "/b", 404), at(1, "/c", 429), at(1, "/d", 503)]) == 0.5
    assert failing_share([]) is None


def test_a_call_that_was_repeated_counts_as_it_ended() -> None:
    repeated = [at(1, "/a", 503), at(1.3, "/a", 503), at(1.8, "/a")]
    assert failing_share([*repeated, at(1, "/b")]) == 0.0
    assert failing_share(repeated[:2]) == 1.0
    assert failing_share([at(1, "/a", 503), at(1, "/b")]) == 0.5
    assert failing_share([at(1, "/a", 503), at(9, "/a")]) == 0.5, "so much later it is another one"


async def made(log: CallLog, seconds: float, status: int = 200) -> None:
    with log.flight() as start_s:
        await asyncio.sleep(seconds)
        log.add(UpstreamCall("crm", "PUT", "/x", "", b"", status, start_s, time.monotonic(), "write", {}))


async def test_the_end_is_that_of_the_last_call_not_of_the_answer() -> None:
    log = CallLog()
    watched = Watched(cast("Any", None), View(log, {}, {}, ()))
    began_s = time.monotonic()

    async def behind() -> None:
        await made(log, 0.1)

    task = asyncio.create_task(behind())
    await asyncio.sleep(0)
    over_s = await watched.over(began_s, began_s + 0.001)
    await task
    assert 0.09 < over_s - began_s < 0.15
    later_s = time.monotonic()
    assert await watched.over(later_s, later_s + 0.002) == later_s + 0.002, "calls of before are none of its own"


@pytest.mark.parametrize("first", [503, 200])
async def test_a_call_that_failed_in_passing_may_be_made_again(first: int) -> None:
    log = CallLog()
    watched = Watched(cast("Any", None), View(log, {}, {}, ()))
    began_s = time.monotonic()

    async def with_a_retry() -> None:
        await made(log, 0.01, first)
        await asyncio.sleep(CALM_S * 3)
        await made(log, 0.01)

    task = asyncio.create_task(with_a_retry())
    await asyncio.sleep(0)
    over_s = await watched.over(began_s, began_s)
    calls = watched.calls_since(began_s)
    await task
    assert len(calls) == (2 if first == 503 else 1)
    assert over_s == calls[-1].end_s

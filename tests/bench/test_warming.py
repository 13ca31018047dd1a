"""How long a server is warmed: a time, and on while it still learns what repeats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import chain, count, repeat
from pathlib import Path

import pytest

from swarm.bench import warming
from swarm.bench.warming import steady, warm_up
from swarm.config.schema import Target, Webhook
from swarm.target.traffic import Traffic

FALLING = [16, 16, 12, 12, 9, 9, 7, 7, 5, 5, 4, 4, 3, 3, 2, 2]


def test_calls_that_fall_are_not_steady_and_those_that_stay_are() -> None:
    assert not steady(FALLING, 8)
    assert steady([*FALLING, *[2] * 16], 8)
    assert steady([3, 2, 3, 3, 2, 3, 3, 2] * 2, 8), "chance is no fall"
    assert steady([0] * 16, 8), "a service that asks nobody"
    assert not steady([3] * 15, 8), "too few to tell"


class Quiet:
    """A server that answers at once and makes as many calls a wave as it is told."""

    base_url = "http://127.0.0.1:9"

    def __init__(self, calls: Iterator[int]) -> None:
        self.server, self._calls = self, calls

    async def over(self, began_s: float, answered_s: float) -> float:
        await asyncio.sleep(0.001)
        return answered_s

    def calls_since(self, began_s: float) -> range:
        return range(next(self._calls))


@pytest.fixture
def traffic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Traffic:
    async def sent(*_: object) -> int:
        return 200

    monkeypatch.setattr(warming, "send", sent)
    (tmp_path / "one.json").write_text("{}", encoding="utf-8")
    target = Target(path=".", start="true", webhooks=(Webhook(path="/hook", payloads=("one.json",)),))
    return Traffic(target, tmp_path, 1)


async def test_it_goes_on_while_calls_fall_and_ends_when_they_stay(traffic: Traffic) -> None:
    calls = chain(FALLING, repeat(2))
    sent = await warm_up(Quiet(calls), traffic, 0, 0.0, 8, at_most_s=20.0)  # type: ignore[arg-type]
    assert 8 * len(FALLING) < sent <= 8 * 32


async def test_it_ends_in_time_where_calls_fall_on_and_on(traffic: Traffic) -> None:
    calls = (int(1e9 * 0.97**number) for number in count())
    began_s = time.monotonic()
    await warm_up(Quiet(calls), traffic, 0, 0.0, 1, at_most_s=0.3)  # type: ignore[arg-type]
    assert 0.3 <= time.monotonic() - began_s < 3.0
    assert await warm_up(Quiet(repeat(1)), traffic, 0, 0.0) == 1, "one wave at least"

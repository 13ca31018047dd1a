"""Steady upstreams: early answers wait for their usual time, failures are asked again, off changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from swarm.target.upstream.played import Question, Reply
from swarm.target.upstream.steady import Steady


def question(path: str = "/contacts/17") -> Question:
    return Question("GET", path, "", b"", {})


def reply(status: int = 200) -> Reply:
    return Reply(status, b"", {}, "read")


async def test_early_answers_wait_for_the_usual_time() -> None:
    steady = Steady(on=True)
    pauses = iter([0.06, 0.001, 0.001, 0.001])

    async def ask() -> Reply:
        await asyncio.sleep(next(pauses))
        return reply()

    async def took_s(path: str, fresh: bool) -> float:
        began_s = time.monotonic()
        await steady.reply("crm", question(path), fresh, ask)
        return time.monotonic() - began_s

    assert await took_s("/contacts/17", fresh=False) >= 0.05
    assert await took_s("/contacts/18", fresh=False) >= 0.05, "another id is the same route"
    assert await took_s("/contacts/17", fresh=True) < 0.05, "a connection's first call is a route of its own"
    steady.on = False
    assert await took_s("/contacts/17", fresh=False) < 0.05


async def test_what_fails_is_asked_again() -> None:
    answers: Iterator[Reply] = iter([reply(503), reply(502), reply(200), reply(500)])

    async def ask() -> Reply:
        return next(answers)

    steady = Steady(on=True)
    assert (await steady.reply("crm", question(), False, ask)).status == 200
    steady.on = False
    assert (await steady.reply("crm", question(), False, ask)).status == 500

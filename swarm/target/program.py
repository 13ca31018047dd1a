"""A started upstream program: begun when needed, its answers passed on, taped, or played from a tape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
from yarl import URL

from swarm.config.schema import Target, Upstream
from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace
from swarm.target.calls import effect_of
from swarm.target.copies import Copy
from swarm.target.environment import child_environment, command_line
from swarm.target.played import FIXED_LATENCY_S, Question, Reply
from swarm.target.processes import Child, spawn
from swarm.target.server import free_port
from swarm.target.start_failure import describe_start_failure
from swarm.target.tape import Playback, Tape

START_DEADLINE_S = 20.0
GOOD_RUN_ATTEMPTS = 5
_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "content-length", "expect", "proxy-connection",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProgramPlace:
    """Where a program runs."""

    place: TargetPlace
    copy: Copy
    target: Target
    tmp: Path


class Program:
    """One program of an upstream's `start`, on a port of its own."""

    def __init__(self, upstream: Upstream, where: ProgramPlace) -> None:
        self.name = upstream.name
        self.port = 0
        self._upstream = upstream
        self._where = where
        self._child: Child | None = None
        self._starting = asyncio.Lock()

    async def ensure(self) -> None:
        """Start it where it does not run yet. Raises TargetError where it does not come up."""
        async with self._starting:
            if self._child is None:
                await self._start()

    async def stop(self) -> None:
        """End it and all that it started."""
        child, self._child = self._child, None
        if child is not None:
            await child.stop()

    async def _start(self) -> None:
        assert self._upstream.start is not None
        folder = self._where.tmp / f"upstream-{self.name}"
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        self.port = free_port()
        command = self._upstream.start
        argv = command_line(command, self._where.place, tmp=folder, port=self.port)
        env = child_environment(self._where.place, self._where.copy, self._where.target, folder, self.port, {})
        log = self._where.tmp / f"upstream-{self.name}.log"
        self._child = spawn(argv, cwd=self._where.copy.cwd, env=env, log=log)
        deadline = time.monotonic() + START_DEADLINE_S
        while not await self._answers():
            if not self._child.alive() or time.monotonic() > deadline:
                why = describe_start_failure(self._child.log_text()) or "it opened no port"
                await self.stop()
                raise TargetError(f"upstream {self.name!r} did not start ({command}): {why}")
            await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


class ProgramPlayer:
    """Passes calls on to a program that speaks http.

    With `playback` the tape answers, after a fixed latency, and the program starts only where it holds
    nothing; with `recording` what the program says is kept. In both, a call that the program fails is made
    again: a replay must not depend on an emulator's chance.
    """

    def __init__(self, program: Program, recording: Tape | None, playback: Playback | None) -> None:
        self.program = program
        self._recording = recording
        self._playback = playback
        self._session: aiohttp.ClientSession | None = None

    async def reply(self, question: Question) -> Reply:
        """The answer of the tape or of the program."""
        if self._playback is not None:
            taped = self._playback.answer(self.program.name, question)
            if taped is not None:
                await asyncio.sleep(FIXED_LATENCY_S)
                return replace(taped, tape="played")
        attempts = GOOD_RUN_ATTEMPTS if self._recording is not None or self._playback is not None else 1
        reply = await self._pass_on(question)
        while reply.status >= 500 and attempts > 1:
            attempts -= 1
            reply = await self._pass_on(question)
        if self._recording is not None:
            self._recording.record(self.program.name, question, reply)
        return replace(reply, tape="missed") if self._playback is not None else reply

    async def close(self) -> None:
        """Free the connections and end the program."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self.program.stop()

    async def _pass_on(self, question: Question) -> Reply:
        effect = effect_of(question.method)
        try:
            await self.program.ensure()
            if self._session is None:
                connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
                self._session = aiohttp.ClientSession(
                    connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=120),
                )  # fmt: skip
            address = question.path + (f"?{question.query}" if question.query else "")
            async with self._session.request(
                question.method,
                _url(self.program.port, address),
                data=question.body or None,
                headers=_passed_on(question.headers),
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
                allow_redirects=False,
            ) as answer:
                body = await answer.read()
                return Reply(answer.status, body, _passed_on(answer.headers), effect)
        except (aiohttp.ClientError, TimeoutError, TargetError) as error:
            body = f"swarm: upstream {self.program.name!r} gives no answer: {error}".encode()
            return Reply(502, body, {"Content-Type": "text/plain"}, effect)


def _url(port: int, address: str) -> URL:
    # encoded=True: the target's own encoding of the path must arrive untouched
    return URL(f"http://127.0.0.1:{port}{address}", encoded=True)


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}

"""A started upstream program: begun when needed, its answers passed on, taped, or played from a tape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from swarm.config.schema import Target, Upstream
from swarm.core.errors import TargetError
from swarm.core.place import TargetPlace
from swarm.target.processes.children import Child
from swarm.target.running.commandline import command_line
from swarm.target.running.environment import child_environment
from swarm.target.running.forkserver import Start
from swarm.target.running.server import free_port
from swarm.target.running.start_failure import describe_start_failure
from swarm.target.running.starts import Tries, differing
from swarm.target.tree.copies import Copy
from swarm.target.upstream.calls import READING_METHODS, effect_of
from swarm.target.upstream.played import FIXED_LATENCY_S, Question, Reply
from swarm.target.upstream.tape import Playback, Tape
from swarm.target.wire import Line, WireError

START_DEADLINE_S = 20.0
ANSWER_S = 120.0
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
        own = (folder, self._where.copy.workspace, self.port)
        start = Start(tuple(argv), self._where.copy.cwd, env, differing(env, own))
        tries = Tries(self._where.place)
        while True:
            self._child = child = await tries.begin(start, self._where.tmp / f"upstream-{self.name}.log")
            if await self._comes_up(child):
                break
            why = describe_start_failure(child.log_text()) or "it opened no port"
            await self.stop()
            if not tries.may_come_up_unforked():
                raise TargetError(f"upstream {self.name!r} did not start ({command}): {why}")
        tries.is_up()

    async def _comes_up(self, child: Child) -> bool:
        deadline = time.monotonic() + START_DEADLINE_S
        while not await self._answers():
            if not child.alive() or time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


class ProgramPlayer:
    """Passes calls on to a program that speaks http.

    Each connection of the target has one of its own to the program, kept as long: what opening one costs there
    is paid as often as without us.

    With `playback` the tape answers, after a fixed latency, and the program starts only where it holds
    nothing; with `recording` what the program says is kept. In both, a call that the program fails is made
    again: a replay must not depend on an emulator's chance.
    """

    def __init__(self, program: Program, recording: Tape | None, playback: Playback | None) -> None:
        self.program = program
        self._recording = recording
        self._playback = playback
        self._lines: dict[object, Line] = {}

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

    def hung_up(self, connection: object) -> None:
        """Close the program's side of a connection too."""
        line = self._lines.pop(connection, None)
        if line is not None:
            line.give_up()

    async def close(self) -> None:
        """Free the connections and end the program."""
        for connection in list(self._lines):
            self.hung_up(connection)
        await self.program.stop()

    async def _pass_on(self, question: Question) -> Reply:
        effect = effect_of(question.method, None, question.path, question.body)
        try:
            await self.program.ensure()
            line = self._lines.get(question.connection)
            if line is None:
                line = self._lines[question.connection] = Line("127.0.0.1", self.program.port)
            answer = await line.ask(question.method, _message(question), ANSWER_S)
            return Reply(answer.status, answer.body, _passed_on(dict(answer.headers)), effect, closes=answer.closes)
        except (WireError, TargetError) as error:
            body = f"swarm: upstream {self.program.name!r} gives no answer: {error}".encode()
            return Reply(502, body, {"Content-Type": "text/plain"}, effect)


def _message(question: Question) -> bytes:
    """The request as it came, its path untouched, its body by length."""
    address = question.path + (f"?{question.query}" if question.query else "")
    lines = [f"{question.method} {address} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in _passed_on(question.headers).items()]
    if question.body or question.method not in READING_METHODS:
        lines.append(f"Content-Length: {len(question.body)}")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + question.body


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}

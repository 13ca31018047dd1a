"""Takes the target's calls: one http handler that finds who plays, keeps the record, and fails on demand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from aiohttp import web

from swarm.target.upstream.calls import CallLog, FaultPoint, UpstreamCall, effect_of
from swarm.target.upstream.played import FIXED_LATENCY_S, Player, Question, Reply, failure, refusal
from swarm.target.upstream.steady import Steady


@dataclass(slots=True)
class Trouble:
    """What all upstreams have at the moment: answers that are errors or garbage, and a wait before each."""

    answer: Literal["", "error", "garbage"] = ""
    wait_s: float = 0.0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Hold a call back, until the trouble is over."""
        if self.wait_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), self.wait_s)


class Reception:
    """The http side of all upstreams of one comparison."""

    def __init__(self, log: CallLog) -> None:
        self.log = log
        self.forced: tuple[FaultPoint, int] | None = None
        self.steady: Steady | None = None
        self._known: set[object] = set()  # connections that have made a call
        self.trouble = Trouble()
        self._players: dict[str, Player] = {}
        self._hosts: dict[str, str] = {}

    def add(self, name: str, player: Player, host: str | None = None) -> None:
        """Let `player` answer for an upstream, and for a host where it has one."""
        self._players[name] = player
        if host:
            self._hosts[host.lower()] = name

    def beside(self, log: CallLog, steady: Steady | None = None) -> Reception:
        """The same players with another record; `steady` can hold their answers to usual times."""
        other = Reception(log)
        other.steady = steady
        other._players, other._hosts = self._players, self._hosts
        return other

    @property
    def names(self) -> tuple[str, ...]:
        """The upstreams that are played here."""
        return tuple(self._players)

    def server_for(self, name: str) -> web.Server:
        """A server whose every request is for one upstream."""
        return self._server(lambda _: name)

    def server_by_host(self) -> web.Server:
        """A server whose requests are for the upstream of their host."""
        return self._server(lambda request: self._hosts.get(host_of(request), ""))

    def _server(self, name_of: Callable[[web.BaseRequest], str]) -> web.Server:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await self._handle(name_of(request), request)

        return _Server(handle, self._hung_up)

    def _hung_up(self, connection: object) -> None:
        self._known.discard(connection)
        for player in self._players.values():
            player.hung_up(connection)

    async def _handle(self, name: str, request: web.BaseRequest) -> web.Response:
        with self.log.flight():
            mark = self.log.mark
            body = await request.content.read()
            started_s = time.monotonic()
            path, _, query = _address(request).partition("?")
            question = Question(request.method, path, query, body, _joined(request.headers), mark, request.protocol)
            await self.trouble.wait()
            player = self._players.get(name)
            who = name or host_of(request)
            if player is None:
                reply = refusal(question, f"no upstream plays the host {who!r}")
            elif self.trouble.answer:
                reply = await self._fail(500, player, question)
                if self.trouble.answer == "garbage":
                    reply = replace(reply, status=200, body=b"<html>\x00 not what was asked for")
            elif self.forced and self.forced[0].hits(name, question.method, path):
                reply = await self._fail(self.forced[1], player, question)
            else:
                reply = await self._reply(name, player, question)
            if reply.refused:
                host = self._label(name) if name else who
                self.log.refuse(f"{request.method} {host}{path}")
            # the end is taken before the answer leaves, so that what the target does next begins after it
            self.log.add(UpstreamCall(
                who, question.method, path, query, body, reply.status, started_s, time.monotonic(),
                reply.effect, question.headers, mark, reply.tape,
            ))  # fmt: skip
        response = web.Response(status=reply.status, body=reply.body, headers=reply.headers)
        if reply.closes:
            response.force_close()
        return response

    async def _reply(self, name: str, player: Player, question: Question) -> Reply:
        if self.steady is None:
            return await player.reply(question)
        fresh = question.connection not in self._known
        self._known.add(question.connection)
        return await self.steady.reply(name, question, fresh, lambda: player.reply(question))

    async def _fail(self, status: int, player: Player, question: Question) -> Reply:
        await asyncio.sleep(FIXED_LATENCY_S)
        known = getattr(player, "effect", None)
        effect = known(question) if known else effect_of(question.method, None, question.path, question.body)
        return failure(status, effect)

    def _label(self, name: str) -> str:
        return next((host for host, owner in self._hosts.items() if owner == name), name)


class _Server(web.Server):
    """aiohttp's server, which tells when a connection ends."""

    def __init__(self, handle: Callable[..., Any], hung_up: Callable[[object], None]) -> None:
        super().__init__(handle, access_log=None)
        self._told = hung_up

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._told(handler)


def host_of(request: web.BaseRequest) -> str:
    """The host that a request is for, without its port, in small letters."""
    host = (request.host or "").lower()
    return host if host.endswith("]") else host.rpartition(":")[0] if ":" in host else host


def _address(request: web.BaseRequest) -> str:
    """Path and query as they were sent; a request to a proxy names the whole URL."""
    raw = request.raw_path
    if raw.startswith("/"):
        return raw
    return request.rel_url.raw_path_qs or "/"


def _joined(headers: Mapping[str, str]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers.items():
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined

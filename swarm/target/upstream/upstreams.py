"""Plays the systems that the target calls, on loopback: declared routes, programs, hosts in the code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from swarm.config.schema import Target, Upstream
from swarm.core.place import TargetPlace
from swarm.target.running.starts import REDIRECT
from swarm.target.tree.copies import Copy
from swarm.target.upstream.calls import CallLog, FaultPoint, UpstreamCall
from swarm.target.upstream.intercept import AUTHORITY_FILE, Front, authorities
from swarm.target.upstream.played import Latency, PlayedRoutes
from swarm.target.upstream.program import Program, ProgramPlace, ProgramPlayer
from swarm.target.upstream.reception import Reception, Trouble
from swarm.target.upstream.steady import Steady
from swarm.target.upstream.tape import Playback, Tape
from swarm.target.upstream.view import FRONT, Listening, View, listen, stop_listening


class Upstreams:
    """All upstreams of one target, running. One of them may serve several servers one after another."""

    def __init__(self, log: CallLog, reception: Reception, tmp: Path) -> None:
        self.env: dict[str, str] = {}
        self.inject: tuple[Path, ...] = (REDIRECT,)
        self.ports: dict[str, int] = {}
        self._log = log
        self._reception = reception
        self._refused_file = tmp / "refused.txt"
        self._played: list[PlayedRoutes] = []
        self._programs: list[ProgramPlayer] = []
        self._plain_programs: list[Program] = []
        self._servers: list[Listening] = []
        self._front: Front | None = None
        self._where: ProgramPlace | None = None
        self._views: list[View] = []

    @classmethod
    async def start(
        cls,
        place: TargetPlace,
        copy: Copy,
        target: Target,
        *,
        tmp: Path,
        seed: int = 0,
        tape: Tape | None = None,
        latency: Latency = "live",
        recording: bool = False,
    ) -> Upstreams:
        """Start them all. Raises TargetError where one does not come up.

        With `tape` the answers of started http programs come from it; with `recording` they go into it.
        """
        await asyncio.to_thread(tmp.mkdir, parents=True, exist_ok=True)
        log = CallLog()
        upstreams = cls(log, Reception(log), tmp)
        playback = tape.player() if tape is not None and not recording else None
        where = upstreams._where = ProgramPlace(place, copy, target, tmp)
        preferred = tape.ports if tape is not None else {}
        try:
            for upstream in target.upstreams:
                if upstream.routes or not upstream.start:
                    await upstreams._play_routes(upstream, seed, latency, preferred)
                elif upstream.url.startswith(("http://", "https://")):
                    recorder = tape if recording else None
                    await upstreams._play_program(upstream, where, recorder, playback, preferred)
                else:
                    await upstreams._run_plain(upstream, where)
            await upstreams._open_front(place.python, tmp, target, preferred)
            # a tape answers alone until it has no answer
            awaited = [] if playback else [player.program.ensure() for player in upstreams._programs]
            awaited += [program.ensure() for program in upstreams._plain_programs]
            failed = [r for r in await asyncio.gather(*awaited, return_exceptions=True) if r is not None]
            if failed:
                raise failed[0]
        except BaseException:
            await upstreams.stop()
            raise
        for upstream, program in zip(_plain(target), upstreams._plain_programs, strict=True):
            upstreams._name(upstream, program.port)
        if recording and tape is not None:
            tape.ports = dict(upstreams.ports)
        return upstreams

    @property
    def calls(self) -> list[UpstreamCall]:
        """The calls that have ended, in the order of their ends."""
        return list(self._log.calls)

    def snapshot(self) -> tuple[UpstreamCall, ...]:
        """The same, as a value."""
        return tuple(self._log.calls)

    @property
    def refused(self) -> list[str]:
        """Calls that nobody plays: `METHOD host/path`, or `CONNECT host:port` for what is not http."""
        refused = list(self._log.refused)
        if self._refused_file.is_file():
            for line in self._refused_file.read_text(encoding="utf-8", errors="replace").splitlines():
                if line not in refused:
                    refused.append(line)
        return refused

    @property
    def names(self) -> tuple[str, ...]:
        """The upstreams whose calls are seen."""
        return self._reception.names

    def mark(self, name: str) -> None:
        """Calls that begin from now on belong to `name`."""
        self._log.mark = name

    def fail(self, point: FaultPoint | None, status: int = 500) -> None:
        """Let every call at one point fail with `status`, until None lets all work again."""
        self._reception.forced = (point, status) if point else None

    @contextmanager
    def in_trouble(self, answer: Literal["", "error", "garbage"] = "", wait_s: float = 0.0) -> Iterator[None]:
        """For the block, all upstreams answer errors or garbage, or hold every call back for `wait_s`."""
        trouble = self._reception.trouble = Trouble(answer, wait_s)
        try:
            yield
        finally:
            self._reception.trouble = Trouble()
            trouble.over.set()

    def reset(self, seed: int) -> None:
        """Forget the calls, and let declared routes begin again with `seed`. Programs go on as they are."""
        self._log.calls.clear()
        self._log.refused.clear()
        self._refused_file.unlink(missing_ok=True)
        self._reception.forced = None
        for played in self._played:
            played.reset(seed)

    async def quiet(self, calm_s: float = 0.06, limit_s: float = 3.0) -> bool:
        """Wait until no call was in flight for `calm_s`; False where it did not get quiet."""
        return await self._log.quiet(calm_s, limit_s)

    async def view(self, steady: Steady | None = None) -> View:
        """The same upstreams on further ports, for one server of several whose calls are to be told apart.

        Views that share a `steady` meet the same latencies while it is on.
        """
        assert self._front is not None and self._where is not None
        log, target = CallLog(), self._where.target
        view = View(log, dict(self.env), dict(self.ports), self.inject)
        self._views.append(view)
        own = self._where.tmp / f"view-{len(self._views)}"
        await view.start_programs(_plain(target), replace(self._where, tmp=own))
        await view.open(self._reception.beside(log, steady), target.upstreams, self._front)
        return view

    async def stop(self) -> None:
        """End them all, views too. Safe to call twice."""
        for view in self._views:
            await view.close()
        if self._front is not None:
            await self._front.close()
            self._front = None
        servers, self._servers = self._servers, []
        await stop_listening(servers)
        for player in self._programs:
            await player.close()
        for program in self._plain_programs:
            await program.stop()

    async def _play_routes(
        self, upstream: Upstream, seed: int, latency: Latency, preferred: Mapping[str, int]
    ) -> None:
        played = PlayedRoutes(upstream.name, upstream.routes, seed, latency)
        self._played.append(played)
        self._reception.add(upstream.name, played, upstream.host)
        if upstream.env or not upstream.host:
            await self._listen(upstream, preferred)

    async def _play_program(
        self,
        upstream: Upstream,
        where: ProgramPlace,
        recording: Tape | None,
        playback: Playback | None,
        preferred: Mapping[str, int],
    ) -> None:
        player = ProgramPlayer(Program(upstream, where), recording, playback)
        self._programs.append(player)
        self._reception.add(upstream.name, player, upstream.host)
        await self._listen(upstream, preferred)

    async def _run_plain(self, upstream: Upstream, where: ProgramPlace) -> None:
        self._plain_programs.append(Program(upstream, where))

    async def _listen(self, upstream: Upstream, preferred: Mapping[str, int]) -> None:
        server = self._reception.server_for(upstream.name)
        listening, port = await listen(server, preferred.get(upstream.name, 0))
        self._servers.append((listening, server))
        self._name(upstream, port)

    def _name(self, upstream: Upstream, port: int) -> None:
        self.ports[upstream.name] = port
        self.env.update(upstream.variables(port))

    async def _open_front(self, python: Path, tmp: Path, target: Target, preferred: Mapping[str, int]) -> None:
        """The port for hosts that the code names itself, also where agents.yaml declares none."""
        authority, bundle = await asyncio.to_thread(authorities(tmp).of, python)
        hosts = [upstream.host.lower() for upstream in target.upstreams if upstream.host]
        server = self._reception.server_by_host()
        self._front = Front(server, authority.context_by_name())
        self._front.open(preferred.get(FRONT, 0))
        self._servers.append((None, server))
        self.ports[FRONT] = self._front.port
        self.env |= {
            "SSL_CERT_FILE": str(bundle),
            "REQUESTS_CA_BUNDLE": str(bundle),
            "CURL_CA_BUNDLE": str(bundle),
            "SWARM_CA_FILE": str(bundle.with_name(AUTHORITY_FILE)),
            "SWARM_REDIRECT_PORT": str(self._front.port),
            "SWARM_REDIRECT_HOSTS": " ".join(hosts),
            "SWARM_REFUSED_FILE": os.fspath(self._refused_file),
        }


def _plain(target: Target) -> list[Upstream]:
    """Started upstreams that do not speak http: they run, and their calls are not seen."""
    return [
        upstream for upstream in target.upstreams
        if upstream.start and not upstream.routes and not upstream.url.startswith(("http://", "https://"))
    ]  # fmt: skip

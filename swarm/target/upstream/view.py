"""The same upstreams on ports of one server's own, with a record of its own: several servers, told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiohttp import web

from swarm.config.schema import Upstream
from swarm.core.errors import TargetError
from swarm.target.upstream.calls import CallLog, UpstreamCall
from swarm.target.upstream.intercept import Front
from swarm.target.upstream.program import Program, ProgramPlace
from swarm.target.upstream.reception import Reception

FRONT = "(hosts)"
Listening = tuple[asyncio.AbstractServer | None, web.Server]


class View:
    """What one of several servers that share upstreams needs: its environment, and the calls that it makes.

    Programs that don't speak http (a cache, a database) are started anew for each view: what one server leaves
    in them must not serve another.
    """

    def __init__(self, log: CallLog, env: dict[str, str], ports: dict[str, int], inject: tuple[Path, ...]) -> None:
        self.log = log
        self.env = env
        self.ports = ports
        self.inject = inject
        self._servers: list[Listening] = []
        self._front: Front | None = None
        self._programs: tuple[Program, ...] = ()

    async def start_programs(self, plain: Sequence[Upstream], where: ProgramPlace) -> None:
        """Start the programs that this view has for itself. Raises TargetError where one does not come up."""
        self._programs = tuple(Program(upstream, where) for upstream in plain)
        await asyncio.gather(*(program.ensure() for program in self._programs))
        for upstream, program in zip(plain, self._programs, strict=True):
            self._name(upstream, program.port)

    async def open(self, reception: Reception, upstreams: Sequence[Upstream], front: Front) -> None:
        """Listen for the upstreams whose calls are seen, and for hosts that the code names."""
        for upstream in upstreams:
            if upstream.name in reception.names and (upstream.env or not upstream.host):
                server = reception.server_for(upstream.name)
                listening, port = await listen(server, 0)
                self._servers.append((listening, server))
                self._name(upstream, port)
        server = reception.server_by_host()
        self._front = front.beside(server)
        self._front.open()
        self._servers.append((None, server))
        self.ports[FRONT] = self._front.port
        self.env["SWARM_REDIRECT_PORT"] = str(self._front.port)

    def _name(self, upstream: Upstream, port: int) -> None:
        self.ports[upstream.name] = port
        self.env.update(upstream.variables(port))

    @property
    def calls(self) -> Sequence[UpstreamCall]:
        """The calls that have ended, in the order of their ends."""
        return self.log.calls

    async def quiet(self, calm_s: float = 0.06, limit_s: float = 3.0) -> bool:
        """Wait until no call was in flight for `calm_s`; False where it did not get quiet."""
        return await self.log.quiet(calm_s, limit_s)

    async def close(self) -> None:
        """Stop listening. Safe to call twice."""
        front, self._front = self._front, None
        if front is not None:
            await front.close()
        servers, self._servers = self._servers, []
        await stop_listening(servers)
        for program in self._programs:
            await program.stop()


async def listen(server: web.Server, wanted: int) -> tuple[asyncio.AbstractServer, int]:
    """Listen on loopback: on the wanted port where it is free, else on any (always where it is 0); the port it is.

    Raises TargetError where none is free.
    """
    loop = asyncio.get_running_loop()
    try:
        listening = await loop.create_server(server, "127.0.0.1", wanted, backlog=512)
    except OSError:
        if not wanted:
            raise TargetError("no free loopback port for the upstreams") from None
        listening = await loop.create_server(server, "127.0.0.1", 0, backlog=512)
    return listening, int(listening.sockets[0].getsockname()[1])


async def stop_listening(servers: Sequence[Listening]) -> None:
    """End servers and their connections."""
    for listening, _ in servers:
        if listening is not None:
            listening.close()
    await asyncio.gather(*(server.shutdown(timeout=0.2) for _, server in servers))


def renamed(ports: Mapping[str, int]) -> dict[str, str]:
    """What traces call an upstream: by its name in place of its address."""
    return {f"127.0.0.1:{port}": name for name, port in ports.items()}

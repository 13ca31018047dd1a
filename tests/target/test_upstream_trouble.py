"""Upstreams in trouble: they hold calls back, or answer errors and garbage, and then are well again."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from swarm.config.schema import UpstreamRoute
from swarm.target.upstream.calls import CallLog
from swarm.target.upstream.played import PlayedRoutes
from swarm.target.upstream.reception import Reception, Trouble


async def test_trouble_comes_and_goes() -> None:
    reception = Reception(CallLog())
    reception.add("crm", PlayedRoutes("crm", [UpstreamRoute(path="/a", json={"ok": True})], 7, "fixed"))  # type: ignore[call-arg]
    server = await asyncio.get_running_loop().create_server(reception.server_for("crm"), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
    try:
        async with aiohttp.ClientSession() as session:

            async def ask() -> tuple[int, str]:
                async with session.get(url) as answer:
                    return answer.status, await answer.text(errors="replace")

            reception.trouble = Trouble("error")
            assert (await ask())[0] == 500
            reception.trouble = Trouble("garbage")
            status, text = await ask()
            assert status == 200 and "not what was asked for" in text
            trouble = reception.trouble = Trouble(wait_s=5.0)
            held = asyncio.create_task(ask())
            await asyncio.sleep(0.15)
            assert not held.done()
            began_s = time.monotonic()
            trouble.over.set()
            assert (await held)[0] == 200
            assert time.monotonic() - began_s < 1.0
            reception.trouble = Trouble()
            assert await ask() == (200, '{"ok": true}')
    finally:
        server.close()

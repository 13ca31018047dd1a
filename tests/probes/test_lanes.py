"""Lanes: probes side by side, each lane on a service of its own, with nothing lost where there is none."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from swarm.core.errors import TargetError
from swarm.probes import run
from swarm.probes.probe import Apart, Probe, ProbeContext, ProbeResult
from swarm.probes.run import NO_CONTROL, run_probes
from swarm.target.traffic import Traffic
from tests.probes.people_desk import target


class _Service:
    """Takes everything; tells who asked for what."""

    def __init__(self, name: str, status: int = 200) -> None:
        self.name, self.status, self.tmp = name, status, Path("/nonexistent")
        self.bodies: list[bytes] = []

    def snapshot(self) -> tuple[object, ...]:
        return ()

    async def quiet(self, calm_s: float = 0.0, limit_s: float = 0.0) -> bool:
        return True


class _Asking(Probe):
    """Says which service it asked."""

    severity = "low"
    recommendation = "none"

    async def run(self, context: ProbeContext) -> ProbeResult:
        await context.call("GET", f"/{self.id}")
        return self.passed(context.base_url)


class _First(_Asking):
    id, title, order = "T1", "first", 1


class _Apart(_Asking):
    id, title, order, lane = "T2", "apart", 2, "other"


class _MeetsFirst(_Asking):
    """Ends only when its lane's neighbour was begun: lanes that wait for each other would never end."""

    id, title, order, lane = "T3", "meets", 3, "third"


class _Back(_Asking):
    id, title, order, looks_back = "T4", "back", 0, True

    async def run(self, context: ProbeContext) -> ProbeResult:
        asked = sorted(answer.path for answer in context.answers if answer.method == "GET")
        return self.passed(f"{asked} in {len(context.everywhere())} services")


PROBES = (_Back(), _First(), _Apart(), _MeetsFirst())


def _context(service: _Service, client: httpx.AsyncClient, start_apart: Any = None) -> ProbeContext:
    return ProbeContext(
        base_url=f"http://{service.name}", target=target(), traffic=Traffic(target(), Path(), 7), client=client,
        server=cast("Any", service), upstreams=cast("Any", service), number=itertools.count(40),
        start_apart=start_apart,
    )  # fmt: skip


async def _run(
    monkeypatch: pytest.MonkeyPatch, apart: Callable[[int], _Service] | None, status: int = 200
) -> tuple[tuple[ProbeResult, ...], dict[str, list[bytes]]]:
    """The results, and the webhooks that each service got."""
    monkeypatch.setattr(run, "all_probes", lambda: PROBES)
    statuses, hooks, starts = {"session": status}, {"session": list[bytes]()}, itertools.count(1)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            hooks[request.url.host].append(request.content)
        return httpx.Response(statuses[request.url.host])

    @asynccontextmanager
    async def start() -> AsyncIterator[Apart]:
        assert apart is not None
        service = apart(next(starts))
        statuses[service.name], hooks[service.name] = service.status, []
        server = cast("Any", SimpleNamespace(base_url=f"http://{service.name}", tmp=service.tmp))
        yield Apart(server, cast("Any", service), cast("Any", None), cast("Any", None))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        context = _context(_Service("session", status), client, start if apart is not None else None)
        return await asyncio.wait_for(run_probes(context), 20), hooks


async def test_each_lane_asks_a_service_of_its_own_and_the_results_keep_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results, hooks = await _run(monkeypatch, lambda number: _Service(f"apart-{number}"))
    assert [result.probe for result in results] == ["T4", "T1", "T2", "T3"]
    evidence = {result.probe: result.evidence for result in results}
    assert evidence["T1"] == "http://session"
    assert {evidence["T2"], evidence["T3"]} == {"http://apart-1", "http://apart-2"}
    assert evidence["T4"] == "['/T1', '/T2', '/T3'] in 3 services"
    # the same kind of event begins every lane, and it is judged once
    assert hooks["session"] == hooks["apart-1"] == hooks["apart-2"]
    assert sum(result.validated[1] for result in results) == len(hooks["session"])


async def test_without_a_second_service_all_ask_the_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    results, _ = await _run(monkeypatch, None)
    evidence = [result.evidence for result in results]
    assert evidence[1:] == ["http://session"] * 3
    assert evidence[0] == "['/T1', '/T2', '/T3'] in 1 services"


@pytest.mark.parametrize("how", ["does not start", "takes nothing"])
async def test_a_lane_that_gets_no_good_service_goes_on_the_sessions(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apart(number: int) -> _Service:
        if number == 2:
            return _Service("good")
        if how == "takes nothing":
            return _Service("bad", 500)
        raise TargetError("no second service here")

    results, _ = await _run(monkeypatch, apart)
    assert sorted(result.evidence for result in results[1:]) == ["http://good", "http://session", "http://session"]


async def test_nothing_is_said_of_a_service_that_refuses_good_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    results, _ = await _run(monkeypatch, lambda number: _Service(f"apart-{number}"), status=401)
    assert {(result.outcome, result.evidence.startswith(NO_CONTROL)) for result in results} == {("skipped", True)}


async def test_no_upstream_is_told_only_when_every_lane_is_over() -> None:
    async with httpx.AsyncClient() as client:
        quiet, other = _context(_Service("one"), client), _context(_Service("two"), client)
        quiet.lanes = other.lanes = [quiet, other]
        asked = asyncio.ensure_future(quiet.calls_no_upstream())
        await asyncio.sleep(0)
        assert not asked.done()
        monkey = cast("Any", other.upstreams)
        monkey.snapshot = lambda: ("a call",)
        other.over.set()
        assert await asyncio.wait_for(asked, 1) is False

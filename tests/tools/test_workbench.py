"""The workbench for real: the parcel desk is copied, started with its upstreams, asked, and stopped."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarm.analysis.index import build_index
from swarm.analysis.source import SourceTree
from swarm.config.load import load_agents
from swarm.core.errors import ToolFailed
from swarm.probes.probe import ProbeContext, ProbeResult
from swarm.target.tree.copies import make_copy
from swarm.target.tree.place import resolve_place
from swarm.target.tree.pristine import Pristine
from swarm.tools.lease import Lease
from swarm.tools.reading.list_routes import ListRoutes
from swarm.tools.running.list_upstream_calls import ListUpstreamCalls
from swarm.tools.running.read_error_log import ReadErrorLog
from swarm.tools.running.send_request import SendRequest, SendRequestArguments
from swarm.tools.scanning.find_security_problems import FindSecurityProblems
from swarm.tools.tool import Arguments
from swarm.tools.workbench import Workbench
from tests.fakes import FakeClock, FakeSandbox, FakeSink

DESK = Path(__file__).parent.parent / "targets" / "parcel_desk" / "agents.yaml"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    agents = load_agents(DESK)
    target = agents.targets["parcel"]
    place = resolve_place("parcel", target, agents.folder())
    copy = make_copy(place, tmp_path / "tree")
    bench = Workbench(
        place=place, target=target, payload_root=place.path, copy=copy,
        index=build_index(SourceTree.load(copy.path)), sandbox=FakeSandbox(), scratch=tmp_path / "scratch",
        emit=FakeSink(), clock=FakeClock(), lease=Lease(), seed=3,
        fresh_copy=Pristine(place, tmp_path / "pristine").another,
    )  # fmt: skip
    yield bench
    await bench.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_live_tools_share_one_baseline_that_is_gone_after_close(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
):
    order: list[str] = []
    begun = asyncio.Event()

    async def session(context: ProbeContext) -> tuple[ProbeResult, ...]:
        order.append(f"probed after {len(context.upstreams.snapshot())} calls")
        begun.set()
        await asyncio.sleep(0.05)
        order.append("probed")
        return ()

    monkeypatch.setattr("swarm.probes.run.run_probes", session)
    upstream_calls, log, _ = await asyncio.gather(
        ListUpstreamCalls().run(Arguments(), bench),
        ReadErrorLog().run(Arguments(), bench),
        bench.probe_results(),
    )
    counted = sum(entry["count"] for entry in json.loads(upstream_calls.text)["calls"])
    assert order == [f"probed after {counted} calls", "probed"], "the samples are no effect of a probe's request"
    routes = {entry["route"]: entry for entry in json.loads(upstream_calls.text)["calls"]}
    assert routes["GET /v2/parcels/{id}"]["effect"] == "read"
    assert routes["POST /v3/send"]["upstream"] == "postbox"
    assert routes["POST /v3/send"]["count"] == 3
    assert sum(json.loads(log.text)["statuses"].values()) == 3

    async def send(**arguments: object) -> dict[str, object]:
        answer = await SendRequest().run(SendRequestArguments.model_validate(arguments), bench)
        return json.loads(answer.text)

    bench._probes.forget()
    begun.clear()
    probing = asyncio.create_task(bench.probe_results())
    await begun.wait()
    assert (await send(path="/hooks/courier"))["status"] == 200
    assert order[3:] == ["probed"], "nobody else sends meanwhile"
    await probing
    assert (await send(path="/hooks/courier", signed=False))["status"] in (401, 403)
    assert (await send(path="//example.com/hooks", method="GET"))["status"] == 404
    assert (await send(path="/nowhere", headers={"x": "a\r\nb: c"}))["status"] == "no answer"

    pid = (await bench.baseline()).server.pid
    assert _alive(pid)
    await bench.close()
    await bench.close()
    assert not _alive(pid)
    with pytest.raises(ToolFailed, match="ending"):
        await bench.baseline()


async def test_static_tools_read_the_copy_and_join_bandit_with_our_rules(bench: Workbench):
    routes = json.loads((await ListRoutes().run(Arguments(), bench)).text)
    assert any(route["path"] == "/hooks/courier" for route in routes["routes"])
    answer = await FindSecurityProblems().run(Arguments(), bench)
    rules = {finding.rule for finding in answer.findings}
    assert "sql-from-strings" in rules
    assert not any(rule.startswith("bandit-B608") for rule in rules)
    assert {finding.category for finding in answer.findings} == {"security"}


async def test_a_service_that_does_not_start_is_said_once_and_not_tried_again(bench: Workbench):
    bench.target = bench.target.model_copy(update={"start": "python -c 'raise SystemExit(3)' {port}"})
    for _ in range(2):
        with pytest.raises(ToolFailed, match="does not start"):
            await bench.baseline()
    assert bench._starts == 1


async def test_closing_while_it_starts_leaves_nothing_running(bench: Workbench):
    starting = asyncio.create_task(bench.baseline())
    await asyncio.sleep(0.3)
    await bench.close()
    results = await asyncio.gather(starting, return_exceptions=True)
    if not isinstance(results[0], BaseException):
        assert not _alive(results[0].server.pid)
    assert bench._baseline.value is None

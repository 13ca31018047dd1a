"""Which requests a replay sends: few of them, of all kinds of events, the same in every look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.config.schema import Target
from swarm.target.replay import look
from swarm.target.replay.look import chosen_numbers
from swarm.target.replay.observation import Exchange
from swarm.target.traffic import Traffic
from swarm.target.upstream.calls import FaultPoint, UpstreamCall, path_shape

KINDS = ("order.created", "order.paid", "order.refused", "customer.new")


def traffic(seed: int) -> Traffic:
    payloads = [{"type": kind, "id": "{{uuid}}", kind.replace(".", "_"): "{{int:1:500}}"} for kind in KINDS]
    target = Target.model_validate(
        {"path": ".", "start": "x {port}", "webhooks": [{"path": "/hook", "payloads": payloads}]}
    )
    return Traffic(target, Path(), seed)


def test_a_few_requests_hold_every_kind_of_event() -> None:
    for seed in range(20):
        events = traffic(seed)
        numbers = chosen_numbers(events, 5)
        assert len(set(numbers)) == 5
        assert numbers == chosen_numbers(traffic(seed), 5)
        assert {json.loads(events.request(number, 0.0).body)["type"] for number in numbers} == set(KINDS)


def test_paths_of_one_route_have_one_shape() -> None:
    assert path_shape("/v2/parcels/PD-16921") == path_shape("/v2/parcels/PD-1") == "/v2/parcels/*"
    assert path_shape("/contacts/5d0caad8-6dbe-40d4-bad6-a9b4e8fa2556/tags") == "/contacts/*/tags"
    assert path_shape("/opportunities/pipelines") == "/opportunities/pipelines"


READ, ONCE = FaultPoint("crm", "GET", "/leads/*"), FaultPoint("crm", "POST", "/leads")


class Session:
    """Sends nothing: every request reads a lead, and none makes the call that only a first event makes."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str]] = []
        self.exchanges: list[Exchange] = []

    async def fault(self, point: FaultPoint, number: int, attempt: int) -> Exchange:
        self.sent.append((number, f"{point.method} {attempt}"))
        call = UpstreamCall("crm", "GET", "/leads/7", "", b"", 500, 1.0, 1.1, "read", {})
        made = Exchange(str(number), "upstream fails", "crm", 500, "", b"", (call,), 0.1, 0.0)
        self.exchanges.append(made)
        return made


async def test_every_look_sends_what_the_first_one_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fault(session: Session, *what: Any) -> Exchange:
        return await session.fault(*what)

    monkeypatch.setattr(look, "_fault", fault)
    monkeypatch.setattr(look, "_fault_points", lambda *_: [ONCE, READ])
    monkeypatch.setattr(look, "_likely_numbers", lambda s, p, r, used: [n for n in range(20) if n not in used])
    first, again = Session(), Session()
    plan = await look._faults(first, 3, None)  # type: ignore[arg-type]
    assert [(fault.point, fault.met) for fault in plan] == [(ONCE, False)] * 3 + [(READ, True)]
    assert [exchange.label for exchange in first.exchanges] == ["3"], "one that met no failure says nothing"
    await look._faults(again, 3, plan)  # type: ignore[arg-type]
    assert again.sent == first.sent, "a request leaves rows whether it met a failure or not"
    assert [exchange.label for exchange in again.exchanges] == ["3"]

"""Which requests a replay sends: few of them, of all kinds of events, the same in every look."""

from __future__ import annotations

import json
from pathlib import Path

from swarm.config.schema import Target
from swarm.target.replay.look import chosen_numbers
from swarm.target.traffic import Traffic
from swarm.target.upstream.calls import path_shape

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

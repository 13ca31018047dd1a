"""Ids in example bodies that are made new for every request."""

from __future__ import annotations

from swarm.intake.trying.fresh_ids import with_fresh_ids

BODY = {
    "id": "evt_17",
    "data": {"number": "IN-1001", "customer_id": "cus_77", "lines": [{"scan_id": "s-1"}]},
    "phone_number": "5550100",
    "made": "{{uuid}}",
}


def test_all_ids_but_those_of_who_must_be_known() -> None:
    assert with_fresh_ids(BODY, of_event_only=False) == {
        "id": "evt_{{uuid}}",
        "data": {"number": "IN-{{uuid}}", "customer_id": "cus_77", "lines": [{"scan_id": "s-{{uuid}}"}]},
        "phone_number": "5550100",
        "made": "{{uuid}}",
    }  # fmt: skip


def test_the_event_s_own_id_alone() -> None:
    assert with_fresh_ids(BODY, of_event_only=True) == {**BODY, "id": "evt_{{uuid}}"}
    nested = {"event": {"event_id": "e1", "id": "thing-1"}}
    assert with_fresh_ids(nested, of_event_only=True) == {"event": {"event_id": "{{uuid}}", "id": "thing-1"}}

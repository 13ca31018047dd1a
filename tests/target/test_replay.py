"""Replay over real processes: the original is like itself, wrong trees are not, a tree with faster reads is."""

from __future__ import annotations

import asyncio
import json

import pytest

from swarm.target.replay.compare import compare
from swarm.target.replay.look import observe
from swarm.target.replay.observation import Observation, Recording
from swarm.target.tree.copies import make_copy
from swarm.target.tree.place import resolve_place
from tests.recording import record_baseline
from tests.target import small_target as small

REQUESTS = 3
SEED = 5


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("original")
    place = resolve_place("small", small.TARGET, small.write_service(folder / "tree"))
    copy = make_copy(place, folder / "copy")
    return asyncio.run(record_baseline(place, copy, small.TARGET, requests=REQUESTS, seed=SEED, tmp=folder / "tmp"))


def _trees() -> dict[str, tuple[tuple[str, str], ...]]:
    """Candidates by name: what each changes in the original."""
    one, two = (line.strip().removeprefix("await ") for line in (small.ORDER, small.SEND))
    gathered_reads = """            item, stock = await asyncio.gather(
                read(client, f"{SHOP}/items/{event['item']}"), read(client, f"{SHOP}/stock/{event['item']}"))
"""
    swallowed = small.SEND.replace("await write", "await asyncio.gather(write").rstrip()
    retried = """async def write(client, url, body):
    for _ in range(2):
        answer = await client.post(url, json=body)
        if answer.status_code < 500:
            break
"""
    insert = '    with sqlite3.connect(DB) as db:\n        db.execute("INSERT'
    rarely = '    if event["count"] > 1:\n      with sqlite3.connect(DB) as db:\n        db.execute("INSERT'
    return {
        "parallel reads": ((small.READS, gathered_reads),),
        "reordered writes": ((small.WRITES, small.SEND + small.ORDER),),
        "overlapping writes": ((small.WRITES, f"            await asyncio.gather({one}, {two})\n"),),
        "swallowed error": ((small.SEND, f"{swallowed}, return_exceptions=True)\n"),),
        "dropped row": ((insert, rarely),),
        "changed field": (('"count": event["count"], "price"', '"amount": event["count"], "price"'),),
        "careless retry": (
            (small.WRITE, retried),
            ("if not hmac.compare_digest", "if False and not hmac.compare_digest"),
        ),
    }


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory, recording: Recording) -> dict[str, Observation]:
    """All candidates, looked at at once: an observation needs nothing that another one holds."""

    async def look(name: str, changes: tuple[tuple[str, str], ...]) -> tuple[str, Observation]:
        folder = tmp_path_factory.mktemp("candidate")
        place = resolve_place("small", small.TARGET, small.write_service(folder / "tree", *changes))
        copy = make_copy(place, folder / "copy")
        return name, await observe(
            place, copy, small.TARGET, requests=REQUESTS, seed=SEED, tape=recording.tape, tmp=folder / "tmp"
        )

    async def look_at_all() -> dict[str, Observation]:
        return dict(await asyncio.gather(*(look(name, changes) for name, changes in _trees().items())))

    return asyncio.run(look_at_all())


def test_two_looks_at_the_original_are_alike(recording: Recording) -> None:
    outcome = compare(recording, recording.second)
    assert outcome.differences == ()
    # 3 normal ones, 1 badly signed, and each kind of call failing once
    assert outcome.requests == outcome.identical == 3 + 1 + 4


def test_the_original_was_really_looked_at(recording: Recording) -> None:
    normal = recording.first.exchanges[0]
    assert normal.status == 200
    assert [(call.method, call.upstream, call.effect) for call in normal.calls] == [
        ("GET", "shop", "read"), ("GET", "shop", "read"), ("POST", "shop", "write"), ("POST", "mail", "write"),
    ]  # fmt: skip
    assert recording.first.exchanges[3].status == 401
    faults = recording.first.exchanges[4:]
    assert {fault.status for fault in faults} == {502}
    assert {fault.upstream for fault in faults} == {"shop", "mail"}
    assert recording.first.stored.tables["orders.db orders"].rows.total() == 3


def test_reads_made_parallel_are_no_difference(recording: Recording, looks: dict[str, Observation]) -> None:
    seen = looks["parallel reads"]
    reads = [call for call in seen.exchanges[0].calls if call.effect == "read"]
    assert max(read.start_s for read in reads) < min(read.end_s for read in reads)  # they do overlap
    assert compare(recording, seen).differences == ()


def test_reordered_writes_are_found(recording: Recording, looks: dict[str, Observation]) -> None:
    outcome = compare(recording, looks["reordered writes"])
    assert any("upstream writes reordered" in line for line in outcome.differences), outcome
    # the three normal requests are not alike, and neither is the failing one that now writes too much
    assert outcome.identical <= outcome.requests - 4


def test_overlapping_writes_are_found(recording: Recording, looks: dict[str, Observation]) -> None:
    outcome = compare(recording, looks["overlapping writes"])
    assert any("upstream writes overlap" in line for line in outcome.differences), outcome


def test_a_swallowed_upstream_error_is_found(recording: Recording, looks: dict[str, Observation]) -> None:
    outcome = compare(recording, looks["swallowed error"])
    assert "upstream mail fails with 500 at POST /send: status 502 became 200" in outcome.differences
    assert outcome.identical == outcome.requests - 1


def test_a_dropped_row_is_found(recording: Recording, looks: dict[str, Observation]) -> None:
    counts = [json.loads(look.body)["count"] for look in recording.first.exchanges[:REQUESTS]]
    assert 1 in counts  # the traffic does hold an event whose row is dropped
    outcome = compare(recording, looks["dropped row"])
    assert len(outcome.differences) == 1, outcome
    assert outcome.differences[0].startswith(f"stored: orders.db orders: {counts.count(1)} row(s) missing")


def test_a_changed_field_is_found(recording: Recording, looks: dict[str, Observation]) -> None:
    outcome = compare(recording, looks["changed field"])
    assert any(line.endswith("body: count is gone") for line in outcome.differences), outcome
    assert outcome.identical == outcome.requests - REQUESTS


def test_repeated_posts_a_dropped_check_and_a_lost_key_are_found(
    recording: Recording, looks: dict[str, Observation]
) -> None:
    text = "\n".join(compare(recording, looks["careless retry"]).differences)
    assert "badly signed POST /hook: status 401 became 200" in text
    assert "credentials.x-api-key is gone" in text
    assert "upstream mail fails with 500 at POST /send: additional upstream write" in text

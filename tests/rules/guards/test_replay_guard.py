"""The generated replay guard: a delivery acts once, what failed may come again, and ids are forgotten."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.rules.guards.hook_service import Service, event, signed


def test_a_delivery_acts_once(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ("no-replay-protection",))
    body = event(1)
    with service.running():
        answers = service.many([("POST", "/hook", body, signed(body))] * 20)
        assert {(a.status_code, a.text) for a in answers} == {(202, answers[0].text)}
        assert service.deliver(body).json() == {"taken": 1}
        assert service.module.effects == [1]
        # the same id for another body has no effect
        assert service.deliver(event(1, more=2)).status_code == 409
        assert service.module.effects == [1]
        # who has a body that was taken, and no key, learns nothing by it
        for sent in ({}, {"X-GHL-Signature": "0" * 64}):
            assert service.send("POST", "/hook", body, sent).status_code == 401
        assert 'kind="repeated"} 20' in "\n".join(service.of("replay_guard").prometheus_lines())
    # a new process knows what the last one took
    with service.running():
        assert service.deliver(body).json() == {"status": "already processed"}
        assert service.module.effects == []
    stored = (tmp_path / "state" / "replay_guard.sqlite").read_bytes()
    stored += (tmp_path / "state" / "replay_guard.sqlite-wal").read_bytes()
    assert b"wh-1" not in stored and b"taken" not in stored


def test_what_was_refused_or_failed_may_come_again(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ("no-replay-protection",))
    body = event(1)
    with service.running():
        # an id cannot be used up by who has no key, neither before nor at the same moment
        assert service.deliver(event(1, other=True), secret="wrong").status_code == 401
        forged = ("POST", "/hook", event(1, other=True), signed(event(1, other=True), "wrong"))
        copied = ("POST", "/hook", body, signed(body, "wrong"))
        answers = service.many([forged, copied, ("POST", "/hook", body, signed(body)), copied, forged])
        assert [answer.status_code for answer in answers] == [401, 401, 202, 401, 401]
        assert service.module.effects == [1]
        service.module.fails.append("upstream")
        assert service.deliver(event(2)).status_code == 502
        assert service.deliver(event(2)).status_code == 202
        assert service.module.effects == [1, 2]
        # without an id nothing is remembered
        for _ in range(2):
            assert service.deliver(b'{"n": 3}').status_code == 202
        assert service.module.effects == [1, 2, 3, 3]


def test_replay_protection_by_header_and_off(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELIVERY_ID_HEADERS", "X-Delivery-Id")
    monkeypatch.setenv("DELIVERY_ID_FIELDS", "")
    service = Service(tmp_path, framework, ("no-replay-protection",))
    with service.running():
        for _ in range(2):
            assert service.deliver(event(1), **{"X-Delivery-Id": "a"}).status_code == 202
        assert service.deliver(event(1), **{"X-Delivery-Id": "b"}).status_code == 202
        assert service.deliver(event(2), **{"X-Delivery-Id": "b"}).status_code == 409
        assert service.module.effects == [1, 1]
    monkeypatch.setenv("DELIVERY_ID_KEEP_S", "0")
    with service.running():
        assert [service.deliver(event(1), **{"X-Delivery-Id": "a"}).status_code for _ in range(2)] == [202, 202]
        assert service.module.effects == [1, 1]


def test_a_signature_over_the_time_changes_with_every_attempt(tmp_path: Path) -> None:
    """Stripe signs each attempt anew: a repetition is the same body with another signature."""
    service = Service(tmp_path, "fastapi", ("no-replay-protection",))
    with service.running():
        guard = service.of("replay_guard")
        one = guard.Delivery("/hook", "id", b"body", {"x-signature": "t=1700000000,v1=aa"})
        other = guard.Delivery("/hook", "id", b"body", {"x-signature": "t=1700000060,v1=bb"})
        guard.deliveries.done(one, guard.Answer(200, "text/plain", b"ok"))
        assert guard.deliveries.known(other).body == b"ok"
        fixed = guard.Delivery("/hook", "id2", b"body", {"x-signature": "aa"})
        guard.deliveries.done(fixed, guard.Answer(200, "text/plain", b"ok"))
        assert guard.deliveries.known(guard.Delivery("/hook", "id2", b"body", {"x-signature": "bb"})) is None


def test_old_ids_are_forgotten_and_a_bad_file_is_no_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path, "fastapi", ("no-replay-protection",))
    monkeypatch.setenv("DELIVERY_ID_KEEP_S", "0.1")
    with service.running():
        service.deliver(event(1))
        time.sleep(0.15)
        assert service.deliver(event(1)).status_code == 202
        assert service.module.effects == [1, 1]
    monkeypatch.setenv("DELIVERY_ID_KEEP_S", "60")
    monkeypatch.setenv("REPLAY_STORE_PATH", str(tmp_path / "hooks.py" / "no" / "store.sqlite"))
    with service.running():
        assert [service.deliver(event(2)).status_code for _ in range(3)] == [202, 202, 202]
        assert len(service.module.effects) <= 2

"""The generated rate limit: it slows down who is refused, and a flood, sender by sender."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.rules.guards.hook_service import Service, event, signed


def test_refused_requests_are_slowed_down_and_good_ones_pass(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ("refused-rate-limit",))
    with service.running():
        answers = [service.deliver(event(1), secret="wrong", **{"X-Forwarded-For": f"10.9.9.{n}"}) for n in range(80)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:60] == [401] * 60 and set(statuses[62:]) == {429}
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert "signature" not in answers[-1].text
        assert service.deliver(event(1)).status_code == 202
        # another sender has its own budget
        other = service.send("POST", "/hook", event(1), signed(event(1), "wrong"), peer="10.0.0.2")
        assert other.status_code == 401
        lines = service.of("rate_limit").prometheus_lines()
        assert f'rate_limited_total{{reason="refused"}} {statuses.count(429)}' in lines


def test_a_flood_is_turned_away_and_may_bring_its_deliveries_later(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATE_LIMIT_PER_SENDER", "5")
    service = Service(tmp_path, framework, ("unchecked-delivery-age", "refused-rate-limit"))
    old = event(1, timestamp=time.time() - 1200)
    with service.running():
        assert service.deliver(old).status_code == 401
        answers = service.many([("POST", "/hook", event(n), signed(event(n))) for n in range(30)])
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(202) in range(3, 9) and statuses.count(429) == 30 - statuses.count(202)
        time.sleep(0.4)
        assert service.deliver(old).status_code == 202
        assert service.send("POST", "/hook", old, signed(old), peer="10.0.0.2").status_code == 401
    monkeypatch.setenv("RATE_LIMIT_PER_SENDER", "0")
    with service.running():
        answers = service.many([("POST", "/hook", event(n), signed(event(n))) for n in range(30)])
        assert {answer.status_code for answer in answers} == {202}


def test_senders_behind_trusted_proxies_and_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path, "fastapi", ("refused-rate-limit",))
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.1")
    with service.running():
        limit = service.of("rate_limit")
        assert limit.sender_of("10.0.0.1", "1.1.1.1, 203.0.113.9, 192.168.1.1") == "203.0.113.9"
        assert limit.sender_of("203.0.113.9", "1.1.1.1") == "203.0.113.9"
        assert limit.sender_of("10.0.0.1", "") == "10.0.0.1"
        assert limit.sender_of("10.0.0.1", "<script>") == "10.0.0.1"
        allowance = limit.Allowance(1.0, 2.0)
        assert [allowance.take("a", 0.0), allowance.take("a", 0.0)] == [0.0, 0.0]
        assert 0 < allowance.take("a", 0.0) <= 1.0
        assert allowance.take("a", 1.0) == 0.0
        for number in range(limit.MAX_SENDERS + 50):
            allowance.take(str(number), 2.0)
        assert len(allowance._left) == limit.MAX_SENDERS

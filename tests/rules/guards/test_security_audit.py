"""The generated audit trail: what it notes, what it never holds, and how a changed line shows."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.rules.guards.hook_service import SECRET, Service, event, signed


def test_the_audit_trail(framework: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(tmp_path, framework, ("no-security-audit", "refused-rate-limit"))
    trail = tmp_path / "state" / "security_audit.jsonl"
    with service.running(), caplog.at_level(logging.INFO, "security.audit"):
        audit = service.of("security_audit")
        service.deliver(event(1, email="person@example.org"), **{"X-Request-ID": "tie-1"})
        service.deliver(event(1), secret="wrong")
        service.send("GET", "/leads/person@example.org?q=person@example.org")
        service.send("GET", "/nowhere/person@example.org")
        audit.trail.flush()
        lines = [json.loads(line) for line in trail.read_text().splitlines()]
        assert [line["event"] for line in lines] == ["delivery_accepted", "refused_unauthorized", "data_used"]
        assert lines[0]["tie"] == "tie-1" and lines[0]["peer"] == "10.0.0.1" and lines[0]["status"] == 202
        assert lines[0]["time"].endswith("+00:00") and lines[0]["route"] == "/hook"
        assert lines[0]["key"] and lines[0]["key"] != lines[1]["key"]
        whole = trail.read_text() + caplog.text
        assert "person" not in whole and SECRET not in whole and signed(event(1))["X-GHL-Signature"] not in whole
        assert len([r for r in caplog.records if r.name == "security.audit"]) == 3
        assert 'security_events_total{event="data_used"} 1' in audit.prometheus_lines()
        for _ in range(70):
            service.deliver(event(1), secret="wrong")
        audit.trail.flush()
        assert "refused_too_many_requests" in trail.read_text()
        assert audit.verify(str(trail)) == 0
        changed = trail.read_text().replace("refused_unauthorized", "delivery_accepted", 1)
        (tmp_path / "changed").write_text(changed)
        assert audit.verify(str(tmp_path / "changed")) == 2
        (tmp_path / "gap").write_text(
            "".join(line + "\n" for n, line in enumerate(trail.read_text().splitlines()) if n != 1)
        )
        assert audit.verify(str(tmp_path / "gap")) == 2

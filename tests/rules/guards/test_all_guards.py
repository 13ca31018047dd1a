"""All guards around one service: in their order, and out of the way of who sends what is good."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.rules.guards.hook_service import Service, event

ALL = (
    "no-replay-protection", "unchecked-delivery-age", "unchecked-json", "unchecked-content-type", "body-size-limit",
    "refused-rate-limit", "no-security-audit", "single-signing-key",
)  # fmt: skip


def test_all_guards_together_leave_a_good_sender_alone(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ALL)
    text = (tmp_path / "hooks.py").read_text()
    order = [text.index(f"{name}(" if framework == "flask" else f"({name})") for name in (
        "ReplayGuardMiddleware", "DeliveryAgeMiddleware", "CheckedJsonMiddleware", "ContentTypeMiddleware",
        "BodyLimitMiddleware", "RateLimitMiddleware", "SecurityAuditMiddleware",
    )]  # fmt: skip
    assert order == sorted(order)
    now = datetime.now(UTC).isoformat()
    with service.running():
        for number in range(5):
            answer = service.deliver(event(number, timestamp=now, name="Zoë — 中\n", deep=[[[[1.5, None, True]]]]))
            assert (answer.status_code, answer.json()) == (202, {"taken": number})
        assert service.module.effects == [0, 1, 2, 3, 4]
        assert service.send("GET", "/leads/a@example.org").json() == {"email": "a@example.org"}
        assert service.deliver(event(9), secret="wrong").status_code == 401

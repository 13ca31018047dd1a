"""The generated checks of a body: its JSON, its content type and its age."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.rules.guards.hook_service import Service, event, signed


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 20_000, 400),
        (b'{"n":' * 201 + b"1" + b"}" * 201, 400),
        (b'{"n": ' + b"9" * 5000 + b"}", 400),
        (b'{"n": -' + b"9" * 101 + b"}", 400),
        (b'{"n": 1e999}', 400),
        (b'{"n": NaN}', 400),
        (b'{"n": "\xff\xfe"}', 400),
        (b"[]", 422),
        (b"17", 422),
        (b"null", 422),
        (b'{"n": "a\\u0000b"}', 422),
        (b'{"n": ["\\ud800"]}', 422),
        (b'{"a\\u0000": 1}', 422),
    ],
    ids=lambda value: str(value[:20]) if isinstance(value, bytes) else str(value),
)
def test_hostile_json_is_refused(framework: str, tmp_path: Path, body: bytes, status: int) -> None:
    service = Service(tmp_path, framework, ("unchecked-json",))
    with service.running():
        assert service.deliver(body).status_code == status
        assert service.module.effects == []


def test_unusual_but_good_json_passes_byte_for_byte(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ("unchecked-json", "unchecked-content-type"))
    bodies = [
        b'{"n": "\\ud83d\\ude00 [[[[ {{{{ \\" \\\\"}',
        b'\xef\xbb\xbf{"n": 1}',
        b' {"n": -12.5e-3, "e": [], "o": {}, "t": "a\\tb\\r\\nc", "id": 9223372036854775807}\n',
        ('{"n": "' + "[" * 300 + '"}').encode(),
        # texts as people paste them, long ones, and numbers of other worlds
        b'{"n": "a\\u001b[31mb\\u0003\\u0008\\u007f\x7f\\u2028"}',
        b'{"n": "' + b"a" * 200_000 + b'"}',
        b'{"n": ' + b"9" * 78 + b"}",
        b'{"n": 1, "n": 2}',
        b'{"n":' * 150 + b"1" + b"}" * 150,
    ]
    with service.running():
        for body in bodies:
            assert service.deliver(body).status_code == 202, body
        assert service.send("POST", "/hook", b'{"n": 1}', {"X-GHL-Signature": signed(b'{"n": 1}')["X-GHL-Signature"]})
        assert len(service.module.effects) == len(bodies) + 1


def test_content_types(framework: str, tmp_path: Path) -> None:
    service = Service(tmp_path, framework, ("unchecked-content-type",))
    with service.running():
        for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data"):
            assert service.deliver(b'{"n": 1}', **{"Content-Type": kind}).status_code == 415
        for kind in ("application/json; charset=utf-8", "application/cloudevents+json", "Application/JSON"):
            assert service.deliver(b'{"n": 1}', **{"Content-Type": kind}).status_code == 202


def test_only_fresh_deliveries_are_taken(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path, framework, ("unchecked-delivery-age",))
    now = datetime.now(UTC)
    fresh = [
        now.isoformat(), now.isoformat().replace("+00:00", "Z"), now.strftime("%Y-%m-%dT%H:%M:%S.123456789Z"),
        time.time(), int(time.time() * 1000), str(int(time.time())), (now - timedelta(seconds=280)).isoformat(),
        now.astimezone(timezone(timedelta(hours=-7))).isoformat(), None, "",
    ]  # fmt: skip
    stale = [
        (now - timedelta(minutes=10)).isoformat(), (now + timedelta(minutes=10)).isoformat(), time.time() - 600,
        int(time.time() * 1000) + 600_000, "yesterday", True, [1], "nan",
    ]  # fmt: skip
    with service.running():
        for value in fresh:
            assert service.deliver(event(1, timestamp=value)).status_code == 202, value
        for value in stale:
            assert service.deliver(event(1, timestamp=value)).status_code == 401, value
        assert service.deliver(event(1)).status_code == 202
        assert len(service.module.effects) == len(fresh) + 1
    monkeypatch.setenv("WEBHOOK_TOLERANCE_S", "0")
    with service.running():
        assert service.deliver(event(1, timestamp=0)).status_code == 202

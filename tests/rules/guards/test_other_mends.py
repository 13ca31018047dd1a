"""Mends that guard without a middleware of their own: a second key, a closed description."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.guards.hook_service import Service, event


def test_the_key_before_is_good_while_keys_change(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(tmp_path, framework, ("single-signing-key",))
    for previous, status in (("the-old-one", 202), ("", 401)):
        monkeypatch.setenv("HOOK_SECRET_PREVIOUS", previous)
        with service.running():
            assert service.deliver(event(1)).status_code == 202
            assert service.deliver(event(1), secret="the-old-one").status_code == status
            assert service.deliver(event(1), secret="another").status_code == 401
            assert service.deliver(event(1), secret="").status_code == 401


def test_the_description_is_closed_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path, "fastapi", ("open-api-docs",))
    for value, status in (("0", 404), ("1", 200)):
        monkeypatch.setenv("API_DOCS", value)
        with service.running():
            assert {service.send("GET", path).status_code for path in ("/docs", "/openapi.json")} == {status}

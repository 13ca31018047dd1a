"""Signing keys in pydantic settings, asked for by a function in a dependency: two are good, the empty one never."""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from pathlib import Path
from types import ModuleType

import pydantic
import pytest
from starlette.testclient import TestClient

from tests.rules.mending import find, loaded, mend, write

KEY, OLD, BODY = "the-key-of-the-day", "the-key-before", b'{"id": 7}'
SETTINGS = """from pydantic_settings import BaseSettings


class Config(BaseSettings):
    gate_key: str


def config() -> Config:
    return Config()
"""
APP = """import hashlib
import hmac

from fastapi import Depends, FastAPI, HTTPException, Request

from settings import config

app = FastAPI()


async def checked(request: Request) -> bytes:
    raw = await request.body()
    made = hmac.new(config().gate_key.encode(), raw, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(made.encode(), request.headers.get("X-Gate", "").encode()):
        raise HTTPException(401)
    return raw


@app.post("/gate")
async def gate(raw: bytes = Depends(checked)):
    return {"bytes": len(raw)}
"""


class _BaseSettings(pydantic.BaseModel):
    """As much of pydantic-settings as the service asks for."""

    def __init__(self) -> None:
        super().__init__(**{name: os.environ[name.upper()] for name in type(self).model_fields})


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    library = ModuleType("pydantic_settings")
    vars(library)["BaseSettings"] = _BaseSettings
    monkeypatch.setitem(sys.modules, "pydantic_settings", library)
    write(tmp_path, {"settings.py": SETTINGS, "app.py": APP})
    return tmp_path


def status(root: Path, key: str) -> int:
    sent = hmac.new(key.encode(), BODY, hashlib.sha256).hexdigest()
    with loaded(root, "app") as module:
        client = TestClient(module.app, raise_server_exceptions=False)
        return client.post("/gate", content=BODY, headers={"X-Gate": sent}).status_code


def test_an_empty_key_is_good_for_nothing(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_KEY", "")
    assert status(service, "") == 200, "the hole is not there before"
    mend(service, "empty-signing-key")
    assert status(service, "") == 500
    monkeypatch.setenv("GATE_KEY", KEY)
    assert (status(service, KEY), status(service, "")) == (200, 401)


def test_both_keys_are_good_while_they_are_changed(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_KEY", KEY)
    mend(service, "single-signing-key")
    assert [status(service, key) for key in (KEY, OLD)] == [200, 401]
    monkeypatch.setenv("GATE_KEY_PREVIOUS", OLD)
    assert [status(service, key) for key in (KEY, OLD, "another")] == [200, 200, 401]


@pytest.mark.parametrize(
    ("declared", "variable"),
    [
        ("    gate_key: str\n", "GATE_KEY"),
        ("    gate_key: str\n\n    class Config:\n        env_prefix = 'door_'\n", "DOOR_GATE_KEY"),
        ("    gate_key: str = Field(validation_alias='DOOR_SECRET')\n", "DOOR_SECRET"),
    ],
)
def test_the_variable_is_the_one_that_fills_the_field(declared: str, variable: str, service: Path) -> None:
    settings = SETTINGS.replace("    gate_key: str\n", declared)
    write(service, {"settings.py": f"from pydantic import Field\n{settings}"})
    (finding,) = find(service, "single-signing-key")
    assert f"what {variable} signed" in finding.evidence
